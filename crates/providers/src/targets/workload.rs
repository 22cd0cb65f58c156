//! What Deployments and `DaemonSet`s have in common: a pod template, and a primary that is a copy of the target with names and labels of its own.
//!
//! Reads the live target and primary and renders the primary; scaling and readiness are the business of the kind's own file. Objects are cloned and
//! changed at named paths, so that fields nobody has heard of survive a copy and a promotion.

use super::configs::Tracked;
use super::selectors::Selector;
use super::{Fresh, TargetError};
use crate::metadata::{self, DEPLOYMENT_REVISION, ID, LAST_APPLIED, StringMap};
use api::Rollout;
use objects::diff::equivalent;
use objects::hash::{self, Generation};
use objects::{Absent, Change, Kind, ObjectRef, Snapshot, Write, paths};
use rollout::Revision;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A kind of workload with a pod template.
#[derive(Debug)]
pub(super) struct Workload {
    /// The kind.
    pub(super) kind: &'static Kind,
    /// How texts call it, e.g. `deployment`.
    pub(super) noun: &'static str,
    /// Fields of `spec` that the primary has as the target has them, absence included.
    pub(super) shared: &'static [&'static str],
    /// Fields of `spec` in which they differ. Fields in neither list are copied where the target has them.
    pub(super) own: &'static [&'static str],
    /// What else is different in the primary's pod spec.
    pub(super) adapt: fn(&mut Value, &Rollout),
    /// The hash of `spec.template`.
    pub(super) hash: fn(&Value, Generation) -> String,
}

/// The target with all that a copy of it depends on.
struct Original<'a> {
    target: &'a Value,
    selector: Selector,
    tracked: Tracked,
}

impl Workload {
    /// Where the target is.
    pub(super) fn target_ref(&self, rollout: &Rollout) -> ObjectRef {
        self.kind.object(&rollout.namespace, &rollout.target.name)
    }

    /// Where the primary is.
    pub(super) fn primary_ref(&self, rollout: &Rollout) -> ObjectRef {
        self.kind.object(&rollout.namespace, &rollout.primary)
    }

