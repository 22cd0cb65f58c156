//! What must hold when everything has settled, and what is measured then.

use crate::HEAP;
use crate::fleet::App;
use crate::guard::{self, image};
use crate::life::Life;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long everything may take to come to rest in calm weather: the longest rollout with its deadlines, and some pauses after failures before.
const BOUND: Duration = Duration::from_secs(15 * 60);
/// How long idleness is watched.
const IDLE: Duration = Duration::from_secs(300);

/// Memory at rest.
#[derive(Debug)]
pub struct Measure {
    /// Live bytes of the process.
    live: usize,
    /// Of them: the objects in the lab, and its events, which go after an hour.
    objects: usize,
    events: usize,
    census: BTreeMap<&'static str, usize>,
    series: usize,
    idle: usize,
}

impl Measure {
    /// What is no object in the lab: the operator, and the lab's constant parts. Not the series of metrics: a Canary gets one with its first failure, however
    /// late that is. How many there may be is looked at by itself.
    fn rest(&self) -> usize {
        self.live.saturating_sub(self.objects + self.events + self.series * bytes_of_a_series())
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "heap {:.2} MiB (objects {:.2}, events {:.2}, rest {:.2}), {} series, {} requests in {} idle s",
            mib(self.live),
            mib(self.objects),
            mib(self.events),
            mib(self.rest()),
            self.series,
            self.idle,
            IDLE.as_secs()
        )
    }
}

/// What a series takes.
fn bytes_of_a_series() -> usize {
    const MANY: usize = 100;
    let labels = ["name", "namespace", "deployment_strategy", "analysis_status"];
    let counters =
        prometheus::CounterVec::new(prometheus::Opts::new("flagger_canary_failures_total", "Failures"), &labels)
            .unwrap();
    let before = HEAP.current_usage();
    for number in 0..MANY {
        counters.with_label_values(&[&*format!("app-{number:04}"), "shop-1", "canary", "completed"]).inc();
    }
    (HEAP.current_usage() - before) / MANY
}

/// Neither heap nor any map has grown since the first hour.
pub fn flat(measures: &[Measure]) {
    let (Some(first), Some(last)) = (measures.get(1), measures.last()) else { return };
    // The rest is small. What is remembered of events depends on the weather of the last hour, and a hash table that doubles is a tenth of it: a single measure
    // says less than the trend, in which a leak of 200 bytes per rollout shows after a day.
    let sizes = |one: &Measure| {
        [
            ("the heap without events", one.live - one.events, 1.1),
            ("the heap without the cluster's objects", one.rest(), 1.5),
        ]
    };
    for ((what, before, most), (_, now, _)) in sizes(first).into_iter().zip(sizes(last)) {
        assert!(
            now as f64 <= before as f64 * most,
            "{what} has grown from {before} to {now} bytes\n{first:#?}\n{last:#?}"
        );
    }
    let third = measures.len() / 3;
    if third >= 2 {
        let mean = |some: &[Measure]| some.iter().map(Measure::rest).sum::<usize>() / some.len();
        let (early, late) = (mean(&measures[1..=third]), mean(&measures[measures.len() - third..]));
        assert!(late as f64 <= early as f64 * 1.25, "the heap without the cluster's objects grows: {early}, {late}");
    }
    for (name, before) in &first.census {
        let now = last.census[name];
        match *name {
            // It grows to its bound; the bound is what counts.
            "most events remembered of one Canary" => assert!(now <= 150, "{name}: {now}"),
            "places known" => assert!(now <= before + before / 10, "{name} has grown from {before} to {now}"),
            "correlators of events" | "announcements remembered" => {
                assert!(now <= last.census["canaries"], "{name}: {now}");
            }
            // As many as were looked at in this life; two configs and their copies each.
            "digests of configs" => assert!(now <= 4 * last.census["canaries"], "{name}: {now}"),
            _ => assert_eq!(now, *before, "{name}\n{first:#?}\n{last:#?}"),
        }
    }
    // A series comes with the first success, failure or metric of a Canary, and goes with the Canary.
    let most = last.census["canaries"] * 24;
    assert!(last.series <= most, "{} series", last.series);
    assert!(last.idle <= 3 * last.census["kinds"], "{} requests of an idle operator", last.idle);
}

