//! Carrying out what was decided: actions become writes, writes become requests, answers go into the world at once.

use crate::cluster::{ApiError, Cluster};
use crate::keeper::Keeper;
use crate::rivals::Rivals;
use crate::slim::Slim;
use crate::view::{FINALIZER, View};
use api::CanaryStatus;
use objects::kind::CANARY;
use objects::{Change, ObjectRef, Write};
use providers::routers::RouterError;
use providers::scalers::ScalerError;
use providers::services;
use providers::targets::{Fresh, Pods, TargetError};
use rollout::Action;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tracing::info;

/// What an action came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Something was written.
    Wrote,
    /// Everything was as it should be, or nothing had to be written.
    Nothing,
}

/// Why an action was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The object changed since it was seen: look and decide again.
    Conflict(String),
    /// The target is another revision by now: decide again.
    Changed,
    /// In words for an event.
    Text(String),
}

impl From<RouterError> for Failure {
    fn from(error: RouterError) -> Self {
        Self::Text(error.to_string())
    }
}

impl From<ScalerError> for Failure {
    fn from(error: ScalerError) -> Self {
        Self::Text(error.to_string())
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Changed => Self::Changed,
            other => Self::Text(other.to_string()),
        }
    }
}

impl Keeper {
    /// Carries out one action.
    pub(crate) async fn act(&self, view: &mut View, action: &Action) -> Result<Done, Failure> {
        match action {
            Action::Record(status) => self.record(view, status).await,
            Action::AddFinalizer => self.set_finalizer(view, true).await,
            Action::RemoveFinalizer => self.set_finalizer(view, false).await,
            Action::Emit(event) => {
                self.tell(view, event);
                Ok(Done::Nothing)
            }
            Action::Alert(alert) => {
                self.alert(view, alert);
                Ok(Done::Nothing)
            }
            Action::Announce(announcement) => {
                // To wait for its delivery is up to the caller.
                drop(self.announce(view, announcement));
                Ok(Done::Nothing)
            }
            Action::Count(outcome) => {
                self.telemetry.count(&view.rollout, *outcome);
                Ok(Done::Nothing)
            }
            Action::Log(line) => {
                info!(canary = view.rollout.full_name(), "{line}");
                Ok(Done::Nothing)
            }
            other => {
                let writes = Self::render(view, other)?;
                let mut done = Done::Nothing;
                for write in writes {
                    self.write(view, write).await?;
                    done = Done::Wrote;
                }
                Ok(done)
            }
        }
    }

    /// The writes of an action on foreign objects.
    fn render(view: &View, action: &Action) -> Result<Vec<Write>, Failure> {
        let (rollout, live) = (&view.rollout, &view.snapshot);
        // A Canary that nobody is in charge of has no objects of ours.
        let Some(charge) = &view.charge else { return Ok(Vec::new()) };
        let fresh = Fresh { id: copy_id(view), now: view.seen.now };
        let minimum = || match (charge.scaler, &rollout.autoscaler) {
            (Some(scaler), Some(reference)) => Some(scaler.minimum(rollout, reference, live).unwrap_or(1)),
            (None, Some(_)) => Some(1),
            (_, None) => None,
        };
        let pods = || -> Result<Option<Pods>, Failure> { Ok(charge.target.pods(rollout, live)?) };
        let scaler = charge.scaler.zip(rollout.autoscaler.as_ref());
        Ok(match action {
            Action::EnsureServices => match pods()? {
                Some(pods) => services::ensure_sides(rollout, &pods, live)?,
                None => Vec::new(),
            },
            Action::EnsureApex => match pods()? {
                Some(pods) => services::ensure_apex(rollout, &pods, live)?,
                None => Vec::new(),
            },
            Action::RevertServices => match pods()? {
                Some(pods) => services::revert(rollout, &pods, live)?,
                None => Vec::new(),
            },
            Action::EnsurePrimary => {
                // The first primary is as large as the target; a lost one that must be made again serves already, so it is as large as its autoscaler wants.
                let made_again = view.seen.status.last_promoted_spec.is_some();
                charge.target.create_primary(rollout, live, &fresh, if made_again { minimum() } else { None })?
            }
            Action::Promote { revision } => charge.target.promote(rollout, live, &fresh, revision)?,
            Action::ScaleDown => charge.target.scale_down(rollout, live)?,
            Action::ScaleUp => charge.target.scale_up(rollout, live, minimum())?,
            Action::RevertTarget => charge.target.revert(rollout, live, minimum())?,
            Action::Route(routes) => charge.router.render(rollout, live, routes)?,
            Action::RevertRoutes => charge.router.revert(rollout, live)?,
            Action::EnsureScaler => match scaler {
                Some((scaler, reference)) => scaler.create_primary(rollout, reference, live, &fresh)?,
                None => Vec::new(),
            },
            Action::UpdateScaler => match scaler {
                Some((scaler, reference)) => scaler.update_primary(rollout, reference, live, &fresh)?,
                None => Vec::new(),
            },
            Action::PauseScaler => match scaler {
                Some((scaler, reference)) => scaler.pause(rollout, reference, live)?,
                None => Vec::new(),
            },
            Action::ResumeScaler => match scaler {
                Some((scaler, reference)) => scaler.resume(rollout, reference, live)?,
                None => Vec::new(),
            },
            Action::Record(_)
            | Action::AddFinalizer
            | Action::RemoveFinalizer
            | Action::Emit(_)
            | Action::Alert(_)
            | Action::Announce(_)
            | Action::Count(_)
            | Action::Log(_) => Vec::new(),
        })
    }