    /// The live target.
    pub(super) fn target<'a>(&self, rollout: &Rollout, live: &'a Snapshot) -> Result<&'a Value, TargetError> {
        self.find(live, &self.target_ref(rollout))
    }

    /// The live primary.
    pub(super) fn primary<'a>(&self, rollout: &Rollout, live: &'a Snapshot) -> Result<&'a Value, TargetError> {
        self.find(live, &self.primary_ref(rollout))
    }

    fn find<'a>(&self, live: &'a Snapshot, reference: &ObjectRef) -> Result<&'a Value, TargetError> {
        live.find(reference).map_err(|absent| self.unreadable(reference, &absent))
    }

    /// The error of not getting an object.
    pub(super) fn unreadable(&self, reference: &ObjectRef, absent: &Absent) -> TargetError {
        let text = format!("{} {}.{} get query error: {absent}", self.noun, reference.name, reference.namespace);
        if absent.is_not_found() { TargetError::Missing(text) } else { TargetError::new(text) }
    }

    /// The selector label of a target.
    pub(super) fn selector(&self, rollout: &Rollout, target: &Value) -> Result<Selector, TargetError> {
        Selector::of(target, self.noun, rollout)
    }

    /// What the primary is made from.
    fn original<'a>(&self, rollout: &Rollout, live: &Snapshot, target: &'a Value) -> Result<Original<'a>, TargetError> {
        let selector = self.selector(rollout, target)?;
        let tracked = Tracked::of(rollout, live, pod_spec(target))?;
        Ok(Original { target, selector, tracked })
    }

    /// Creates the primary where it is missing, with the copies of its configs before it. `finish` adds what only the kind knows, given the target.
    pub(super) fn create(
        &self,
        rollout: &Rollout,
        live: &Snapshot,
        fresh: &Fresh,
        finish: impl FnOnce(&mut Value, &Value),
    ) -> Result<Vec<Write>, TargetError> {
        let target = self.target(rollout, live)?;
        // A target without selector label is told also when its primary exists.
        self.selector(rollout, target)?;
        let reference = self.primary_ref(rollout);
        if live.look(&reference).map_err(|absent| self.unreadable(&reference, &absent))?.is_some() {
            return Ok(Vec::new());
        }
        let original = self.original(rollout, live, target)?;
        let mut primary = self.new_primary(rollout, &original, fresh);
        finish(&mut primary, target);
        let full_name = format!("{}.{}", reference.name, reference.namespace);
        let mut writes = original.tracked.copies(rollout, live)?;
        writes.push(
            Write::create(reference, primary, format!("creating {} {full_name} failed: ", self.noun))
                .logging(format!("{} {full_name} created", self.kind.kind)),
        );
        Ok(writes)
    }

    /// Makes the primary what the target is, if the target is that revision: the copies of its configs first, so that a crash in between leaves new
    /// configs with old pods and not pods without configs. `finish` adds what only the kind knows, given the target.
    pub(super) fn promote(
        &self,
        rollout: &Rollout,
        live: &Snapshot,
        fresh: &Fresh,
        revision: &str,
        finish: impl FnOnce(&mut Value, &Value),
    ) -> Result<Vec<Write>, TargetError> {
        let promote = || {
            let target = self.target(rollout, live)?;
            if (self.hash)(template(target), Generation::CURRENT) != revision {
                return Err(TargetError::Changed);
            }
            self.selector(rollout, target)?;
            let primary = self.primary(rollout, live)?;
            let original = self.original(rollout, live, target)?;
            let mut wanted = self.promoted(rollout, &original, fresh, primary);
            finish(&mut wanted, target);
            let mut writes = original.tracked.copies(rollout, live)?;
            writes.extend(self.update(rollout, primary, &wanted));
            Ok(writes)
        };
        let full_name = format!("{}.{}", rollout.primary, rollout.namespace);
        under(&format!("updating {} {full_name} template spec failed: ", self.noun), promote())
    }

    /// A new primary, without `spec.replicas` and the like.
    fn new_primary(&self, rollout: &Rollout, original: &Original<'_>, fresh: &Fresh) -> Value {
        let mut annotations = metadata::drop_toolkit(&paths::annotations(original.target));
        // Both tell of the target's past and are wrong on a copy.
        annotations.remove(LAST_APPLIED);
        annotations.remove(DEPLOYMENT_REVISION);
        let mut primary = json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.kind,
            "metadata": {
                "name": rollout.primary,
                "namespace": rollout.namespace,
                "labels": original.labels(rollout),
                "annotations": annotations,
                "ownerReferences": [metadata::owner_reference(rollout)],
            },
            "spec": {"selector": {"matchLabels": {&original.selector.label: original.selector.primary_value()}}},
        });
        self.share(&mut primary, original.target);
        self.copy_template(rollout, original, &fresh.id, &mut primary);
        primary
    }

    /// The live primary, changed to what the target is. Replicas and the like are not touched.
    fn promoted(&self, rollout: &Rollout, original: &Original<'_>, fresh: &Fresh, primary: &Value) -> Value {
        let mut wanted = primary.clone();
        let mut annotations = metadata::by_prefix(&paths::annotations(original.target), &rollout.settings);
        annotations.remove(DEPLOYMENT_REVISION);
        // The count of the primary's own revisions belongs to its controller, which would only write it again.
        if let Some(count) = paths::annotation(primary, DEPLOYMENT_REVISION) {
            annotations.insert(DEPLOYMENT_REVISION.to_owned(), count.to_owned());
        }
        paths::set(&mut wanted, &["metadata", "labels"], metadata::to_value(&original.labels(rollout)));
        paths::set(&mut wanted, &["metadata", "annotations"], metadata::to_value(&annotations));
        self.share(&mut wanted, original.target);
        self.copy_template(rollout, original, &fresh.id, &mut wanted);
        wanted
    }

    /// The write that makes the live primary what is wanted, `None` where it is.
    ///
    /// Its pod template is compared to the letter: there an empty map may mean something else than none (an empty `namespaceSelector` selects all
    /// namespaces), and that difference is a revision of its own.
    fn update(&self, rollout: &Rollout, primary: &Value, wanted: &Value) -> Option<Write> {
        let mut write = Write::update(self.primary_ref(rollout), primary, wanted, "")?;
        if let Change::Merge { patch, .. } = &mut write.change
            && let Some(exact) = exact_patch(template(primary), template(wanted))
        {
            paths::set(patch, &["spec", "template"], exact);
        }
        Some(write)
    }

    /// Whether the primary's pods run what a promotion of the target would give them now, copies of configs included. Their `flagger-id` does not count,
    /// nor do fields of the pod spec that a server has filled in.
    pub(super) fn is_current(&self, rollout: &Rollout, live: &Snapshot, primary: &Value) -> bool {
        let target = self.target(rollout, live);
        let Ok(original) = target.and_then(|target| self.original(rollout, live, target)) else { return false };
        let mut wanted = json!({});
        self.copy_template(rollout, &original, "", &mut wanted);
        let without_id = |object: &Value| {
            let mut annotations = paths::strings(object, "/spec/template/metadata/annotations");
            annotations.remove(ID);
            (annotations, paths::strings(object, "/spec/template/metadata/labels"))
        };
        without_id(&wanted) == without_id(primary)
            && covers(pod_spec(primary), pod_spec(&wanted))
            && original.tracked.are_copied(rollout, live)
    }

    /// Copies the fields of `spec` that both have in common.
    fn share(&self, primary: &mut Value, target: &Value) {
        for field in self.shared {
            let value = target.pointer("/spec").and_then(|spec| spec.get(field)).cloned().unwrap_or_default();
            paths::set(primary, &["spec", field], value);
        }
        let known = |field: &str| self.shared.contains(&field) || self.own.contains(&field);
        for (field, value) in target.pointer("/spec").and_then(Value::as_object).unwrap_or(&Map::new()) {
            if !known(field) {
                paths::set(primary, &["spec", field], value.clone());
            }
        }
    }

    /// Copies the pod template. Other metadata that the primary's template has stays.
    fn copy_template(&self, rollout: &Rollout, original: &Original<'_>, id: &str, primary: &mut Value) {
        let strings = |field: &str| paths::strings(original.target, &format!("/spec/template/metadata/{field}"));
        let labels =
            metadata::primary_labels(&strings("labels"), &original.selector.label, &original.selector.primary_value());
        let annotations = metadata::pod_annotations(&strings("annotations"), id);
        let mut spec = pod_spec(original.target).clone();
        original.tracked.rewrite(&mut spec);
        (self.adapt)(&mut spec, rollout);
        paths::set(primary, &["spec", "template", "metadata", "labels"], json!(labels));
        paths::set(primary, &["spec", "template", "metadata", "annotations"], json!(annotations));
        paths::set(primary, &["spec", "template", "spec"], spec);
    }

    /// Which revision a target is. `stored`: the hashes in the status.
    pub(super) fn revision(&self, rollout: &Rollout, live: &Snapshot, target: &Value, stored: &[&str]) -> Revision {
        let hash = |generation| (self.hash)(template(target), generation);
        let current = hash(Generation::CURRENT);
        let known = stored.contains(&current.as_str());
        // A successor of the formula is announced whose hashes have a version in front.
        let foreign = stored.iter().any(|stored| stored.contains(':'));
        let comparable = known || (!foreign && hash::reproducible(template(target)));
        let takeover = !known && comparable && stored.iter().any(|stored| !stored.is_empty());
        Revision {
            older: if takeover { Generation::OLDER.into_iter().map(hash).collect() } else { Vec::new() },
            same_images: !comparable
                && self.primary(rollout, live).is_ok_and(|primary| images(primary) == images(target)),
            hash: current,
            comparable,
        }
    }
}

