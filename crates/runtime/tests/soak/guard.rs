//! Sees every request of the operator: no write may turn traffic to a side that cannot serve, and what is promoted is noted.

use crate::fleet::App;
use lab::{Call, Intervention, Lab};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

/// What was seen of one Canary.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    phase: String,
    /// The last image that the operator has given to the primary.
    pub image: String,
}

#[derive(Debug, Default)]
struct State {
    seen: HashMap<String, Seen>,
    /// Apps whose traffic was unsafe before the present write, with the write.
    before: HashMap<String, Vec<String>>,
    violations: Vec<String>,
    phases: BTreeMap<String, usize>,
    /// The name of the one process that is alive.
    alive: String,
}

/// See the module.
pub struct Guard {
    lab: Lab,
    apps: HashMap<String, App>,
    state: Mutex<State>,
}

impl Guard {
    pub fn new(lab: Lab, apps: &[App]) -> Self {
        let apps = apps.iter().map(|app| (app.name.clone(), app.clone())).collect();
        Self { lab, apps, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn set_alive(&self, name: &str) {
        name.clone_into(&mut self.state().alive);
    }

    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    pub fn seen(&self, app: &str) -> Seen {
        self.state().seen.get(app).cloned().unwrap_or_default()
    }

    /// How often each phase was entered, since the last time.
    pub fn take_phases(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut self.state().phases)
    }

    /// The apps that a write may concern.
    fn concerned(&self, call: &Call) -> Vec<&App> {
        if !call.verb.writes() || call.resource == "events" || call.subresource == "status" {
            return Vec::new();
        }
        match call.name.get(..7).and_then(|name| self.apps.get(name)) {
            Some(app) => vec![app],
            None => Vec::new(),
        }
    }

    /// Whose primary a write may have changed; of a creation the name is not known.
    fn written_primary(&self, call: &Call) -> Vec<&App> {
        if !call.verb.writes() || call.resource != "deployments.apps" {
            return Vec::new();
        }
        match call.name.get(..7).and_then(|name| self.apps.get(name)) {
            Some(app) => vec![app],
            None => self.apps.values().collect(),
        }
    }

    fn note_status(&self, call: &Call) {
        let Some(app) = self.apps.get(&call.name) else { return };
        let Some(canary) = self.lab.get("canary", app.namespace, &app.name) else { return };
        let text = |path: &str| canary.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let phase = text("/status/phase");
        let mut state = self.state();
        let seen = state.seen.entry(app.name.clone()).or_default();
        if seen.phase != phase {
            seen.phase.clone_from(&phase);
            *state.phases.entry(phase).or_default() += 1;
        }
    }

    /// What the primary gets: never what is known to be bad, unless there was nothing to compare it with.
    fn note_primary(&self, app: &App) {
        let image = image(&self.lab, app, "-primary");
        let mut state = self.state();
        let seen = state.seen.entry(app.name.clone()).or_default();
        let first = matches!(seen.phase.as_str(), "" | "Initializing" | "Initialized");
        let wrong =
            seen.image != image && (image.contains("bad") && !first && !app.skips() || image.contains("missing"));
        let phase = seen.phase.clone();
        seen.image.clone_from(&image);
        if wrong {
            state.violations.push(format!("{image} was promoted in {phase:?} of {} ({})", app.name, app.strategy));
        }
    }
}

impl lab::Hook for Guard {
    fn before(&self, call: &Call) -> Intervention {
        if call.user_agent != self.state().alive {
            return Intervention::Disconnect;
        }
        for app in self.concerned(call) {
            let unsafe_now = unsafe_traffic(&self.lab, app);
            self.state().before.insert(app.name.clone(), unsafe_now);
        }
        Intervention::Pass
    }