    /// Sends one write, and puts the answer into the world and into the view.
    async fn write(&self, view: &mut View, write: Write) -> Result<(), Failure> {
        if !self.is_alive(view) {
            return Err(Failure::Changed);
        }
        let Write { target, change, failure, success } = write;
        let cluster = self.clusters.of(target.kind);
        let answer = match &change {
            Change::Create(object) => self.create(cluster, &target, object).await,
            Change::Merge { patch, version } => cluster.merge(&target, patch, version.as_deref(), None).await,
            Change::CopyContent { from, envelope, exists } => {
                let source = match content(view, from) {
                    Some(content) => Ok(content),
                    None => cluster.get(from).await,
                };
                match source {
                    Ok(source) => self.copy(cluster, &target, &source, envelope, *exists).await,
                    Err(error) => Err(error),
                }
            }
            Change::Delete => cluster.delete(&target).await,
        };
        self.telemetry.wrote(&change, answer.is_ok());
        match answer {
            Ok(object) => {
                if change == Change::Delete {
                    view.snapshot.remove(&target);
                } else {
                    let object = Arc::new(object);
                    self.world.written(target.kind, &object, &view.key);
                    view.snapshot.insert(target, object);
                }
                if let Some(line) = success {
                    info!(canary = view.rollout.full_name(), "{line}");
                }
                Ok(())
            }
            // What was to be patched was deleted a moment ago: the next look knows.
            Err(error)
                if error.is_conflict()
                    || error.already_exists()
                    || (error.is_not_found() && matches!(change, Change::Merge { .. })) =>
            {
                Err(Failure::Conflict(format!("{failure}{error}")))
            }
            Err(error) => Err(Failure::Text(format!("{failure}{error}"))),
        }
    }

    /// Creates an object. One that is there already, though the cache does not know it yet, is read, so that the next look sees it.
    async fn create(&self, cluster: &Cluster, target: &ObjectRef, object: &Value) -> Result<Value, ApiError> {
        match cluster.create(target, object).await {
            Err(error) if error.already_exists() => {
                if let Ok(present) = cluster.get(target).await {
                    self.world.apply(target.kind, Slim::of(target.kind, &present));
                }
                Err(error)
            }
            other => other,
        }
    }

    /// Copies the content of a ConfigMap or Secret. It is not kept.
    async fn copy(
        &self,
        cluster: &Cluster,
        target: &ObjectRef,
        source: &Value,
        envelope: &Value,
        exists: bool,
    ) -> Result<Value, ApiError> {
        let mut copy = envelope.clone();
        for field in ["data", "binaryData", "type"] {
            let content = source.get(field).cloned().unwrap_or_default();
            objects::paths::set(&mut copy, &[field], content);
        }
        let written = if exists {
            match cluster.replace(target, &copy).await {
                Err(error) if error.is_not_found() => cluster.create(target, &copy).await,
                other => other,
            }
        } else {
            self.create(cluster, target, &copy).await
        }?;
        let (reference, version) =
            (target.clone(), objects::paths::text(&written, "/metadata/resourceVersion").to_owned());
        self.world.state().set_digest(reference, version, Ok(crate::digest::digest(target, &written)));
        Ok(Slim::of(target.kind, &written).value())
    }

