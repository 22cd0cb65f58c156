//! Watches the lab: phases, routes, and the objects at the moments that are shown.

use super::changes::{self, Capture};
use super::role::Role;
use super::tape::{Part, Tape, What};
use super::traffic::{self, Still, Traffic};
use lab::Lab;
use objects::paths::{list, text};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct State {
    /// The lab's version at the last look.
    seen: Option<u64>,
    phases: HashMap<String, String>,
    routes: HashMap<String, (Vec<(String, String)>, Traffic)>,
    first_step: Option<Capture>,
    limits: BTreeSet<(String, String)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Watch {
    roles: Vec<Arc<Role>>,
    state: Mutex<State>,
}

impl Watch {
    /// For these Canaries.
    pub(super) fn new(roles: Vec<Arc<Role>>) -> Self {
        Self { roles, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts down what has changed since the last look.
    pub(super) fn look(&self, lab: &Lab, tape: &Tape) {
        let mut state = self.state();
        let version = lab.version();
        if state.seen == Some(version) {
            return;
        }
        state.seen = Some(version);
        for role in &self.roles {
            state.routes(role, lab, tape);
            state.phase(role, lab, tape);
        }
    }

    /// The objects when the new revision first got requests.
    pub(super) fn first_step(&self) -> Option<Capture> {
        self.state().first_step.clone()
    }

    /// What providers were said not to be able to do: Canary and text.
    pub(super) fn limits(&self) -> BTreeSet<(String, String)> {
        self.state().limits.clone()
    }
}

impl State {
    fn phase(&mut self, role: &Role, lab: &Lab, tape: &Tape) {
        let Some(canary) = lab.get("canaries.flagger.app", &role.rollout.namespace, &role.rollout.name) else { return };
        let limits = list(&canary, "/status/conditions").filter(|one| text(one, "/type") == "Unsupported");
        self.limits.extend(limits.map(|one| (role.full_name.clone(), text(one, "/message").to_owned())));
        let phase = text(&canary, "/status/phase");
        if !phase.is_empty() && self.phases.get(&role.full_name).is_none_or(|known| known != phase) {
            self.phases.insert(role.full_name.clone(), phase.to_owned());
            tape.put(&role.full_name, What::Phase { phase: phase.to_owned() });
        }
    }

    fn routes(&mut self, role: &Role, lab: &Lab, tape: &Tape) {
        let objects = Still::of(lab, &role.rollout.namespace);
        let versions = objects.versions();
        let known = self.routes.get(&role.full_name);
        if known.is_some_and(|(seen, _)| *seen == versions) {
            return;
        }
        let traffic = traffic::of(&objects, &role.rollout);
        let changed = known.is_none_or(|(_, known)| *known != traffic);
        let to_canary =
            traffic.served.iter().chain(&traffic.copies).any(|share| share.workload == role.rollout.target.name)
                || traffic.examples.iter().any(|example| example.workload == role.rollout.target.name);
        if changed {
            tape.put(&role.full_name, What::Traffic(traffic.clone()));
        }
        self.routes.insert(role.full_name.clone(), (versions, traffic));
        if changed && to_canary && tape.part() == Part::Release && self.first_step.is_none() {
            self.first_step = Some(changes::capture(lab));
        }
    }
}
