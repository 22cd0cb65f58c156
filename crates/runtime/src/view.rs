//! One Canary with everything that concerns it, at one moment: the resolved spec, who is in charge, the objects, and the observation made of them.

use crate::queue::Key;
use crate::world::{Missing, State};
use api::{Canary, Rollout, Settings};
use jiff::Timestamp;
use objects::{ObjectRef, Snapshot};
use providers::routers::{self, Router};
use providers::scalers::{self, Scaler};
use providers::services;
use providers::targets::{self, Target};
use rollout::{Abilities, Answers, CanaryObject, Memory, Observation, Primary, Trouble, Unusable};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Name of our finalizer.
pub(crate) const FINALIZER: &str = "finalizer.flagger.app";

/// See the module.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) key: Key,
    pub(crate) rollout: Rollout,
    pub(crate) object: Arc<Value>,
    pub(crate) charge: Option<Charge>,
    pub(crate) snapshot: Snapshot,
    pub(crate) seen: Observation,
    /// Configs that were read on this visit, with their content.
    pub(crate) contents: Vec<(ObjectRef, Value)>,
}

/// Who is in charge of a Canary: the providers that its spec names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charge {
    pub(crate) router: &'static dyn Router,
    pub(crate) target: &'static dyn Target,
    pub(crate) scaler: Option<&'static dyn Scaler>,
}

/// A view, or what is missing before there can be one.
pub(crate) enum Look {
    /// There is no such Canary.
    Gone,
    /// Facts must be fetched or waited for.
    Incomplete(Missing),
    /// Complete.
    Complete(Box<View>),
}

/// Who is in charge, or why nobody can be.
fn charge(canary: &Canary, rollout: &Rollout, settings: &Settings) -> Result<Charge, Unusable> {
    if let Err(error) = api::validate(canary, settings) {
        return Err(Unusable { reason: "InvalidSpec".to_owned(), message: format!("invalid canary spec: {error}") });
    }
    let target = targets::target(&rollout.target.api_version, &rollout.target.kind).ok_or_else(|| Unusable {
        reason: "UnsupportedTarget".to_owned(),
        message: format!("target kind {} is not supported by this version, nothing is changed", rollout.target.kind),
    })?;
    let router = routers::router(&rollout.provider).ok_or_else(|| Unusable {
        reason: "UnsupportedProvider".to_owned(),
        message: format!("provider {} is not supported by this version, nothing is changed", rollout.provider),
    })?;
    let scaler = match &rollout.autoscaler {
        Some(reference) if reference.kind == "ScaledObject" && scalers::scaler(&reference.kind).is_none() => {
            let message =
                format!("autoscaler kind {} is not supported by this version, nothing is changed", reference.kind);
            return Err(Unusable { reason: "UnsupportedAutoscaler".to_owned(), message });
        }
        // A kind nobody knows is treated as if there were no autoscaler.
        Some(reference) => scalers::scaler(&reference.kind),
        None => None,
    };
    Ok(Charge { router, target, scaler })
}

/// Looks at a Canary. Its readers are registered on the way, so that what is missing starts to be watched.
pub(crate) fn look(state: &mut State, key: &Key, settings: &Arc<Settings>, answers: &Answers, now: Timestamp) -> Look {
    let Some(entry) = state.canaries.get(key) else { return Look::Gone };
    let (canary, memory) = (Arc::clone(&entry.canary), entry.memory.clone());
    let object = Arc::new(serde_json::from_slice(&entry.object).unwrap_or_default());
    let rollout = Rollout::resolve(&canary, settings);
    let charge = match charge(&canary, &rollout, settings) {
        Ok(charge) => charge,
        Err(unusable) => {
            // A Canary that is being deleted must not hang on what cannot be read.
            state.set_reads(key, &BTreeSet::new());
            let seen = unusable_view(&canary, unusable, memory, answers, now);
            return Look::Complete(Box::new(View {
                key: key.clone(),
                rollout,
                object,
                charge: None,
                snapshot: Snapshot::new(),
                seen,
                contents: Vec::new(),
            }));
        }
    };
    let mut reads = own_reads(&rollout, &charge);
    let (mut snapshot, mut missing) = state.snapshot(&reads);
    // What the live target refers to.
    let further: BTreeSet<ObjectRef> = charge.target.reads(&rollout, &snapshot).into_iter().collect();
    if further.is_subset(&reads) {
        state.set_reads(key, &reads);
    } else {
        reads.extend(further);
        state.set_reads(key, &reads);
        if let Some(known) = &canary.status.config_digests {
            state.recall_digests(&reads, known);
        }
        (snapshot, missing) = state.snapshot(&reads);
    }
    if !missing.is_nothing() {
        return Look::Incomplete(missing);
    }
    state.retry_digests(&reads);
    let seen = observe(&canary, &rollout, &charge, &snapshot, memory, answers, now);
    Look::Complete(Box::new(View {
        key: key.clone(),
        rollout,
        object,
        charge: Some(charge),
        snapshot,
        seen,
        contents: Vec::new(),
    }))
}

