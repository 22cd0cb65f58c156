//! What the controller may do, from what it says that it does: the lists of the providers, and what the shell itself asks for.
//!
//! Verbs are those that are used: writes are creations and merge patches, `update` only where an object is replaced (copies of configs, the lease).
//! Source: operations notes, section 5.2; <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>

use ::objects::Kind;
use ::objects::kind::{ALERT_PROVIDER, CANARY, CONFIG_MAP, EVENT, LEASE, METRIC_TEMPLATE, SECRET};
use providers::access::{Access, READ};
use providers::routers;
use providers::scalers::SCALERS;
use providers::services;
use providers::targets::TARGETS;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Verbs in the order in which roles are usually written.
const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];

/// The permissions in parts, each a list of rules as in a role.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// What every installation needs, whatever it is asked to do.
    pub core: Vec<Value>,
    /// With leader election: one lease, by its name.
    pub leader_election: Vec<Value>,
    /// With config tracking: `ConfigMap`s and Secrets are watched and copied.
    pub config_tracking: Vec<Value>,
    /// What only a `ClusterRole` can grant, whatever the controller is asked to do.
    pub cluster: Vec<Value>,
    /// By the provider's name, in alphabetical order: those that this version can serve.
    pub providers: Vec<ProviderRules>,
}

/// What one provider needs.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderRules {
    /// As in `spec.provider`.
    pub name: String,
    /// For objects in namespaces.
    pub rules: Vec<Value>,
    /// For objects without one.
    pub cluster_rules: Vec<Value>,
}

/// Everything the program can be asked to do.
pub fn rules() -> Rules {
    Rules {
        core: core(),
        leader_election: vec![
            rule("coordination.k8s.io", &[LEASE.plural], &["create"]),
            json!({
                "apiGroups": [LEASE.group],
                "resources": [LEASE.plural],
                "resourceNames": ["flagger-leader-election"],
                "verbs": ["get", "update"],
            }),
        ],
        config_tracking: grouped(kinds_of_workloads().filter(|access| is_config(access.kind))),
        cluster: vec![json!({ "nonResourceURLs": ["/version"], "verbs": ["get"] })],
        providers: names().into_iter().filter_map(provider).collect(),
    }
}

/// The provider's names, as the Canary's definition lists them, sorted. `gatewayapi` alone is what people type.
pub fn names() -> Vec<String> {
    let listed = api::crd::PROVIDERS.iter().copied().filter(|name| !name.is_empty());
    let names: BTreeSet<String> = listed.chain(["gatewayapi"]).map(str::to_owned).collect();
    names.into_iter().collect()
}

/// The rules of a provider; `None` where this version cannot serve it.
fn provider(name: String) -> Option<ProviderRules> {
    // Plain `gatewayapi` is resolved before a router is asked.
    let asked = if name == "gatewayapi" { "gatewayapi:v1" } else { &name };
    let kinds = routers::router(asked)?.kinds();
    let rules = grouped(kinds.iter().copied().filter(|access| access.kind.namespaced));
    let cluster_rules = grouped(kinds.iter().copied().filter(|access| !access.kind.namespaced));
    Some(ProviderRules { name, rules, cluster_rules })
}

fn core() -> Vec<Value> {
    let flagger = CANARY.group;
    let mut rules = vec![
        rule(EVENT.group, &[EVENT.plural], &["create", "patch"]),
        // Credentials of metric and alert providers, named by them.
        rule(SECRET.group, &[SECRET.plural], &["get"]),
        rule(flagger, &[CANARY.plural], &["get", "list", "watch", "patch"]),
        rule(flagger, &[METRIC_TEMPLATE.plural, ALERT_PROVIDER.plural], READ),
        rule(flagger, &["canaries/status"], &["patch"]),
        // Generated objects block the deletion of their Canary, which some clusters check.
        rule(flagger, &["canaries/finalizers"], &["update"]),
    ];
    let workloads = kinds_of_workloads().filter(|access| !is_config(access.kind));
    rules.extend(grouped(workloads.chain(services::KINDS.iter().copied())));
    rules
}

/// Targets and their autoscalers, with what they refer to. Any Canary may name any of them.
fn kinds_of_workloads() -> impl Iterator<Item = Access> {
    let targets = TARGETS.iter().flat_map(|target| target.kinds());
    targets.chain(SCALERS.iter().flat_map(|scaler| scaler.kinds())).copied()
}

fn is_config(kind: &Kind) -> bool {
    *kind == CONFIG_MAP || *kind == SECRET
}

/// One rule per API group and set of verbs; versions of a kind are one resource.
fn grouped(accesses: impl Iterator<Item = Access>) -> Vec<Value> {
    let mut verbs: BTreeMap<(&str, &str), BTreeSet<usize>> = BTreeMap::new();
    for access in accesses {
        let known = verbs.entry((access.kind.group, access.kind.plural)).or_default();
        known.extend(VERBS.iter().enumerate().filter(|(_, verb)| access.verbs.contains(verb)).map(|(index, _)| index));
    }
    let mut rules: BTreeMap<(&str, BTreeSet<usize>), Vec<&str>> = BTreeMap::new();
    for ((group, resource), verbs) in verbs {
        rules.entry((group, verbs)).or_default().push(resource);
    }
    let named =
        |verbs: BTreeSet<usize>| -> Vec<&str> { verbs.iter().filter_map(|index| VERBS.get(*index).copied()).collect() };
    rules.into_iter().map(|((group, verbs), resources)| rule(group, &resources, &named(verbs))).collect()
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
}

