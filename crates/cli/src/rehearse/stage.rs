//! The stage: a lab with the user's objects, the project's own operator, and nothing else. Simulated time unless told otherwise.

use super::changes::{self, Capture};
use super::net::{EVENTS, Net};
use super::release::Release;
use super::role::{Role, Wishes};
use super::tape::{Part, Tape};
use super::watch::Watch;
use jiff::Timestamp;
use lab::{Lab, NodeOptions, SimulatedClock};
use objects::paths::{list, text};
use runtime::clock::Clock;
use runtime::cluster::Cluster;
use runtime::telemetry::Telemetry;
use runtime::{Clusters, Config, Operator, Receivers};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// When simulated time begins: a round number that nobody takes for today.
const BEGINNING: Timestamp = Timestamp::constant(1_893_456_000, 0);
/// Between the initialisation and the release, and before the controller starts: enough for nodes to react.
const REST: Duration = Duration::from_secs(1);
/// After the end: how long what was still to be told is waited for.
const FLUSH: Duration = Duration::from_secs(2);

/// How it is played.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// How long pods take to become ready.
    pub(super) ready_after: Duration,
    /// Whether pods of the new revision never become ready.
    pub(super) never_ready: bool,
    /// How long each part may take.
    pub(super) until: Duration,
    /// Whether there is no release.
    pub(super) initialize_only: bool,
}

/// The objects at the moments that are shown.
#[derive(Debug, Default)]
pub(super) struct Captures {
    pub(super) before: Capture,
    pub(super) initialised: Capture,
    pub(super) first_step: Option<Capture>,
    pub(super) end: Capture,
    /// The part that was played last.
    pub(super) last: Option<Part>,
    /// How long it was waited for.
    pub(super) waited: Duration,
}

/// The lab with the user's objects in it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) lab: Lab,
    pub(super) roles: Vec<Arc<Role>>,
    pub(super) tape: Arc<Tape>,
    pub(super) watch: Arc<Watch>,
}

/// An empty lab on simulated time.
pub(super) fn empty(ready_after: Duration) -> Lab {
    let nodes = NodeOptions { ready_after, ..NodeOptions::default() };
    Lab::new(lab::Options {
        clock: Arc::new(SimulatedClock::new(BEGINNING)),
        nodes: Some(nodes),
        ..lab::Options::default()
    })
}

/// The Canaries of a lab, by name and namespace, with what they ask.
pub(super) fn roles(
    lab: &Lab,
    names: &[(String, String)],
    wishes: &Wishes,
    settings: &Arc<api::Settings>,
) -> Vec<Arc<Role>> {
    let canary = |(namespace, name): &(String, String)| {
        let object = lab.get("canaries.flagger.app", namespace, name)?;
        let canary: api::Canary = api::decode((*object).clone()).ok()?;
        Some(Arc::new(Role::new(api::Rollout::resolve(&canary, settings), lab, wishes)))
    };
    names.iter().filter_map(canary).collect()
}

fn is_resting(phase: &str) -> bool {
    matches!(phase, "Initialized" | "Succeeded" | "Failed")
}

impl Stage {
    /// Sets the scene.
    pub(super) fn new(lab: Lab, roles: Vec<Arc<Role>>) -> Self {
        let watch = Arc::new(Watch::new(roles.clone()));
        Self { lab, roles, tape: Arc::new(Tape::new()), watch }
    }

    /// Plays: the Canaries are initialised, then all targets get their new image. `tell` is called when something was put down.
    pub(super) async fn play(
        &self,
        rules: &Rules,
        settings: &Arc<api::Settings>,
        releases: &[Release],
        mut tell: impl FnMut(&Self),
    ) -> Result<Captures, String> {
        // Pods of what was there before are ready before anybody looks.
        tokio::time::sleep(rules.ready_after + REST).await;
        self.tape.begin(Part::Initialisation);
        self.watch.look(&self.lab, &self.tape);
        let mut captures = Captures { before: changes::capture(&self.lab), ..Captures::default() };
        let mut operator = Operator::new(self.config(settings)?);
        operator.sync().await?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let operator = tokio::spawn(operator.run(stopped));
        self.wait(rules.until, &self.roles, &mut tell, is_resting).await;
        // The release comes when everything has come to rest, as it would later in life.
        tokio::time::sleep(REST).await;
        captures.initialised = changes::capture(&self.lab);
        let ready: Vec<Arc<Role>> = self.roles.iter().filter(|role| self.is_initialised(role)).cloned().collect();
        if !rules.initialize_only && !ready.is_empty() {
            self.release(rules, releases)?;
            self.wait(rules.until, &ready, &mut tell, |phase| matches!(phase, "Succeeded" | "Failed")).await;
            captures.first_step = self.watch.first_step();
        }
        (captures.last, captures.waited) = (Some(self.tape.part()), self.tape.elapsed());
        tokio::time::sleep(FLUSH).await;
        self.watch.look(&self.lab, &self.tape);
        tell(self);
        captures.end = changes::capture(&self.lab);
        // Nobody listens any more if it has ended already.
        let _ = stop.send(true);
        operator.abort();
        Ok(captures)
    }