    fn after(&self, call: &Call, status: u16) -> Intervention {
        for app in self.concerned(call).into_iter().filter(|_| status < 300) {
            let before = self.state().before.get(&app.name).cloned().unwrap_or_default();
            for what in unsafe_traffic(&self.lab, app).into_iter().filter(|what| !before.contains(what)) {
                let phase = self.seen(&app.name).phase;
                self.state()
                    .violations
                    .push(format!("after {call} in {phase:?} ({} {}): {what}", app.provider, app.strategy));
            }
        }
        for app in self.written_primary(call) {
            self.note_primary(app);
        }
        if call.resource == "canaries.flagger.app" && call.subresource == "status" {
            self.note_status(call);
        }
        Intervention::Pass
    }
}

/// The image of the target (empty suffix) or of the primary.
pub fn image(lab: &Lab, app: &App, suffix: &str) -> String {
    lab.get("deploy", app.namespace, &format!("{}{suffix}", app.name))
        .and_then(|one| one["spec"]["template"]["spec"]["containers"][0]["image"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Whether primary and canary get requests, also mirrored ones.
pub fn traffic(lab: &Lab, app: &App) -> Option<(bool, bool)> {
    let get = |kind: &str, suffix: &str| lab.get(kind, app.namespace, &format!("{}{suffix}", app.name));
    let canary_name = format!("{}-canary", app.name);
    let items = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let (mut primary, mut canary) = (false, false);
    let mut take = |name: &Value, weight: &Value, default: i64| {
        let gets = weight.as_i64().unwrap_or(default) > 0;
        if *name == canary_name { canary |= gets } else { primary |= gets }
    };
    match app.provider {
        "istio" => {
            for http in items(&*get("virtualservice", "")?, "/spec/http") {
                for route in items(&http, "/route") {
                    take(&route["destination"]["host"], &route["weight"], 100);
                }
                if http["mirror"].is_object() {
                    take(&http["mirror"]["host"], &http["mirrorPercentage"]["value"], 100);
                }
            }
        }
        "gatewayapi:v1" => {
            for rule in items(&*get("httproute", "")?, "/spec/rules") {
                for backend in items(&rule, "/backendRefs") {
                    take(&backend["name"], &backend["weight"], 1);
                }
                for filter in items(&rule, "/filters").iter().filter(|filter| filter["type"] == "RequestMirror") {
                    take(&filter["requestMirror"]["backendRef"]["name"], &Value::Null, 1);
                }
            }
        }
        "nginx" => {
            let ingress = get("ingress", "-canary")?;
            let annotation =
                |name: &str| ingress["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{name}")].clone();
            let by_weight = annotation("canary-weight").as_str().is_some_and(|weight| weight != "0");
            let by_match = annotation("canary-by-header").is_string() || annotation("canary-by-cookie").is_string();
            (primary, canary) = (true, annotation("canary") == "true" && (by_weight || by_match));
        }
        _ => {
            let service = get("service", "")?;
            let to_canary = service["spec"]["selector"]["app"] == app.name;
            (primary, canary) = (!to_canary, to_canary);
        }
    }
    Some((primary, canary))
}

/// Sides that get requests and have nobody who serves.
fn unsafe_traffic(lab: &Lab, app: &App) -> Vec<String> {
    let phase =
        lab.get("canary", app.namespace, &app.name).map(|canary| canary["status"]["phase"].clone()).unwrap_or_default();
    if matches!(phase.as_str(), None | Some("" | "Initializing" | "Terminating")) {
        return Vec::new();
    }
    let Some((primary, canary)) = traffic(lab, app) else { return Vec::new() };
    let sides = [(primary, "-primary"), (canary, "")];
    let mut wrong = Vec::new();
    for (_, suffix) in sides.into_iter().filter(|(gets, _)| *gets) {
        let Some(live) = lab.get("deploy", app.namespace, &format!("{}{suffix}", app.name)) else { continue };
        let wanted = live["spec"]["replicas"].as_i64().unwrap_or(1);
        let available = live["status"]["availableReplicas"].as_i64().unwrap_or(0);
        if wanted == 0 || available == 0 {
            wrong.push(format!("{}{suffix} gets requests, {wanted} wanted, {available} available", app.name));
        }
    }
    wrong
}
