//! Provider `nginx`: ingress-nginx splits traffic between the user's Ingress and a second one that is marked as its canary.
//!
//! Writes the Ingress `<ingressRef.name>-canary`: the rules of the user's Ingress for the apex, pointed to the canary's Service, with the share of traffic,
//! or the header or cookie that is looked for, in annotations. Of the user's Ingress nothing is written but the annotation `mirror-target`, while requests
//! are mirrored; it is the only place where ingress-nginx reads it, and one of the user's own stays. Session affinity: `affinity-canary-behavior` is honoured
//! on a canary Ingress, but the cookie itself comes from the user's Ingress, if it has one. Without, `canary-by-cookie` lets the application pin its clients;
//! a warning says both.
//! Source: notes on ingress routing, sections 1-3, 6 and 12, quirks K2, K7, F1, F13, F15, F25;
//! <https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/>

use super::{Router, RouterError};
use crate::access::{Access, WRITE};
use crate::metadata::{StringMap, owned_by, owner_reference, to_value};
use annotations::Keys;
use api::{Rollout, Strategy};
use conditions::Conditions;
use objects::kind::INGRESS;
use objects::paths::{annotation, labels, list, set, text};
use objects::{ObjectRef, Snapshot, Write};
use rollout::{Abilities, AffinityAbility, Routes, Weight};
use serde_json::{Value, json};

mod annotations;
mod conditions;

static KINDS: &[Access] = &[Access { kind: &INGRESS, verbs: WRITE }];

/// ingress-nginx.
#[derive(Debug)]
pub struct Nginx;

impl Router for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn kinds(&self) -> &'static [Access] {
        KINDS
    }

    fn abilities(&self, rollout: &Rollout, live: &Snapshot) -> Abilities {
        let conditions = Conditions::of(rollout);
        let apex = Ingresses::of(rollout).ok().and_then(|ingresses| live.look_or_missing(&ingresses.apex));
        let mirrors = apex.is_none_or(|apex| Mirror::on(apex, rollout) != Mirror::Elsewhere);
        let annotations = apex.map(objects::paths::annotations).unwrap_or_default();
        let mut missing = missing_matches(rollout, &conditions);
        missing.extend(missing_mirror(rollout, mirrors));
        missing.extend(missing_affinity(rollout, &annotations));
        Abilities {
            matches: rollout.analysis.matches.is_empty() || !conditions.is_empty(),
            mirrors,
            affinity: AffinityAbility::None,
            missing,
            ..Abilities::default()
        }
    }

    fn reads(&self, rollout: &Rollout) -> Vec<ObjectRef> {
        Ingresses::of(rollout).map(|ingresses| vec![ingresses.apex, ingresses.canary]).unwrap_or_default()
    }

    fn routes(&self, rollout: &Rollout, live: &Snapshot) -> Result<Routes, RouterError> {
        let ingresses = Ingresses::of(rollout)?;
        let canary = live
            .find(&ingresses.canary)
            .map_err(|error| ingresses.canary_error(&format!("get query error: {error}")))?;
        let annotations = objects::paths::annotations(canary);
        let weight = Keys::of(rollout).weight(&annotations, &Conditions::of(rollout)).map_err(RouterError::new)?;
        let apex = live.look_or_missing(&ingresses.apex);
        let mirrored = apex.is_some_and(|apex| Mirror::on(apex, rollout) == Mirror::ToCanary);
        Ok(Routes { canary: weight, mirrored, affinity: None })
    }

    fn render(&self, rollout: &Rollout, live: &Snapshot, want: &Routes) -> Result<Vec<Write>, RouterError> {
        let ingresses = Ingresses::of(rollout)?;
        let apex =
            live.find(&ingresses.apex).map_err(|error| ingresses.apex_error(&format!("get query error: {error}")))?;
        let spec = canary_spec(rollout, apex).ok_or_else(|| {
            RouterError::new(format!("backend {} not found in ingress {}", rollout.apex, ingresses.apex.name))
        })?;
        let canary = match live.look_or_missing(&ingresses.canary) {
            None => Some(ingresses.create(rollout, apex, &spec, want)),
            Some(present) => ingresses.update(rollout, apex, present, spec, want),
        };
        Ok(canary.into_iter().chain(ingresses.mirror(rollout, apex, want.mirrored)).collect())
    }

    /// The canary Ingress goes with the Canary if it is ours; another one stays, and then must not send anybody to a Service that is gone.
    fn revert(&self, rollout: &Rollout, live: &Snapshot) -> Result<Vec<Write>, RouterError> {
        let Ok(ingresses) = Ingresses::of(rollout) else { return Ok(Vec::new()) };
        let apex = live.look_or_missing(&ingresses.apex);
        let canary = live.look_or_missing(&ingresses.canary).filter(|canary| !owned_by(canary, rollout));
        let rested = canary.and_then(|present| {
            let mut annotations = Keys::of(rollout).kept(&objects::paths::annotations(present), false);
            annotations.extend(Keys::of(rollout).traffic(rollout, &Conditions::default(), Weight::ZERO));
            let mut wanted = present.clone();
            set(&mut wanted, &["metadata", "annotations"], to_value(&annotations));
            Write::update(ingresses.canary.clone(), present, &wanted, ingresses.canary_text("update error "))
        });
        let unmirrored = apex.and_then(|apex| ingresses.mirror(rollout, apex, false));
        Ok(rested.into_iter().chain(unmirrored).collect())
    }
}