    fn config(&self, settings: &Arc<api::Settings>) -> Result<Config, String> {
        let net = Net {
            lab: self.lab.clone(),
            roles: self.roles.clone(),
            tape: Arc::clone(&self.tape),
            watch: Arc::clone(&self.watch),
        };
        Ok(Config {
            clusters: Clusters::single(Cluster::new(kube::Client::new(self.lab.service_as("flagger"), "default"))),
            namespace: String::new(),
            settings: Arc::clone(settings),
            clock: Clock::simulated(BEGINNING),
            outbound: Arc::new(net),
            receivers: Receivers { event_webhook: Some(EVENTS.to_owned()), notifier: None },
            telemetry: Arc::new(Telemetry::new().map_err(|error| error.to_string())?),
        })
    }

    fn release(&self, rules: &Rules, releases: &[Release]) -> Result<(), String> {
        self.tape.begin(Part::Release);
        for (role, release) in self.roles.iter().zip(releases) {
            let (target, namespace) = (&role.rollout.target, &role.rollout.namespace);
            if !self.is_initialised(role) {
                continue;
            }
            let live = self.lab.get(&target.kind, namespace, &target.name).filter(|_| !release.is_empty());
            let Some(live) = live else {
                continue;
            };
            let mut containers: Vec<Value> = list(&live, "/spec/template/spec/containers").cloned().collect();
            for container in &mut containers {
                if let Some(image) = release.iter().find(|image| image.container == text(container, "/name")) {
                    objects::paths::set(container, &["image"], json!(image.new));
                }
            }
            let mut template = json!({"spec": {"containers": containers}});
            if rules.never_ready {
                objects::paths::set(&mut template, &["metadata", "annotations", "sim/ready-after"], json!("never"));
            }
            let patch = json!({"spec": {"template": template}});
            self.lab.merge(&target.kind, namespace, &target.name, &patch).map_err(|refusal| refusal.to_string())?;
        }
        self.watch.look(&self.lab, &self.tape);
        Ok(())
    }

    /// Waits until every Canary has such a phase and has told of it, or until the time is up.
    async fn wait(
        &self,
        until: Duration,
        roles: &[Arc<Role>],
        tell: &mut impl FnMut(&Self),
        is_end: impl Fn(&str) -> bool,
    ) {
        let deadline = Instant::now() + until;
        let (mut objects, mut told) = (self.lab.changed(), self.tape.changed());
        loop {
            objects.mark_unchanged();
            told.mark_unchanged();
            self.watch.look(&self.lab, &self.tape);
            tell(self);
            if roles.iter().all(|role| self.is_over(role, &is_end)) {
                return;
            }
            tokio::select! {
                biased;
                _ = objects.changed() => {}
                _ = told.changed() => {}
                () = tokio::time::sleep_until(deadline) => return,
            }
        }
    }

    fn is_over(&self, role: &Role, is_end: &impl Fn(&str) -> bool) -> bool {
        let Some(canary) = self.canary(role) else { return true };
        is_end(text(&canary, "/status/phase")) && text(&canary, "/status/unannounced").is_empty()
    }

    /// Whether the Canary serves by its primary, and so may get a release.
    fn is_initialised(&self, role: &Role) -> bool {
        self.is_over(role, &is_resting)
    }

    /// The Canary as it is now.
    pub(super) fn canary(&self, role: &Role) -> Option<Arc<Value>> {
        self.lab.get("canaries.flagger.app", &role.rollout.namespace, &role.rollout.name)
    }
}