    /// Writes the status where it differs, on the version that was decided upon.
    async fn record(&self, view: &mut View, status: &CanaryStatus) -> Result<Done, Failure> {
        if status_patch(&view.object, status).is_none() {
            return Ok(Done::Nothing);
        }
        // Only with a write that is due anyway.
        let digests = self.world.state().known_digests(&view.key);
        let status = CanaryStatus { config_digests: (!digests.is_empty()).then_some(digests), ..status.clone() };
        let Some(patch) = status_patch(&view.object, &status) else { return Ok(Done::Nothing) };
        let target = CANARY.object(&view.rollout.namespace, &view.rollout.name);
        let failure = format!("failed after retries: updating canary {} status failed: ", view.rollout.full_name());
        self.patch_canary(view, &target, &patch, Some("status"), &failure).await?;
        view.seen.status = status;
        Ok(Done::Wrote)
    }

    async fn set_finalizer(&self, view: &mut View, wanted: bool) -> Result<Done, Failure> {
        let mut finalizers: Vec<&str> =
            objects::paths::list(&view.object, "/metadata/finalizers").filter_map(Value::as_str).collect();
        if finalizers.contains(&FINALIZER) == wanted {
            return Ok(Done::Nothing);
        }
        if wanted {
            finalizers.push(FINALIZER);
        } else {
            finalizers.retain(|finalizer| *finalizer != FINALIZER);
        }
        let patch = json!({"metadata": {"finalizers": finalizers}});
        let target = CANARY.object(&view.rollout.namespace, &view.rollout.name);
        self.patch_canary(view, &target, &patch, None, "failed after retries: ").await?;
        Ok(Done::Wrote)
    }

    async fn patch_canary(
        &self,
        view: &mut View,
        target: &ObjectRef,
        patch: &Value,
        subresource: Option<&str>,
        failure: &str,
    ) -> Result<(), Failure> {
        self.rivals(view, Rivals::write);
        let answer = self.patch_version(view, target, patch, subresource).await;
        if let Ok(object) = &answer {
            // While the write still counts as under way: what the watch brings until then may be its echo.
            self.take_own_canary(object);
        }
        let known = answer.as_ref().map_or_else(ApiError::is_answer, |_| true);
        self.rivals(view, |rivals| rivals.wrote(known));
        match answer {
            Ok(object) => {
                view.object = Arc::new(object);
                Ok(())
            }
            Err(error) if error.is_conflict() || error.is_not_found() => {
                Err(Failure::Conflict(format!("{failure}{error}")))
            }
            Err(error) => Err(Failure::Text(format!("{failure}{error}"))),
        }
    }

    /// Takes a note about who writes the Canary.
    fn rivals(&self, view: &View, note: impl FnOnce(&mut Rivals)) {
        if let Some(entry) = self.world.state().same(&view.key, &view.rollout.uid) {
            note(&mut entry.rivals);
        }
    }

    /// Patches the version that was decided upon, or a newer one that is the same to every decision: what was done already (events told, routes moved)
    /// need not be done again only because somebody has changed a label meanwhile.
    async fn patch_version(
        &self,
        view: &View,
        target: &ObjectRef,
        patch: &Value,
        subresource: Option<&str>,
    ) -> Result<Value, ApiError> {
        let (cluster, seen) = (&self.clusters.main, &*view.object);
        let send = async |object: &Value| {
            let version = objects::paths::text(object, "/metadata/resourceVersion").to_owned();
            let answer = cluster.merge(target, patch, Some(&version), subresource).await;
            self.telemetry.wrote(&Change::Merge { patch: Value::Null, version: None }, answer.is_ok());
            answer
        };
        match send(seen).await {
            Err(error) if error.is_conflict() => {
                self.telemetry.read();
                match cluster.get(target).await {
                    Ok(present) if is_same_to_decisions(seen, &present) => send(&present).await,
                    Ok(present) => {
                        if seen.get("status") != present.get("status") {
                            self.rivals(view, Rivals::conflict);
                        }
                        // The next look decides on what it is now.
                        self.take_own_canary(&present);
                        Err(error)
                    }
                    Err(_) => Err(error),
                }
            }
            answer => answer,
        }
    }
}

