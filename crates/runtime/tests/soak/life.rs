//! A cluster with its users, the weather between it and the operator, and the operator's lives.

use crate::dice::Dice;
use crate::fixtures::{gateway_crds, istio_crds};
use crate::fleet::{App, NAMESPACES};
use crate::guard::Guard;
use crate::net::{Line, Net, Trouble};
use api::Settings;
use jiff::Timestamp;
use lab::faults::{Faults, Rates, WatchEnd, Weather};
use lab::{Lab, Options, SimulatedClock, Verb};
use runtime::clock::Clock;
use runtime::cluster::Cluster;
use runtime::telemetry::Telemetry;
use runtime::{Census, Clusters, Config, Operator, Receivers};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::Layer as _;

/// What was asked, met and begun between two looks at everything.
#[derive(Debug, Default)]
pub struct Round {
    /// Requests by verb.
    pub requests: BTreeMap<String, usize>,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, usize>,
    /// Phases entered.
    pub phases: BTreeMap<String, usize>,
}

impl Round {
    /// Rollouts and initialisations that were begun.
    fn begun(&self) -> usize {
        ["Progressing", "Initializing"].iter().filter_map(|phase| self.phases.get(*phase)).sum()
    }

    pub fn summary(&self) -> String {
        let sum = |counts: Vec<usize>| counts.into_iter().sum::<usize>();
        let (requests, faults) =
            (sum(self.requests.values().copied().collect()), sum(self.faults.values().copied().collect()));
        format!("{requests} requests, {} rollouts, {faults} faults", self.begun())
    }

    /// What that many rollouts and faults may cost.
    pub fn assert_no_storm(&self, canaries: usize) {
        let (requests, faults): (usize, usize) = (self.requests.values().sum(), self.faults.values().sum());
        let most = 30 * canaries + 60 * self.begun() + 3 * faults;
        assert!(requests <= most, "{requests} requests; at most {most} are reasonable: {self:#?}");
    }

    pub fn add(&mut self, other: Self) {
        other.requests.into_iter().for_each(|(what, count)| *self.requests.entry(what).or_default() += count);
        other.faults.into_iter().for_each(|(what, count)| *self.faults.entry(what).or_default() += count);
        other.phases.into_iter().for_each(|(what, count)| *self.phases.entry(what).or_default() += count);
    }
}

pub struct Life {
    pub lab: Lab,
    pub net: Arc<Net>,
    pub guard: Arc<Guard>,
    pub apps: Vec<App>,
    pub faults: Faults,
    pub telemetry: Arc<Telemetry>,
    pub census: Census,
    pub dice: Dice,
    round: Round,
    /// Faults of the present process that are in `round` already.
    counted: BTreeMap<&'static str, usize>,
    /// Restarts, kills, jumps of the clock, and what users did.
    pub happened: BTreeMap<&'static str, usize>,
    pub clock: Clock,
    pub jumped: i64,
    config: Config,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    weather: Option<JoinHandle<()>>,
    lives: usize,
}