/// A choice of permissions.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Providers by name; empty: every one that this version can serve.
    pub providers: Vec<String>,
    /// Without the lease.
    pub no_leader_election: bool,
    /// Without watching and copying configs.
    pub no_config_tracking: bool,
}

impl Rules {
    /// The chosen rules for a role, and those that only a cluster role can grant; none twice. In the order of the chart.
    pub fn chosen(&self, choice: &Choice) -> (Vec<Value>, Vec<Value>) {
        let wanted =
            |provider: &&ProviderRules| choice.providers.is_empty() || choice.providers.contains(&provider.name);
        let providers: Vec<&ProviderRules> = self.providers.iter().filter(wanted).collect();
        let optional = |left_out: bool, rules: &Vec<Value>| if left_out { Vec::new() } else { rules.clone() };
        let mut rules = self.core.clone();
        rules.extend(optional(choice.no_leader_election, &self.leader_election));
        rules.extend(optional(choice.no_config_tracking, &self.config_tracking));
        rules.extend(providers.iter().flat_map(|provider| provider.rules.clone()));
        let mut cluster = self.cluster.clone();
        cluster.extend(providers.iter().flat_map(|provider| provider.cluster_rules.clone()));
        (unique(rules), unique(cluster))
    }

    /// As the chart reads them.
    pub fn to_value(&self) -> Value {
        let providers: Map<String, Value> =
            self.providers.iter().map(|one| (one.name.clone(), one.to_value())).collect();
        json!({
            "core": self.core,
            "leaderElection": self.leader_election,
            "configTracking": self.config_tracking,
            "cluster": self.cluster,
            "providers": providers,
        })
    }
}

impl ProviderRules {
    fn to_value(&self) -> Value {
        json!({ "rules": self.rules, "clusterRules": self.cluster_rules })
    }
}

fn unique(rules: Vec<Value>) -> Vec<Value> {
    let mut once: Vec<Value> = Vec::new();
    for rule in rules {
        if !once.contains(&rule) {
            once.push(rule);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(rules: &[Value], group: &str, resource: &str, verb: &str) -> bool {
        let has = |rule: &Value, field: &str, wanted: &str| {
            rule[field].as_array().is_some_and(|list| list.iter().any(|item| item == wanted))
        };
        rules
            .iter()
            .any(|rule| has(rule, "apiGroups", group) && has(rule, "resources", resource) && has(rule, "verbs", verb))
    }

    fn all() -> Vec<Value> {
        let (mut rules, cluster) = rules().chosen(&Choice::default());
        rules.extend(cluster);
        rules
    }

    #[test]
    fn everything_the_providers_do_is_allowed() {
        let rules = all();
        let routers = routers::ROUTERS.iter().flat_map(|router| router.kinds()).copied();
        for access in routers.chain(kinds_of_workloads()).chain(services::KINDS.iter().copied()) {
            for verb in access.verbs {
                assert!(may(&rules, access.kind.group, access.kind.plural, verb), "{verb} {}", access.kind.resource());
            }
        }
    }

    #[test]
    fn every_router_is_reached_by_a_name() {
        let known = rules();
        for router in routers::ROUTERS {
            assert!(known.providers.iter().any(|provider| provider.name == router.name()), "{}", router.name());
        }
    }

    #[test]
    fn what_the_shell_itself_does_is_allowed() {
        let rules = all();
        for (group, resource, verbs) in [
            ("", "events", &["create", "patch"][..]),
            ("", "secrets", &["get", "list", "watch", "create", "update"]),
            ("", "configmaps", &["get", "list", "watch", "create", "update"]),
            ("flagger.app", "canaries", &["get", "list", "watch", "patch"]),
            ("flagger.app", "metrictemplates", &["get", "list", "watch"]),
            ("flagger.app", "alertproviders", &["get", "list", "watch"]),
            ("flagger.app", "canaries/status", &["patch"]),
            ("flagger.app", "canaries/finalizers", &["update"]),
            ("coordination.k8s.io", "leases", &["get", "create", "update"]),
        ] {
            for verb in verbs {
                assert!(may(&rules, group, resource, verb), "{verb} {resource}.{group}");
            }
        }
        assert!(rules.contains(&json!({ "nonResourceURLs": ["/version"], "verbs": ["get"] })));
    }

    #[test]
    fn nothing_beyond() {
        let rules = all();
        for (group, resource, verb) in [
            ("", "pods", "get"),
            ("", "events", "list"),
            ("", "secrets", "delete"),
            ("apps", "deployments", "delete"),
            ("flagger.app", "canaries", "create"),
            ("flagger.app", "canaries", "delete"),
            ("rbac.authorization.k8s.io", "roles", "get"),
        ] {
            assert!(!may(&rules, group, resource, verb), "{verb} {resource}.{group}");
        }
        let stars = rules.iter().flat_map(|rule| rule["verbs"].as_array().unwrap()).filter(|verb| *verb == "*");
        assert_eq!(stars.count(), 0);
    }

    #[test]
    fn a_choice_of_providers_leaves_the_others_out() {
        let choice = Choice { providers: vec!["nginx".to_owned()], no_leader_election: true, no_config_tracking: true };
        let (rules, _) = rules().chosen(&choice);
        assert!(may(&rules, "networking.k8s.io", "ingresses", "patch"));
        assert!(!may(&rules, "networking.istio.io", "virtualservices", "get"));
        assert!(!may(&rules, "coordination.k8s.io", "leases", "create"));
        assert!(!may(&rules, "", "secrets", "list"), "one by its name, not all of them");
        assert!(may(&rules, "", "secrets", "get"));
        assert!(!may(&rules, "", "configmaps", "get"));
    }
}