impl Life {
    /// Waits until every Canary is at rest, and looks whether everything is as it should be.
    pub async fn settle(&mut self, when: &str) {
        let deadline = Instant::now() + BOUND;
        let mut restless = self.apps.clone();
        while !restless.is_empty() {
            restless.retain(|app| self.unrest(app).is_some());
            if Instant::now() >= deadline {
                let unrest: Vec<String> = restless.iter().filter_map(|app| self.unrest(app)).collect();
                panic!("{when}, after {BOUND:?} of calm: {unrest:#?}\n{}", self.tail(&unrest));
            }
            if restless.is_empty() {
                // What is under way arrives: news, notifications, repairs, the ends of pauses after failures. Some rollouts begin only then.
                tokio::time::sleep(Duration::from_secs(90)).await;
                restless = self.apps.iter().filter(|app| self.unrest(app).is_some()).cloned().collect();
            } else {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            self.take_requests();
        }
        let wrong: Vec<String> = self.apps.iter().flat_map(|app| self.faults_of(app)).collect();
        assert!(wrong.is_empty(), "{when}: {wrong:#?}\n{}", self.tail(&wrong));
        let (there, expected) = (self.objects(), self.expected());
        let left: Vec<_> = there.difference(&expected).collect();
        let missing: Vec<_> = expected.difference(&there).collect();
        assert!(left.is_empty() && missing.is_empty(), "{when}: left over {left:#?}, missing {missing:#?}");
        let violations = self.guard.violations();
        assert!(violations.is_empty(), "{when}: {violations:#?}");
    }

    /// The last events of the first Canary that does not come to rest.
    fn tail(&self, unrest: &[String]) -> String {
        let Some(app) = unrest.first().and_then(|text| self.apps.iter().find(|app| text.starts_with(&app.name))) else {
            return String::new();
        };
        let events = self.lab.list("events", app.namespace);
        let mut lines: Vec<String> = events
            .iter()
            .filter(|event| event["involvedObject"]["name"] == app.name)
            .map(|event| format!("{} {}", event["lastTimestamp"].as_str().unwrap_or_default(), event["message"]))
            .collect();
        lines.sort();
        let from = lines.len().saturating_sub(15);
        let canary = self.lab.get("canary", app.namespace, &app.name).unwrap_or_default();
        format!("{}\n{canary:#}\n{:?}\n{}", lines[from..].join("\n"), self.census.counts(), self.faults.report())
    }

    /// What is wrong with a Canary at rest.
    fn faults_of(&self, app: &App) -> Vec<String> {
        let get = |kind: &str, suffix: &str| {
            self.lab.get(kind, app.namespace, &format!("{}{suffix}", app.name)).unwrap_or_default()
        };
        let phase = get("canary", "")["status"]["phase"].as_str().unwrap_or_default().to_owned();
        let (target, primary) = (image(&self.lab, app, ""), image(&self.lab, app, "-primary"));
        let mut wrong = Vec::new();
        wrong.extend(self.unrest(app));
        let promoted = self.guard.seen(&app.name).image;
        if primary != promoted {
            wrong.push(format!("the primary runs {primary}, promoted was {promoted}"));
        }
        if primary.contains("missing") {
            wrong.push(format!("{primary} was promoted"));
        }
        if phase != "Failed" && primary != target {
            wrong.push(format!("the primary runs {primary}, not {target}"));
        }
        for (kind, path) in [("configmap", "/data"), ("secret", "/data")] {
            let (own, copy) = (get(kind, ""), get(kind, "-primary"));
            if phase != "Failed" && own.pointer(path) != copy.pointer(path) {
                wrong.push(format!("the primary's {kind} is another"));
            }
        }
        for suffix in ["", "-primary"] {
            let selector = get("service", suffix)["spec"]["selector"]["app"].clone();
            if selector != format!("{}-primary", app.name) {
                wrong.push(format!("Service {}{suffix} selects {selector}", app.name));
            }
        }
        if guard::traffic(&self.lab, app) != Some((true, false)) {
            wrong.push("traffic goes to the canary".to_owned());
        }
        wrong
            .into_iter()
            .map(|what| format!("{} ({} {}, {phase}): {what}", app.name, app.provider, app.strategy))
            .collect()
    }

    /// All objects of the Canaries that there are.
    fn objects(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for kind in self.lab.sizes().into_keys().filter(|kind| kind != "events" && kind != "namespaces") {
            for object in self.lab.list(&kind, "") {
                let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
                if text("/metadata/namespace").starts_with("shop-") && text("/metadata/name").starts_with("app-") {
                    all.insert(format!("{kind} {}/{}", text("/metadata/namespace"), text("/metadata/name")));
                }
            }
        }
        all
    }

    fn expected(&self) -> BTreeSet<String> {
        self.apps.iter().flat_map(App::expected).collect()
    }

    /// Watches idleness, and measures.
    pub async fn measure(&mut self) -> Measure {
        self.take_requests();
        tokio::time::sleep(IDLE).await;
        let (writes, reads) = (self.writes(), self.reads());
        assert!(writes.is_empty() && reads.is_empty(), "somebody is busy: {writes:#?} {reads:#?}");
        let idle = self.lab.requests().total();
        self.take_requests();
        // What a real cluster keeps on its disk.
        self.lab.compact();
        let (events, others): (Vec<String>, Vec<String>) =
            self.lab.sizes().into_keys().partition(|kind| kind == "events");
        let (events, objects) = (self.bytes_of(&events), self.bytes_of(&others));
        let series = String::from_utf8(self.telemetry.exposition())
            .unwrap()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count();
        Measure { live: HEAP.current_usage(), objects, events, census: self.census.counts(), series, idle }
    }

    /// What the objects of these kinds take, in bytes: what a copy takes.
    fn bytes_of(&self, kinds: &[String]) -> usize {
        let before = HEAP.current_usage();
        let copies: Vec<Value> = kinds
            .iter()
            .flat_map(|kind| self.lab.list(kind, ""))
            .map(|object: Arc<Value>| Value::clone(&object))
            .collect();
        let bytes = HEAP.current_usage() - before;
        drop(copies);
        bytes
    }
}
