//! Foreign objects: whatever an API server without validation might store, put through every function of every provider, then through the decision.
//!
//! An input is `{"canary": object, "objects": {"Kind name": object}}`; the keys say where the objects are found, whatever their metadata have become.

use super::{Outcome, Run, canary, decision, law, tree, used, values_of};
use crate::rng::Rng;
use api::{AutoscalerReference, Canary, Rollout};
use objects::diff::apply_merge_patch;
use objects::{Change, Kind, Snapshot, Write, checksum};
use providers::routers::{ROUTERS, Router};
use providers::scalers::{SCALERS, Scaler};
use providers::targets::{Fresh, TARGETS, Target};
use providers::{access::Access, services};
use rollout::{Abilities, Affinity, Answers, CanaryObject, Memory, Observation, Routes, Trouble, Weight};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// What the objects of a cluster look like before anything was done.
static OBJECTS: &str = include_str!("../../seeds/objects.yaml");

/// No object that is written is larger than what came in by more than this factor and this many bytes.
const GROWTH: (usize, usize) = (40, 200_000);

/// Every kind that a provider reads or writes.
static KINDS: LazyLock<Vec<&'static Kind>> = LazyLock::new(|| kinds().collect());

fn kinds() -> impl Iterator<Item = &'static Kind> {
    let of = |accesses: &'static [Access]| accesses.iter().map(|access| access.kind);
    let targets = TARGETS.iter().flat_map(move |target| of(target.kinds()));
    let scalers = SCALERS.iter().flat_map(move |scaler| of(scaler.kinds()));
    let routers = ROUTERS.iter().flat_map(move |router| of(router.kinds()));
    targets.chain(scalers).chain(routers).chain(of(services::KINDS))
}

/// A Canary, and its objects as they are at first and after the initialisation.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let objects: Map<String, Value> = values_of(OBJECTS).into_iter().map(|object| (key_of(&object), object)).collect();
    let mut seeds = Vec::new();
    for canary in values_of(canary::CANARIES) {
        let early = json!({"canary": canary, "objects": objects});
        let late = World::read(early.clone()).map(|mut world| {
            world.initialise();
            json!({"canary": canary, "objects": world.written()})
        });
        seeds.extend([Some(early), late].into_iter().flatten().map(|seed| seed.to_string().into_bytes()));
    }
    seeds
}

fn key_of(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}", text("/kind"), text("/metadata/name"))
}

struct World {
    canary: Canary,
    rollout: Rollout,
    live: Snapshot,
    size: usize,
}

pub(super) fn run(input: &[u8]) -> Run {
    let Some(tree) = tree(input) else { return Ok(Outcome::Refused) };
    let Some(mut world) = World::read(tree) else { return Ok(Outcome::Refused) };
    world.size = input.len();
    for target in TARGETS {
        world.target(*target)?;
        // All routers would be slow: its own, and one that follows from the input.
        let own = providers::routers::router(&world.rollout.provider);
        let other = ROUTERS.get(input.len() % ROUTERS.len()).copied();
        for router in own.into_iter().chain(other) {
            world.router(router)?;
            world.decide(*target, router)?;
        }
    }
    if let Some(reference) = &world.rollout.autoscaler {
        SCALERS.iter().try_for_each(|scaler| world.scaler(*scaler, reference))?;
    }
    Ok(Outcome::Read)
}

impl World {
    fn read(mut tree: Value) -> Option<Self> {
        let canary = api::decode::<Canary>(tree.get_mut("canary")?.take()).ok()?;
        let [settings, ..] = canary::settings();
        let rollout = Rollout::resolve(&canary, &settings);
        let mut live = Snapshot::new();
        let objects = tree.get_mut("objects").map(Value::take);
        let Some(Value::Object(objects)) = objects else { return None };
        for (key, object) in objects {
            let (name_of_kind, name) = key.split_once(' ').unwrap_or((key.as_str(), ""));
            let object = Arc::new(object);
            for kind in KINDS.iter().filter(|kind| kind.kind == name_of_kind) {
                let reference = kind.object(&rollout.namespace, name);
                match name_of_kind {
                    "ConfigMap" => live.insert_digest(reference.clone(), Ok(checksum::digest_config_map(&object))),
                    "Secret" => live.insert_digest(reference.clone(), Ok(checksum::digest_secret(&object))),
                    _ => {}
                }
                live.insert(reference, Arc::clone(&object));
            }
        }
        Some(Self { canary, rollout, live, size: 0 })
    }

    fn written(&self) -> Map<String, Value> {
        // Sorted, by the version too: a snapshot has no order, and inputs must be the same each time.
        let entry = |(reference, object): (&objects::ObjectRef, &Value)| {
            ((reference.kind.kind, reference.name.clone(), reference.kind.version), object.clone())
        };
        let sorted: BTreeMap<_, _> = self.live.iter().map(entry).collect();
        sorted.into_iter().map(|((kind, name, _), object)| (format!("{kind} {name}"), object)).collect()
    }