/// Names a copy of the target to the primary: every promotion has another name, so that it makes all pods anew. It follows from what was observed, since a
/// process that finds a promotion begun and not noted (the status is as it was before) must not roll the primary once more.
fn copy_id(view: &View) -> String {
    let revision = view.seen.target.as_ref().map_or("", |target| target.revision.hash.as_str());
    let configs = view.seen.configs.as_ref().ok().and_then(Option::as_ref).map(|configs| &configs.checksums);
    let text = format!("{}\n{revision}\n{configs:?}\n{:?}", view.rollout.uid, view.seen.status.last_transition_time);
    // FNV-1a, twice for the length of a UUID.
    let hash =
        |start| text.bytes().fold(start, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let (high, low) = (hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15));
    let bytes = ((u128::from(high) << 64) | u128::from(low)).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// The content of a config as it was read on this visit, if that is the version that was decided upon.
fn content(view: &mut View, config: &ObjectRef) -> Option<Value> {
    let place = view.contents.iter().rposition(|(reference, _)| reference == config)?;
    let (_, content) = view.contents.swap_remove(place);
    let version = |object: &Value| objects::paths::text(object, "/metadata/resourceVersion").to_owned();
    let known = view.snapshot.find(config).ok()?;
    (version(known) == version(&content)).then_some(content)
}

/// Whether two versions of a Canary differ only in what no decision has looked at when it was taken.
fn is_same_to_decisions(one: &Value, other: &Value) -> bool {
    ["/spec", "/status", "/metadata/uid", "/metadata/finalizers", "/metadata/deletionTimestamp"]
        .iter()
        .all(|path| one.pointer(path) == other.pointer(path))
}

/// The merge patch from the stored status to the wanted one; `None` where they are the same. Unlike elsewhere an empty map is not absence here:
/// `trackedConfigs: {}` says that tracking is on.
fn status_patch(object: &Value, status: &CanaryStatus) -> Option<Value> {
    let wanted = serde_json::to_value(status).ok()?;
    let empty = Map::new();
    let before = object.get("status").and_then(Value::as_object).unwrap_or(&empty);
    let after = wanted.as_object()?;
    let mut patch = Map::new();
    for (key, value) in after {
        let (old, new) = (before.get(key), value);
        if old == Some(new) || (old.is_none() && new.is_null()) {
            continue;
        }
        patch.insert(key.clone(), replacement(old, new));
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then(|| json!({ "status": patch }))
}

/// A map replaces a map in a merge patch only if its other keys are removed one by one.
fn replacement(old: Option<&Value>, new: &Value) -> Value {
    let (Some(Value::Object(old)), Value::Object(new_map)) = (old, new) else { return new.clone() };
    let mut map = new_map.clone();
    for key in old.keys().filter(|key| !new_map.contains_key(*key)) {
        map.insert(key.clone(), Value::Null);
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_status_patch_says_what_differs_and_keeps_emptiness() {
        let stored = json!({"status": {"phase": "Progressing", "failedChecks": 0, "canaryWeight": 10, "iterations": 0,
            "trackedConfigs": {"configmap/a": "1", "configmap/b": "2"}, "sessionAffinityCookie": "c=x"}});
        let status = CanaryStatus {
            phase: api::Phase::Progressing,
            canary_weight: 20,
            tracked_configs: Some(BTreeMap::from([("configmap/a".to_owned(), "1".to_owned())])),
            ..CanaryStatus::default()
        };
        assert_eq!(
            status_patch(&stored, &status),
            Some(
                json!({"status": {"canaryWeight": 20, "trackedConfigs": {"configmap/a": "1", "configmap/b": null}, "sessionAffinityCookie": null}})
            )
        );
        let none = CanaryStatus { tracked_configs: Some(BTreeMap::new()), ..CanaryStatus::default() };
        let patch = status_patch(&json!({}), &none).unwrap();
        assert_eq!(
            patch,
            json!({"status": {"phase": "", "failedChecks": 0, "canaryWeight": 0, "iterations": 0, "trackedConfigs": {}}})
        );
    }
}
