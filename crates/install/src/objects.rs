//! The controller's objects: namespace, account, role, binding and Deployment.
//!
//! One function per object, so that each package takes those that its layout has. The chart's templates make the same (a test compares them).
//! Source: operations notes, sections 6.2, 10 and 11.

use crate::rules::{Choice, rules};
use crate::{REPOSITORY, VERSION};
use serde_json::{Map, Value, json};

/// Name of the controller's objects.
pub const NAME: &str = "flagger";

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// What may differ between installations.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the controller runs.
    pub namespace: String,
    /// The one namespace that it watches; empty for all.
    pub watched: String,
    /// Its image.
    pub image: String,
    /// Its arguments, behind `./flagger`.
    pub arguments: Vec<String>,
    /// Pods. More than one need leader election.
    pub replicas: u32,
    /// Whether they take turns by a lease (the arguments say so to the program).
    pub leader_election: bool,
    /// Its permissions.
    pub choice: Choice,
}

impl Settings {
    /// One pod in that namespace, for all namespaces and every provider.
    pub fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            watched: String::new(),
            image: format!("{REPOSITORY}:{VERSION}"),
            arguments: Vec::new(),
            replicas: 1,
            leader_election: false,
            choice: Choice::default(),
        }
    }
}

/// The labels of all objects.
pub(crate) fn labelled(name: &str) -> Value {
    json!({ "app": name, "app.kubernetes.io/name": name })
}

/// An object with metadata only; `namespace` empty where it has none.
pub(crate) fn named(api_version: &str, kind: &str, name: &str, namespace: &str) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(name));
    if !namespace.is_empty() {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    metadata.insert("labels".to_owned(), labelled(name));
    json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata })
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
    object
}

/// The three definitions of `flagger.app`.
pub fn definitions() -> Vec<Value> {
    api::crd::all().to_vec()
}

/// The namespace itself. Without labels: it may be somebody's.
pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

pub(crate) fn service_account(name: &str, namespace: &str) -> Value {
    named("v1", "ServiceAccount", name, namespace)
}

/// Binds a role of that name to the account of that name; `place` is the role's namespace, empty for a cluster role.
pub(crate) fn binding(role: &str, name: &str, place: &str, account_namespace: &str) -> Value {
    let binding = with(
        named(RBAC, &format!("{role}Binding"), name, place),
        "roleRef",
        json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name }),
    );
    with(binding, "subjects", json!([{ "kind": "ServiceAccount", "name": name, "namespace": account_namespace }]))
}

/// The account with its permissions: a cluster role, and, where one namespace is watched, most of it as a role in there.
pub fn account(settings: &Settings) -> Vec<Value> {
    let (own, cluster) = rules().chosen(&settings.choice);
    let role = |kind: &str, place: &str, rules: &[Value]| with(named(RBAC, kind, NAME, place), "rules", json!(rules));
    let mut objects = vec![service_account(NAME, &settings.namespace)];
    if settings.watched.is_empty() {
        objects.push(role("ClusterRole", "", &[own, cluster].concat()));
    } else {
        objects.push(role("Role", &settings.watched, &own));
        objects.push(binding("Role", NAME, &settings.watched, &settings.namespace));
        objects.push(role("ClusterRole", "", &cluster));
    }
    objects.push(binding("ClusterRole", NAME, "", &settings.namespace));
    objects
}

/// The controller.
pub fn deployment(settings: &Settings) -> Value {
    let mut spec = Map::new();
    spec.insert("replicas".to_owned(), json!(settings.replicas));
    if !settings.leader_election {
        // Without a lease two of them would both act. The null takes away what the server has filled in for another strategy.
        spec.insert("strategy".to_owned(), json!({ "type": "Recreate", "rollingUpdate": null }));
    }
    spec.insert("selector".to_owned(), json!({ "matchLabels": { "app": NAME } }));
    spec.insert(
        "template".to_owned(),
        json!({
            "metadata": {
                "labels": labelled(NAME),
                "annotations": { "prometheus.io/scrape": "true", "prometheus.io/port": "8080" },
            },
            "spec": { "serviceAccountName": NAME, "containers": [container(settings)] },
        }),
    );
    with(named("apps/v1", "Deployment", NAME, &settings.namespace), "spec", Value::Object(spec))
}

fn container(settings: &Settings) -> Value {
    let mut container = Map::new();
    container.insert("name".to_owned(), json!(NAME));
    container.insert("image".to_owned(), json!(settings.image));
    container.insert("imagePullPolicy".to_owned(), json!("IfNotPresent"));
    container.insert("command".to_owned(), json!(["./flagger"]));
    if !settings.arguments.is_empty() {
        container.insert("args".to_owned(), json!(settings.arguments));
    }
    let further = json!({
        "ports": [{ "name": "http", "containerPort": 8080 }],
        "livenessProbe": { "httpGet": { "path": "/healthz", "port": "http" }, "timeoutSeconds": 5 },
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": "http" }, "timeoutSeconds": 5 },
        // The server listens when the caches are warm, which takes its time in a large cluster.
        "startupProbe": { "httpGet": { "path": "/healthz", "port": "http" }, "periodSeconds": 2, "failureThreshold": 90 },
        "resources": {
            "requests": { "cpu": "10m", "memory": "32Mi" },
            "limits": { "cpu": "1000m", "memory": "512Mi" },
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": 10001,
            "capabilities": { "drop": ["ALL"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        },
    });
    if let Value::Object(further) = further {
        container.extend(further);
    }
    Value::Object(container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_watched_namespace_needs_a_role_there_and_little_beside() {
        let settings = Settings { watched: "shop".to_owned(), ..Settings::new("system") };
        let objects = account(&settings);
        let kinds: Vec<_> = objects
            .iter()
            .map(|object| {
                (object["kind"].as_str().unwrap(), object["metadata"]["namespace"].as_str().unwrap_or_default())
            })
            .collect();
        let wanted = [
            ("ServiceAccount", "system"),
            ("Role", "shop"),
            ("RoleBinding", "shop"),
            ("ClusterRole", ""),
            ("ClusterRoleBinding", ""),
        ];
        assert_eq!(kinds, wanted);
        assert_eq!(objects[2]["subjects"][0]["namespace"], "system");
        assert!(!objects[3].to_string().contains("secrets"), "{}", objects[3]);
    }

    #[test]
    fn two_pods_without_a_lease_never_run_side_by_side() {
        let mut settings = Settings::new("x");
        assert_eq!(deployment(&settings).pointer("/spec/strategy/type"), Some(&json!("Recreate")));
        settings.leader_election = true;
        assert_eq!(deployment(&settings).pointer("/spec/strategy"), None);
    }
}
