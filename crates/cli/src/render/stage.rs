//! A Canary's objects, made by the providers' own functions from the manifests alone.
//!
//! The shell's loop without a shell: writes go into a snapshot, in the order in which a decision would make them. What was created or changed is
//! remembered, so that it can be shown.

use crate::given::Given;
use api::{Canary, Rollout, Settings};
use objects::diff::apply_merge_patch;
use objects::{Change, ObjectRef, Snapshot, Write, paths};
use providers::routers::{self, Router};
use providers::scalers::{self, Scaler};
use providers::services;
use providers::targets::{self, Fresh, Pods, Target};
use rollout::{Abilities, Affinity, Routes};
use serde_json::Value;
use std::sync::Arc;

/// Stands for the random value that restarts the primary's pods.
const ID: &str = "00000000-0000-4000-8000-000000000000";

/// A Canary among the manifests, and who is in charge of it.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The Canary, resolved.
    pub(crate) rollout: Rollout,
    router: &'static dyn Router,
    target: &'static dyn Target,
    scaler: Option<&'static dyn Scaler>,
    live: Snapshot,
    changes: Vec<(ObjectRef, Kind)>,
}

/// What was done to an object first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was made.
    Created,
    /// It was there: the user's.
    Changed,
}

/// Why something cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct StageError {
    /// The text of the event that the controller would emit.
    pub(crate) text: String,
    /// The field of the Canary it is about; may be empty.
    pub(crate) path: &'static str,
}

fn at(path: &'static str) -> impl Fn(String) -> StageError {
    move |text| StageError { text, path }
}

impl Stage {
    /// Puts a Canary on the stage. Error: nobody can be in charge of it.
    pub(crate) fn new(given: &Given, canary: &Canary, settings: &Arc<Settings>) -> Result<Self, StageError> {
        let rollout = Rollout::resolve(canary, settings);
        let unknown = |what: &str, name: &str, path| {
            at(path)(format!("{what} {name} is not supported by this version, nothing would be changed"))
        };
        let reference = &rollout.target;
        let target = targets::target(&reference.api_version, &reference.kind)
            .ok_or_else(|| unknown("target kind", &reference.kind, "spec.targetRef.kind"))?;
        let router = routers::router(&rollout.provider)
            .ok_or_else(|| unknown("provider", &rollout.provider, "spec.provider"))?;
        let scaler = rollout.autoscaler.as_ref().and_then(|reference| scalers::scaler(&reference.kind));
        if let (None, Some(reference)) = (scaler, rollout.autoscaler.as_ref().filter(|it| it.kind == "ScaledObject")) {
            return Err(unknown("autoscaler kind", &reference.kind, "spec.autoscalerRef.kind"));
        }
        Ok(Self { router, target, scaler, live: given.snapshot(&rollout.namespace), changes: Vec::new(), rollout })
    }

    /// What the router can do for this Canary.
    pub(crate) fn abilities(&self) -> Abilities {
        self.router.abilities(&self.rollout, &self.live)
    }

    /// How Services select the pods.
    pub(crate) fn pods(&self) -> Result<Option<Pods>, StageError> {
        let pods = self.target.pods(&self.rollout, &self.live);
        pods.map_err(|error| at("spec.targetRef")(error.to_string()))
    }

    /// Everything that is there before the first release: the primary serves, the target is scaled to zero.
    pub(crate) fn initialize(&mut self) -> Result<(), StageError> {
        let pods = self.pods()?;
        if let Some(pods) = &pods {
            let sides = services::ensure_sides(&self.rollout, pods, &self.live);
            self.take(sides, "spec.service")?;
        }
        let primary = self.target.create_primary(&self.rollout, &self.live, &fresh(), None);
        self.take(primary, "spec.targetRef")?;
        if let (Some(scaler), Some(reference)) = (self.scaler, self.rollout.autoscaler.clone()) {
            let copy = scaler.create_primary(&self.rollout, &reference, &self.live, &fresh());
            self.take(copy, "spec.autoscalerRef")?;
        }
        if let Some(pods) = &pods {
            let apex = services::ensure_apex(&self.rollout, pods, &self.live);
            self.take(apex, "spec.service")?;
        }
        self.route(&Routes::to_primary())?;
        let down = self.target.scale_down(&self.rollout, &self.live);
        self.take(down, "spec.targetRef")
    }