/// Says which objects a Canary reads as far as its spec tells, so that what a first list brings of them is kept.
pub(crate) fn register(state: &mut State, key: &Key, settings: &Arc<Settings>) {
    let Some(canary) = state.canaries.get(key).map(|entry| Arc::clone(&entry.canary)) else { return };
    let rollout = Rollout::resolve(&canary, settings);
    if let Ok(charge) = charge(&canary, &rollout, settings) {
        state.set_reads(key, &own_reads(&rollout, &charge));
    }
}

fn own_reads(rollout: &Rollout, charge: &Charge) -> BTreeSet<ObjectRef> {
    let mut reads: BTreeSet<ObjectRef> = services::reads(rollout).into_iter().collect();
    reads.extend(charge.target.reads(rollout, &Snapshot::new()));
    reads.extend(charge.router.reads(rollout));
    if let (Some(scaler), Some(reference)) = (charge.scaler, &rollout.autoscaler) {
        reads.extend(scaler.reads(rollout, reference));
    }
    reads
}

fn canary_object(canary: &Canary) -> CanaryObject {
    CanaryObject {
        generation: canary.metadata.generation,
        deleting: canary.metadata.deletion_timestamp.is_some(),
        finalizer: canary.metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER),
    }
}

/// Facts about one Canary, each from whoever knows it.
fn observe(
    canary: &Canary,
    rollout: &Rollout,
    charge: &Charge,
    snapshot: &Snapshot,
    memory: Memory,
    answers: &Answers,
    now: Timestamp,
) -> Observation {
    let status = canary.status.clone();
    let stored: Vec<&str> =
        [&status.last_applied_spec, &status.last_promoted_spec].into_iter().flatten().map(String::as_str).collect();
    let target = charge.target.target(rollout, snapshot, &stored, now).map_err(Trouble::from);
    let pods = charge.target.pods(rollout, snapshot).map_err(Trouble::from);
    Observation {
        now,
        object: canary_object(canary),
        unusable: None,
        // Without a selector label neither Services nor a primary can be made: the target cannot be used.
        target: target.and_then(|target| pods.map(|_| target)),
        primary: charge.target.primary(rollout, snapshot, now),
        configs: charge.target.configs(rollout, snapshot).map_err(Trouble::from),
        routes: charge.router.routes(rollout, snapshot).map_err(|error| Trouble::passing(error.to_string())),
        abilities: charge.router.abilities(rollout, snapshot),
        observer: providers::observers::label(rollout),
        answers: answers.clone(),
        memory,
        status,
    }
}

fn unusable_view(
    canary: &Canary,
    unusable: Unusable,
    memory: Memory,
    answers: &Answers,
    now: Timestamp,
) -> Observation {
    let nothing = || Trouble::passing(unusable.message.clone());
    Observation {
        now,
        status: canary.status.clone(),
        object: canary_object(canary),
        target: Err(Trouble { missing: true, ..nothing() }),
        primary: Primary { exists: false, readiness: Err(nothing()), serving: false, current: false },
        configs: Ok(None),
        routes: Err(nothing()),
        abilities: Abilities::default(),
        observer: String::new(),
        answers: answers.clone(),
        memory,
        unusable: Some(unusable),
    }
}