    /// Everything that a new Canary makes, so that mutations begin from objects as they are in the middle of a rollout.
    fn initialise(&mut self) {
        let Some(target) = TARGETS.first() else { return };
        let primary = target.create_primary(&self.rollout, &self.live, &fresh(), Some(2));
        self.apply(&primary.unwrap_or_default());
        if let Ok(Some(pods)) = target.pods(&self.rollout, &self.live) {
            for ensure in [services::ensure_sides, services::ensure_apex] {
                let writes = ensure(&self.rollout, &pods, &self.live);
                self.apply(&writes.unwrap_or_default());
            }
        }
        if let (Some(reference), Some(scaler)) = (&self.rollout.autoscaler.clone(), SCALERS.first()) {
            let writes = scaler.create_primary(&self.rollout, reference, &self.live, &fresh());
            self.apply(&writes.unwrap_or_default());
        }
        let Some(router) = providers::routers::router(&self.rollout.provider) else { return };
        for _ in 0..2 {
            let writes = router.render(&self.rollout, &self.live, &wanted(20, true));
            self.apply(&writes.unwrap_or_default());
        }
    }

    fn apply(&mut self, writes: &[Write]) {
        apply(&mut self.live, writes);
    }

    fn sane(&self, writes: &[Write]) -> Result<(), String> {
        for write in writes {
            let length = match &write.change {
                Change::Create(object) => object.to_string().len(),
                Change::Merge { patch, .. } => patch.to_string().len(),
                Change::CopyContent { envelope, .. } => envelope.to_string().len(),
                Change::Delete => 0,
            };
            let most = self.size * GROWTH.0 + GROWTH.1;
            law(self.size == 0 || length <= most, || format!("{}: a write of {length} bytes", write.target))?;
        }
        Ok(())
    }

    fn target(&self, target: &dyn Target) -> Result<(), String> {
        let (rollout, live, fresh) = (&self.rollout, &self.live, fresh());
        used(target.reads(rollout, live));
        used(target.primary(rollout, live, fresh.now));
        used(target.configs(rollout, live));
        let seen = target.target(rollout, live, &["5f56684589", ""], fresh.now);
        let revision = seen.map(|seen| seen.revision.hash).unwrap_or_default();
        for minimum in [None, Some(i64::MAX), Some(-1)] {
            let writes = [
                target.create_primary(rollout, live, &fresh, minimum),
                target.promote(rollout, live, &fresh, &revision),
                target.scale_down(rollout, live),
                target.scale_up(rollout, live, minimum),
                target.revert(rollout, live, minimum),
            ];
            writes.iter().flatten().try_for_each(|writes| self.sane(writes))?;
        }
        let Ok(Some(pods)) = target.pods(rollout, live) else { return Ok(()) };
        for ensure in [services::ensure_sides, services::ensure_apex, services::revert] {
            self.sane(&ensure(rollout, &pods, live).unwrap_or_default())?;
            self.settles("Services", |live| ensure(rollout, &pods, live).unwrap_or_default())?;
        }
        Ok(())
    }

    fn router(&self, router: &dyn Router) -> Result<(), String> {
        let (rollout, live) = (&self.rollout, &self.live);
        used(router.reads(rollout));
        used(router.abilities(rollout, live));
        used(router.abilities(rollout, &Snapshot::new()));
        used(router.routes(rollout, live));
        self.sane(&router.revert(rollout, live).unwrap_or_default())?;
        for (weight, cookies) in [(0, true), (35, true), (100, false)] {
            let want = wanted(weight, cookies);
            self.sane(&router.render(rollout, live, &want).unwrap_or_default())?;
            self.settles(router.name(), |live| router.render(rollout, live, &want).unwrap_or_default())?;
        }
        let mirrored = Routes { mirrored: true, ..wanted(0, false) };
        self.sane(&router.render(rollout, live, &mirrored).unwrap_or_default())
    }

    fn scaler(&self, scaler: &dyn Scaler, reference: &AutoscalerReference) -> Result<(), String> {
        let (rollout, live) = (&self.rollout, &self.live);
        used((scaler.reads(rollout, reference), scaler.minimum(rollout, reference, live)));
        let writes = [
            scaler.create_primary(rollout, reference, live, &fresh()),
            scaler.update_primary(rollout, reference, live, &fresh()),
            scaler.pause(rollout, reference, live),
            scaler.resume(rollout, reference, live),
        ];
        writes.iter().flatten().try_for_each(|writes| self.sane(writes))
    }