    /// The new revision runs.
    pub(crate) fn scale_up(&mut self) -> Result<(), StageError> {
        let minimum = match (self.scaler, &self.rollout.autoscaler) {
            (Some(scaler), Some(reference)) => Some(scaler.minimum(&self.rollout, reference, &self.live).unwrap_or(1)),
            (None, Some(_)) => Some(1),
            (_, None) => None,
        };
        let up = self.target.scale_up(&self.rollout, &self.live, minimum);
        self.take(up, "spec.targetRef")
    }

    /// Traffic goes there.
    pub(crate) fn route(&mut self, routes: &Routes) -> Result<(), StageError> {
        let writes = self.router.render(&self.rollout, &self.live, routes);
        self.take(writes, "spec.provider")
    }

    /// The primary is what the target is, all traffic goes to it, and the target is scaled to zero. `expired`: the cookie to be taken back from clients.
    pub(crate) fn promote(&mut self, expired: Option<String>) -> Result<(), StageError> {
        let now = fresh().now;
        let seen = self.target.target(&self.rollout, &self.live, &[], now);
        let revision = seen.map_err(|error| at("spec.targetRef")(error.to_string()))?.revision.hash;
        let promoted = self.target.promote(&self.rollout, &self.live, &fresh(), &revision);
        self.take(promoted, "spec.targetRef")?;
        if let (Some(scaler), Some(reference)) = (self.scaler, self.rollout.autoscaler.clone()) {
            let copy = scaler.update_primary(&self.rollout, &reference, &self.live, &fresh());
            self.take(copy, "spec.autoscalerRef")?;
        }
        let affinity = expired.map(|cookie| Affinity { expired: Some(cookie), ..Affinity::default() });
        self.route(&Routes { affinity, ..Routes::to_primary() })?;
        let down = self.target.scale_down(&self.rollout, &self.live);
        self.take(down, "spec.targetRef")
    }

    /// What was created or changed, in the order in which it was done first, as it is now.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&ObjectRef, Kind, &Value)> {
        self.changes
            .iter()
            .filter_map(|(reference, kind)| Some((reference, *kind, self.live.look_or_missing(reference)?)))
    }

    fn take<E: ToString>(&mut self, writes: Result<Vec<Write>, E>, path: &'static str) -> Result<(), StageError> {
        for write in writes.map_err(|error| at(path)(error.to_string()))? {
            self.apply(write);
        }
        Ok(())
    }

    fn apply(&mut self, write: Write) {
        let present = self.live.look_or_missing(&write.target).cloned();
        let kind = if present.is_some() { Kind::Changed } else { Kind::Created };
        let object = match write.change {
            Change::Create(object) => object,
            Change::Merge { patch, .. } => {
                let mut object = present.unwrap_or_default();
                apply_merge_patch(&mut object, &patch);
                object
            }
            Change::CopyContent { from, envelope, .. } => {
                let source = self.live.look_or_missing(&from).cloned().unwrap_or_default();
                if let Ok(digest) = self.live.digest(&from) {
                    self.live.insert_digest(write.target.clone(), Ok(digest.clone()));
                }
                with_content(envelope, &source)
            }
            Change::Delete => {
                self.live.remove(&write.target);
                return;
            }
        };
        if !self.changes.iter().any(|(reference, _)| *reference == write.target) {
            self.changes.push((write.target.clone(), kind));
        }
        self.live.insert(write.target, Arc::new(object));
    }
}

/// A copy of a ConfigMap or Secret.
fn with_content(mut envelope: Value, source: &Value) -> Value {
    for field in ["type", "data", "binaryData"] {
        paths::set(&mut envelope, &[field], source.get(field).cloned().unwrap_or_default());
    }
    envelope
}

/// Renderings are the same each time: nothing here is random, and no deadline runs.
fn fresh() -> Fresh {
    Fresh { id: ID.to_owned(), now: jiff::Timestamp::UNIX_EPOCH }
}