impl Life {
    pub async fn begin(count: usize, seed: u64) -> Self {
        let base = Timestamp::constant(1_893_456_000, 0);
        // A short history: watches that lag behind lose it now and then, and it is soon as long as it gets.
        let lab =
            Lab::new(Options { clock: Arc::new(SimulatedClock::new(base)), history: 512, seed, ..Options::default() });
        for crd in api::crd::all().iter().chain(&istio_crds()).chain(&gateway_crds()) {
            lab.create(crd.clone()).unwrap();
        }
        for name in NAMESPACES {
            lab.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).unwrap();
        }
        let of = |kind: &str, name: &str, spec: serde_json::Value| {
            json!({"apiVersion": "flagger.app/v1beta1", "kind": kind,
            "metadata": {"name": name, "namespace": NAMESPACES[0]}, "spec": spec})
        };
        let query = "sum(errors{target=\"{{ target }}\",namespace=\"{{ namespace }}\"})";
        lab.apply(&of(
            "MetricTemplate",
            "errors",
            json!({"provider": {"type": "prometheus", "address": "http://metrics:9090"}, "query": query}),
        ))
        .unwrap();
        lab.apply(&of(
            "AlertProvider",
            "team",
            json!({"type": "slack", "channel": "c", "username": "u", "address": "http://alerts/team"}),
        ))
        .unwrap();
        let apps: Vec<App> = (0..count).map(App::new).collect();
        let guard = Arc::new(Guard::new(lab.clone(), &apps));
        lab.set_hook(Some(Arc::<Guard>::clone(&guard)));
        let net = Arc::new(Net::new(lab.clone()));
        let telemetry = Arc::new(Telemetry::new().unwrap());
        let (faults, clock) = (Faults::new(seed), Clock::simulated(base));
        let config = Config {
            clusters: clusters(&lab, "flagger-1", &faults),
            namespace: String::new(),
            settings: Arc::new(Settings::default()),
            clock: clock.clone(),
            outbound: Arc::new(Line { net: Arc::clone(&net), faults: faults.clone() }),
            receivers: Receivers { event_webhook: Some("http://events/".to_owned()), notifier: None },
            telemetry: Arc::clone(&telemetry),
        };
        guard.set_alive("flagger-1");
        let (stop, task, census) = run(&config).await;
        let mut life = Self {
            lab,
            net,
            guard,
            apps,
            faults,
            telemetry,
            census,
            dice: Dice(seed),
            round: Round::default(),
            counted: BTreeMap::new(),
            happened: BTreeMap::new(),
            clock,
            jumped: 0,
            config,
            stop,
            task,
            weather: None,
            lives: 1,
        };
        for app in life.apps.clone() {
            app.own().iter().for_each(|object| drop(life.lab.apply(object).unwrap()));
            life.lab.apply(&app.canary()).unwrap();
        }
        life.take_requests();
        life
    }

    /// Storms, and a little of every fault all the time.
    pub fn break_calm(&mut self) {
        let rate = [0.002, 0.01, 0.03][self.dice.roll(3)];
        self.faults.add_rates(&Rates::all(rate));
        let kinds = [
            "deployments.apps",
            "canaries.flagger.app",
            "virtualservices.networking.istio.io",
            "secrets",
            "services",
            "httproutes.gateway.networking.k8s.io",
            "ingresses.networking.k8s.io",
        ];
        let weather = Weather { kinds: kinds.map(str::to_owned).to_vec(), ..Weather::default() };
        let faults = self.faults.clone();
        self.weather = Some(tokio::spawn(async move { faults.change_weather(weather).await }));
    }

    /// Everything works from now on.
    pub fn calm_down(&mut self) {
        if let Some(weather) = self.weather.take() {
            weather.abort();
        }
        self.faults.clear();
        // Watches that lag do so until they are opened again.
        self.faults.cut(WatchEnd::Ends, |_| true);
        self.net.calm();
        self.clock.jump(-std::mem::take(&mut self.jumped));
    }

    pub fn note(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// Sets the clock of the operator forward or back.
    pub fn jump(&mut self, seconds: i64) {
        self.clock.jump(seconds);
        self.jumped += seconds;
        self.note("clock jumps");
    }

    pub fn trouble(&mut self) {
        let all = [
            ("metrics hang", Trouble::MetricsHang),
            ("metrics fail", Trouble::MetricsFail),
            ("hooks hang", Trouble::HooksHang),
            ("hooks fail", Trouble::HooksFail),
            ("receivers hang", Trouble::ReceiversHang),
        ];
        let (name, trouble) = all[self.dice.roll(all.len())];
        let seconds = 10 + self.dice.roll(80);
        self.net.trouble(trouble, Duration::from_secs(seconds as u64));
        self.note(name);
    }

    /// Ends the operator, with or without warning, and starts another one.
    pub async fn restart(&mut self, kill: bool) {
        if kill {
            self.faults.kill();
            self.task.abort();
            self.note("kills");
        } else {
            self.stop.send_replace(true);
            tokio::time::sleep(Duration::from_secs(4)).await;
            self.faults.kill();
            self.note("restarts");
        }
        self.take_faults();
        self.counted.clear();
        self.lives += 1;
        let name = format!("flagger-{}", self.lives);
        self.guard.set_alive(&name);
        // The weather goes on, but for the episode that is under way.
        let stormy = self.weather.take().is_some_and(|weather| {
            weather.abort();
            true
        });
        self.faults = Faults::new(self.dice.roll(1 << 30) as u64);
        self.config.clusters = clusters(&self.lab, &name, &self.faults);
        self.config.outbound = Arc::new(Line { net: Arc::clone(&self.net), faults: self.faults.clone() });
        if stormy {
            self.break_calm();
        }
        (self.stop, self.task, self.census) = run(&self.config).await;
    }

    /// Adds what the present layer has done since it was last asked.
    fn take_faults(&mut self) {
        let counts = self.faults.counts();
        for (what, count) in &counts {
            *self.round.faults.entry(*what).or_default() += count - self.counted.get(what).unwrap_or(&0);
        }
        self.counted = counts;
    }

    /// Empties the lab's log, and counts what was in it.
    pub fn take_requests(&mut self) {
        for ((_, verb), count) in self.lab.take_requests().counts() {
            *self.round.requests.entry(verb.to_string()).or_default() += count;
        }
    }

    /// What happened since this was last asked.
    pub fn round(&mut self) -> Round {
        self.take_requests();
        self.take_faults();
        self.round.phases = self.guard.take_phases();
        std::mem::take(&mut self.round)
    }

    /// Writes, of events or of anything else, since the log was emptied.
    pub fn writes(&self) -> Vec<String> {
        let log = self.lab.requests();
        log.entries()
            .filter(|entry| entry.call.verb.writes())
            .map(|entry| format!("{} {}", entry.call, entry.status))
            .collect()
    }

    /// Requests since the log was emptied, without watches.
    pub fn reads(&self) -> Vec<String> {
        let log = self.lab.requests();
        log.entries().filter(|entry| entry.call.verb != Verb::Watch).map(|entry| entry.call.to_string()).collect()
    }
}

fn clusters(lab: &Lab, name: &str, faults: &Faults) -> Clusters {
    Clusters::single(Cluster::new(kube::Client::new(faults.layer(lab.service_as(name)), "default")))
}

/// Starts an operator; one that gives up is started again, as a cluster does.
async fn run(config: &Config) -> (watch::Sender<bool>, JoinHandle<()>, Census) {
    loop {
        let mut operator = Operator::new(config.clone());
        if operator.sync().await.is_ok() {
            let census = operator.census();
            let (stop, stopped) = watch::channel(false);
            return (stop, tokio::spawn(operator.run(stopped)), census);
        }
    }
}