    /// What is rendered again and again comes to an end: otherwise the controller would write for ever.
    fn settles(&self, what: &str, render: impl Fn(&Snapshot) -> Vec<Write>) -> Result<(), String> {
        let mut live = self.live.clone();
        for _ in 0..4 {
            let writes = render(&live);
            if writes.is_empty() {
                return Ok(());
            }
            apply(&mut live, &writes);
        }
        let writes = render(&live);
        law(writes.is_empty(), || format!("{what} never settle: {}", shown(&writes)))
    }

    /// The observation as the shell makes it, and a round of decisions.
    fn decide(&self, target: &dyn Target, router: &dyn Router) -> Result<(), String> {
        let (rollout, live, now) = (&self.rollout, &self.live, fresh().now);
        let status = self.canary.status.clone();
        let stored = [&status.last_applied_spec, &status.last_promoted_spec];
        let stored: Vec<&str> = stored.into_iter().flatten().map(String::as_str).collect();
        let metadata = &self.canary.metadata;
        let seen = Observation {
            now,
            object: CanaryObject {
                generation: metadata.generation,
                deleting: metadata.deletion_timestamp.is_some(),
                finalizer: !metadata.finalizers.is_empty(),
            },
            unusable: None,
            target: target.target(rollout, live, &stored, now).map_err(Trouble::from),
            primary: target.primary(rollout, live, now),
            configs: target.configs(rollout, live).map_err(Trouble::from),
            routes: router.routes(rollout, live).map_err(|error| Trouble::passing(error.to_string())),
            abilities: abilities(router, rollout, live),
            observer: providers::observers::label(rollout),
            answers: Answers::default(),
            memory: Memory::default(),
            status,
        };
        decision::round(rollout, seen, &mut Rng::of(0, router.name(), u64::try_from(self.size).unwrap_or_default()))
    }
}

fn abilities(router: &dyn Router, rollout: &Rollout, live: &Snapshot) -> Abilities {
    router.abilities(rollout, live)
}

fn shown(writes: &[Write]) -> String {
    let shown: Vec<String> = writes.iter().map(|write| format!("{} {:?}", write.target, write.change)).collect();
    shown.join("; ").chars().take(600).collect()
}

fn apply(live: &mut Snapshot, writes: &[Write]) {
    for write in writes {
        let reference = write.target.clone();
        match &write.change {
            Change::Create(object) => live.insert(reference, Arc::new(object.clone())),
            Change::Merge { patch, .. } => {
                let mut object = live.look_or_missing(&reference).cloned().unwrap_or_default();
                apply_merge_patch(&mut object, patch);
                live.insert(reference, Arc::new(object));
            }
            Change::CopyContent { from, envelope, .. } => {
                if let Ok(digest) = live.digest(from).cloned() {
                    live.insert_digest(reference.clone(), Ok(digest));
                }
                live.insert(reference, Arc::new(envelope.clone()));
            }
            Change::Delete => live.remove(&reference),
        }
    }
}

fn fresh() -> Fresh {
    let now = jiff::Timestamp::from_second(1_767_225_600).unwrap_or_default();
    Fresh { id: "5c8e1f0a-0000-4000-8000-000000000000".to_owned(), now }
}

fn wanted(weight: i64, cookies: bool) -> Routes {
    let affinity = cookies.then(|| Affinity {
        canary: (weight > 0).then(|| "flagger-cookie=LpsIaLdoNZ".to_owned()),
        primary: (weight > 0).then(|| "primary-cookie=bbbbbbbbbb".to_owned()),
        expired: (weight == 0).then(|| "flagger-cookie=aaaaaaaaaa".to_owned()),
    });
    Routes { affinity, ..Routes::weighted(Weight::clipped(weight)) }
}

pub(super) fn config_seeds() -> Vec<Vec<u8>> {
    let configs = values_of(OBJECTS).into_iter();
    let configs = configs.filter(|object| {
        ["ConfigMap", "Secret"].iter().any(|kind| object.get("kind").and_then(Value::as_str) == Some(kind))
    });
    configs.map(|object| object.to_string().into_bytes()).collect()
}

/// Checksums are stored in the status: the same content has the same one, in whatever order it comes.
pub(super) fn configs(input: &[u8]) -> Run {
    let Some(object) = tree(input) else { return Ok(Outcome::Refused) };
    let mut turned = object.clone();
    for part in ["data", "binaryData"] {
        if let Some(Value::Object(map)) = turned.get_mut(part) {
            *map = std::mem::take(map).into_iter().rev().collect();
        }
    }
    for digest in [checksum::digest_config_map, checksum::digest_secret] {
        law(digest(&object) == digest(&turned), || "the order of the keys matters".to_owned())?;
        let checksum = digest(&object).checksum;
        law(checksum.len() == 16, || format!("the checksum {checksum:?}"))?;
    }
    Ok(Outcome::Read)
}