/// The user's Ingress and its canary.
struct Ingresses {
    apex: ObjectRef,
    canary: ObjectRef,
}

impl Ingresses {
    fn of(rollout: &Rollout) -> Result<Self, RouterError> {
        let name = rollout.ingress.as_deref().ok_or_else(|| RouterError::new("ingress selector is empty"))?;
        let ingress = |name: &str| INGRESS.object(&rollout.namespace, name);
        Ok(Self { apex: ingress(name), canary: ingress(&format!("{name}-canary")) })
    }

    fn create(&self, rollout: &Rollout, apex: &Value, spec: &Value, want: &Routes) -> Write {
        let mut object = json!({
            "apiVersion": INGRESS.api_version(),
            "kind": INGRESS.kind,
            "metadata": {"name": &*self.canary.name, "namespace": &*self.canary.namespace},
            "spec": spec,
        });
        set(&mut object, &["metadata", "labels"], to_value(&labels(apex)));
        set(&mut object, &["metadata", "annotations"], to_value(&wanted_annotations(rollout, apex, None, want)));
        if rollout.settings.own_routes {
            set(&mut object, &["metadata", "ownerReferences"], json!([owner_reference(rollout)]));
        }
        let name = format!("{}.{}", self.canary.name, self.canary.namespace);
        let write = Write::create(self.canary.clone(), object, self.canary_text("create error: "));
        write.logging(format!("Ingress {name} created"))
    }

    fn update(&self, rollout: &Rollout, apex: &Value, present: &Value, spec: Value, want: &Routes) -> Option<Write> {
        let annotations = wanted_annotations(rollout, apex, Some(present), want);
        let routed = !Keys::of(rollout).same_traffic(&objects::paths::annotations(present), &annotations);
        let mut wanted = present.clone();
        set(&mut wanted, &["spec"], spec);
        set(&mut wanted, &["metadata", "annotations"], to_value(&annotations));
        // The reference moves traffic in one request and repairs in another; only the text of the latter has a colon (quirk K2).
        let failure = self.canary_text(if routed { "update error " } else { "update error: " });
        let write = Write::update(self.canary.clone(), present, &wanted, failure)?;
        Some(if routed { write } else { write.logging(format!("Ingress {} updated", self.canary.name)) })
    }

    /// Sets or removes our annotation on the user's Ingress. One of the user's own stays.
    fn mirror(&self, rollout: &Rollout, apex: &Value, mirrored: bool) -> Option<Write> {
        let value = match (Mirror::on(apex, rollout), mirrored) {
            (Mirror::Elsewhere, _) | (Mirror::Nowhere, false) => return None,
            (_, true) => Value::from(mirror_target(rollout)),
            (Mirror::ToCanary, false) => Value::Null,
        };
        let mut wanted = apex.clone();
        set(&mut wanted, &["metadata", "annotations", &Keys::of(rollout).key(MIRROR_TARGET)], value);
        Write::update(self.apex.clone(), apex, &wanted, self.apex_text("update error: "))
    }

    fn apex_text(&self, what: &str) -> String {
        format!("ingress {}.{} {what}", self.apex.name, self.apex.namespace)
    }

    fn canary_text(&self, what: &str) -> String {
        format!("ingress {}.{} {what}", self.canary.name, self.canary.namespace)
    }

    fn apex_error(&self, what: &str) -> RouterError {
        RouterError::new(self.apex_text(what))
    }

    fn canary_error(&self, what: &str) -> RouterError {
        RouterError::new(self.canary_text(what))
    }
}

/// The annotations of the canary Ingress, from the live one (`None`: it is created) and the user's.
fn wanted_annotations(rollout: &Rollout, apex: &Value, present: Option<&Value>, want: &Routes) -> StringMap {
    let keys = Keys::of(rollout);
    let mut annotations = present
        .map(|present| keys.kept(&objects::paths::annotations(present), owned_by(present, rollout)))
        .unwrap_or_default();
    annotations.extend(keys.inherited(&objects::paths::annotations(apex)));
    if Mirror::on(apex, rollout) == Mirror::ToCanary {
        annotations.remove(&keys.key(MIRROR_TARGET));
    }
    annotations.extend(keys.traffic(rollout, &Conditions::of(rollout), want.canary));
    annotations
}