impl Original<'_> {
    /// The labels of the primary itself.
    fn labels(&self, rollout: &Rollout) -> StringMap {
        let included = metadata::by_prefix(&paths::labels(self.target), &rollout.settings);
        metadata::primary_labels(&included, &self.selector.label, &self.selector.primary_value())
    }
}

fn template(workload: &Value) -> &Value {
    workload.pointer("/spec/template").unwrap_or(&Value::Null)
}

/// `spec.template.spec` of a workload.
pub(super) fn pod_spec(workload: &Value) -> &Value {
    workload.pointer("/spec/template/spec").unwrap_or(&Value::Null)
}

/// The same error with a text in front; [`TargetError::Changed`] stays as it is.
pub(super) fn prefixed(prefix: &str) -> impl Fn(TargetError) -> TargetError + use<'_> {
    move |error| match error {
        TargetError::Passing(text) => TargetError::new(format!("{prefix}{text}")),
        TargetError::Missing(text) => TargetError::Missing(format!("{prefix}{text}")),
        TargetError::Changed => error,
    }
}

/// The same writes with a text in front of what their failure says, or the same error with it.
pub(super) fn under(prefix: &str, writes: Result<Vec<Write>, TargetError>) -> Result<Vec<Write>, TargetError> {
    let mut writes = writes.map_err(prefixed(prefix))?;
    for write in &mut writes {
        write.failure.insert_str(0, prefix);
    }
    Ok(writes)
}

/// Whether everything wanted is there. Maps may have more, lists may not.
fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, inner)| covers(live.get(key).unwrap_or(&Value::Null), inner))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        _ => equivalent(live, wanted),
    }
}

/// The JSON merge patch between two values, in which absence and emptiness differ.
fn exact_patch(live: &Value, wanted: &Value) -> Option<Value> {
    if live == wanted {
        return None;
    }
    let (Value::Object(live), Value::Object(wanted)) = (live, wanted) else { return Some(wanted.clone()) };
    let removed = live.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = wanted.iter().filter_map(|(key, inner)| {
        let patch = live.get(key).map_or_else(|| Some(inner.clone()), |present| exact_patch(present, inner));
        Some((key.clone(), patch?))
    });
    Some(Value::Object(removed.chain(changed).collect()))
}

/// Images by name of the container, init containers apart.
fn images(workload: &Value) -> BTreeMap<(&str, &str), &str> {
    let of = |list: &'static str| {
        let containers = paths::list(pod_spec(workload), list);
        containers.map(move |container| ((list, paths::text(container, "/name")), paths::text(container, "/image")))
    };
    of("/containers").chain(of("/initContainers")).collect()
}