/// The user's spec with those rules and paths only that point to the apex, pointed to the canary; `None` if there are none. Paths to other Services would
/// be marked as canaries too (quirk F25), and a `defaultBackend` worse so: ingress-nginx takes every location of that Service out of service.
fn canary_spec(rollout: &Rollout, apex: &Value) -> Option<Value> {
    let rules: Vec<Value> = list(apex, "/spec/rules").filter_map(|rule| canary_rule(rollout, rule)).collect();
    if rules.is_empty() {
        return None;
    }
    let mut spec = apex.get("spec")?.clone();
    set(&mut spec, &["rules"], Value::Array(rules));
    set(&mut spec, &["defaultBackend"], Value::Null);
    Some(spec)
}

/// A rule without `http` has no paths, and is left out like any other that does not point to the apex (quirk F13).
fn canary_rule(rollout: &Rollout, rule: &Value) -> Option<Value> {
    let to_apex = list(rule, "/http/paths").filter(|path| text(path, "/backend/service/name") == rollout.apex);
    let paths: Vec<Value> = to_apex
        .map(|path| {
            let mut path = path.clone();
            set(&mut path, &["backend", "service", "name"], json!(rollout.canary_service));
            path
        })
        .collect();
    let mut wanted = rule.clone();
    set(&mut wanted, &["http", "paths"], Value::Array(paths.clone()));
    (!paths.is_empty()).then_some(wanted)
}

const MIRROR_TARGET: &str = "mirror-target";

/// Where an Ingress mirrors its requests to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mirror {
    Nowhere,
    ToCanary,
    Elsewhere,
}

impl Mirror {
    /// Ours is any target on the canary's Service, whatever the port: that may have changed since.
    fn on(apex: &Value, rollout: &Rollout) -> Self {
        match annotation(apex, &Keys::of(rollout).key(MIRROR_TARGET)) {
            None => Self::Nowhere,
            Some(target) => match target.strip_prefix(&canary_url(rollout)) {
                Some(rest) if rest.starts_with([':', '/', '$']) => Self::ToCanary,
                _ => Self::Elsewhere,
            },
        }
    }
}

fn canary_url(rollout: &Rollout) -> String {
    format!("http://{}.{}.svc.cluster.local", rollout.canary_service, rollout.namespace)
}

fn mirror_target(rollout: &Rollout) -> String {
    format!("{}:{}$request_uri", canary_url(rollout), rollout.service.port)
}

/// What `analysis.match` asks for and ingress-nginx cannot do, or not as asked.
fn missing_matches(rollout: &Rollout, conditions: &Conditions) -> Vec<String> {
    let mut missing = Vec::new();
    if !conditions.ignored.is_empty() {
        let ignored = conditions.ignored.join(", ");
        missing
            .push(format!("analysis.match is not fully supported when using the nginx provider, ignored: {ignored}"));
    }
    if !conditions.is_empty() && rollout.strategy == Strategy::Weighted {
        missing.push(
            "step weights are not supported with analysis.match when using the nginx provider, all matching requests go to the canary from the first step"
                .to_owned(),
        );
    }
    missing
}

/// An Ingress has one mirror, of all requests. `mirrors`: it is not taken.
fn missing_mirror(rollout: &Rollout, mirrors: bool) -> Option<String> {
    let (analysis, weight) = (&rollout.analysis, rollout.analysis.mirror_weight);
    if !analysis.mirror {
        return None;
    }
    if !mirrors {
        let (key, ingress) = (Keys::of(rollout).key(MIRROR_TARGET), rollout.ingress.as_deref().unwrap_or_default());
        return Some(format!(
            "mirror is not possible while ingress {ingress} mirrors requests to somewhere else, remove its annotation {key} to have them mirrored to the canary"
        ));
    }
    (1..100).contains(&weight).then(|| {
        format!("mirrorWeight {weight} is not supported when using the nginx provider, all requests are mirrored")
    })
}

/// Clients keep their side by a cookie of the application, or by one of ingress-nginx, which takes it from the user's Ingress (`apex`: its annotations).
fn missing_affinity(rollout: &Rollout, apex: &StringMap) -> Vec<String> {
    let Some(asked) = &rollout.analysis.session_affinity else { return Vec::new() };
    let mut missing = Vec::new();
    if let Some(affinity) = annotations::affinity(rollout) {
        let lacking = Keys::of(rollout).lacking(affinity, apex).join(", ");
        if !lacking.is_empty() {
            let (cookie, ingress) = (&affinity.cookie_name, rollout.ingress.as_deref().unwrap_or_default());
            missing.push(format!(
                "sessionAffinity is not fully supported when using the nginx provider: requests with the cookie {cookie}=always go to the canary and those with {cookie}=never to the primary, so either let the application set that cookie, or let ingress-nginx keep clients where they are by adding to ingress {ingress} the annotations {lacking}"
            ));
        }
    } else {
        missing.push("sessionAffinity is not supported with analysis.match when using the nginx provider".to_owned());
    }
    if asked.primary_cookie_name.as_deref().is_some_and(|name| !name.is_empty()) {
        missing.push("primaryCookieName is not supported when using the nginx provider".to_owned());
    }
    missing
}

#[cfg(test)]
mod tests;
