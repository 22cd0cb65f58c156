//! The course of events: an application that runs, a Canary for it, a good release, a bad one.
//!
//! Each act ends when the Canary says that it is over, or when its time is up. Meanwhile the screen gets a line per second and one per event.

use super::Options;
use super::manifests::{self, APP, BAD, FIRST, GOOD, NAMESPACE, PRIMARY, Version};
use super::mesh::Mesh;
use super::screen::{Screen, Tone, bar, percentage};
use super::stage::Stage;
use super::verdict::{self, Evidence};
use lab::Lab;
use lab::dataplane::{Load, Tally};
use objects::paths::{integer, list, text};
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How often is looked for events and the end of an act.
const LOOK: Duration = Duration::from_millis(100);
/// How long users are watched before the story begins and between acts.
const PAUSE: Duration = Duration::from_millis(1500);
/// How long the first pods and the Canary's beginning may take.
const SOON: Duration = Duration::from_secs(20);
/// How long a rollout may take beside its steps.
const SLACK: Duration = Duration::from_secs(20);
/// The analysis interval, which every step takes, and the wait before the canary is scaled down.
const INTERVAL: Duration = Duration::from_secs(10);

/// How it ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// Promoted and rolled back.
    AsItShould,
    /// Not so; told on the screen.
    Otherwise,
    /// There was no story. Why.
    NotStarted(String),
}

/// Runs the demo.
pub(super) async fn tell(options: &Options, screen: &mut Screen) -> Ending {
    screen.line(Tone::Heading, "A rollout that succeeds and one that fails, on this machine alone");
    screen.say(&format!("Traffic is split as         {} does", options.provider));
    let Some(mesh) = Mesh::named(&options.provider) else {
        return Ending::NotStarted(format!("the lab does not know the provider {}", options.provider));
    };
    let stage = match Stage::set_up(mesh).await {
        Ok(stage) => stage,
        Err(why) => return Ending::NotStarted(why),
    };
    screen.say(&format!("Kubernetes API (simulated)  {}", stage.server.url()));
    screen.say(&format!("Gateway                     http://{}", stage.plane.gateway()));
    screen.say(&format!("Prometheus                  http://{}", stage.plane.prometheus()));
    screen.say(&format!(
        "Look at it meanwhile, if you like: kubectl -s {} -n {NAMESPACE} get canaries,deployments,services",
        stage.server.url()
    ));
    let mut narrator = Narrator {
        stage: &stage,
        mesh,
        screen,
        load: None,
        told: HashSet::new(),
        last: Tally::default(),
        shown: Instant::now(),
    };
    let evidence = match narrator.acts(options).await {
        Ok(evidence) => evidence,
        Err(Trouble::Refused(why)) => return Ending::NotStarted(why),
        Err(Trouble::Late(what)) => {
            narrator.explain(&what);
            return Ending::Otherwise;
        }
    };
    let findings = verdict::judge(&evidence);
    verdict::show(narrator.screen, &evidence, &findings);
    stage.tear_down().await;
    if findings.iter().all(|finding| finding.holds) { Ending::AsItShould } else { Ending::Otherwise }
}

/// Why the story broke off.
enum Trouble {
    /// The lab did not take an object.
    Refused(String),
    /// What did not happen in time.
    Late(String),
}

impl From<lab::Failure> for Trouble {
    fn from(refusal: lab::Failure) -> Self {
        Self::Refused(refusal.to_string())
    }
}

struct Narrator<'a> {
    stage: &'a Stage,
    mesh: &'static Mesh,
    screen: &'a mut Screen,
    load: Option<Load>,
    /// Events by name and count.
    told: HashSet<(String, i64)>,
    /// What users had seen when the last line was shown.
    last: Tally,
    /// When that was.
    shown: Instant,
}

impl Narrator<'_> {
    async fn acts(&mut self, options: &Options) -> Result<Evidence, Trouble> {
        let lab = self.stage.lab.clone();
        self.begin(&lab, options).await?;
        self.screen.heading(&format!("A good release: {}", GOOD.tag));
        let steps = u32::try_from(options.steps.len()).unwrap_or(1);
        self.release(&lab, GOOD)?;
        self.until("the good release is promoted", INTERVAL * (steps + 1) + SLACK, || is_over(&lab)).await?;
        let promoted = (phase(&lab), image(&lab, PRIMARY));
        self.watch(PAUSE).await;
        self.screen
            .heading(&format!("A bad release: {} fails {}% of its requests and is slow", BAD.tag, BAD.error_percent));
        self.release(&lab, BAD)?;
        self.until("the bad release is rolled back", INTERVAL + SLACK, || is_over(&lab)).await?;
        self.watch(PAUSE).await;
        Ok(Evidence {
            promoted,
            rolled_back: (phase(&lab), image(&lab, PRIMARY)),
            weight: (self.mesh.weight)(&lab),
            tally: self.load.as_ref().map(Load::tally).unwrap_or_default(),
            seconds: self.screen.seconds(),
        })
    }

    /// The application, its users, and a Canary for it.
    async fn begin(&mut self, lab: &Lab, options: &Options) -> Result<(), Trouble> {
        self.screen.heading(&format!(
            "An application with users: {} {}, {} requests per second",
            APP, FIRST.tag, options.rate
        ));
        for object in manifests::application().into_iter().chain(self.mesh.objects()) {
            lab.apply(&object)?;
        }
        self.until("the application is ready", SOON, || ready(lab, APP)).await?;
        self.shown = Instant::now();
        self.load = Some(Load::start(self.stage.plane.gateway(), &Stage::host(), options.rate));
        self.watch(PAUSE).await;
        let steps: Vec<String> = options.steps.iter().map(|step| format!("{step}%")).collect();
        self.screen.heading(&format!(
            "A Canary for it: {} of the requests, then all; one failed check is one too many",
            steps.join(", ")
        ));
        lab.apply(&self.mesh.adapt(manifests::canary(&options.steps)))?;
        self.until("the Canary is initialized", SOON, || phase(lab) == "Initialized").await?;
        self.watch(PAUSE).await;
        Ok(())
    }

    fn release(&mut self, lab: &Lab, version: Version) -> Result<(), Trouble> {
        self.screen.timed(Tone::Plain, &format!("kubectl set image deployment/{APP} {APP}={}", version.image()));
        lab.merge("Deployment", NAMESPACE, APP, &version.release())?;
        Ok(())
    }

    /// Watches for a while.
    async fn watch(&mut self, time: Duration) {
        let end = Instant::now() + time;
        self.follow(end, || false).await;
    }

    /// Watches until something is so.
    async fn until(&mut self, what: &str, time: Duration, so: impl Fn() -> bool) -> Result<(), Trouble> {
        let end = Instant::now() + time;
        if self.follow(end, so).await {
            return Ok(());
        }
        Err(Trouble::Late(if self.stage.controller_is_gone() {
            format!("{what}: the controller has ended")
        } else {
            format!("{what}: not within {} seconds", time.as_secs())
        }))
    }

    /// Shows what happens until the end or until something is so; says whether it is.
    async fn follow(&mut self, end: Instant, so: impl Fn() -> bool) -> bool {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.show_events();
            if so() {
                self.show_events();
                return true;
            }
            if Instant::now() >= end || self.stage.controller_is_gone() {
                return false;
            }
            if self.shown.elapsed() >= Duration::from_secs(1) {
                self.shown = Instant::now();
                self.show_traffic();
            }
        }
    }

    /// Events of the Canary that were not shown yet.
    fn show_events(&mut self) {
        let mut events = self.stage.lab.list("events", NAMESPACE);
        events.retain(|event| text(event, "/involvedObject/kind") == "Canary");
        // Times of events are whole seconds; the version tells which was written first.
        events.sort_by_key(|event| text(event, "/metadata/resourceVersion").parse::<u64>().unwrap_or(0));
        for event in events {
            let id = (text(&event, "/metadata/name").to_owned(), integer(&event, "/count").unwrap_or(1));
            if self.told.insert(id) {
                let message = text(&event, "/message");
                let message = message.strip_prefix("(combined from similar events): ").unwrap_or(message);
                let tone = if text(&event, "/type") == "Warning" { Tone::Bad } else { Tone::Good };
                self.screen.timed(tone, &format!("* {message}"));
            }
        }
    }

    /// One line about the last second: phase, weight, what users saw, where their requests went.
    fn show_traffic(&mut self) {
        let Some(tally) = self.load.as_ref().map(Load::tally) else { return };
        let since = |now: lab::dataplane::Count, then: lab::dataplane::Count| lab::dataplane::Count {
            requests: now.requests.saturating_sub(then.requests),
            failed: now.failed.saturating_sub(then.failed),
        };
        let users = since(tally.all, self.last.all);
        let sides: Vec<String> = tally
            .by_side
            .iter()
            .map(|(side, count)| (side, since(*count, self.last.by_side.get(side).copied().unwrap_or_default())))
            .filter(|(_, count)| count.requests > 0)
            .map(|((workload, version), count)| {
                format!("{workload}:{version} {} ({} ok)", count.requests, percentage(count.success_rate()))
            })
            .collect();
        let weight = (self.mesh.weight)(&self.stage.lab).unwrap_or(0);
        let phase = phase(&self.stage.lab);
        let phase = if phase.is_empty() { "-" } else { phase.as_str() };
        let line = format!(
            "  {phase:<13} canary {} {weight:>3}%  users {:>6} ok  {}",
            bar(weight),
            percentage(users.success_rate()),
            sides.join("  ")
        );
        let tone = if users.failed > 0 { Tone::Bad } else { Tone::Faint };
        self.screen.timed(tone, line.trim_end());
        self.last = tally;
    }

    /// What is known when the story broke off.
    fn explain(&mut self, what: &str) {
        let lab = &self.stage.lab;
        let canary = lab.get("Canary", NAMESPACE, APP);
        let conditions = canary
            .as_deref()
            .map(|canary| list(canary, "/status/conditions").map(Value::to_string).collect::<Vec<_>>());
        self.screen.heading("The demo did not end as it should");
        self.screen.line(Tone::Bad, what);
        self.screen.say(&format!("The Canary's phase is {:?}, its weight {:?}.", phase(lab), (self.mesh.weight)(lab)));
        for condition in conditions.unwrap_or_default() {
            self.screen.say(&format!("  {condition}"));
        }
        if let Some(tally) = self.load.as_ref().map(Load::tally) {
            self.screen.say(&format!("Users sent {} requests, {} failed.", tally.all.requests, tally.all.failed));
        }
        self.screen.say(
            "Run it again with --verbose to see the controller's log. A machine that is very busy may be the reason.",
        );
    }
}

fn phase(lab: &Lab) -> String {
    lab.get("Canary", NAMESPACE, APP).map(|canary| text(&canary, "/status/phase").to_owned()).unwrap_or_default()
}

/// Whether the rollout of what the Deployment asks for now has ended.
fn is_over(lab: &Lab) -> bool {
    let Some(canary) = lab.get("Canary", NAMESPACE, APP) else { return false };
    let ended = matches!(text(&canary, "/status/phase"), "Succeeded" | "Failed");
    // The phase of the rollout before is still there until the controller has seen the new revision.
    let wanted = image(lab, APP);
    ended && (text(&canary, "/status/phase") == "Failed" || image(lab, PRIMARY) == wanted)
}

/// The image that a Deployment asks for.
fn image(lab: &Lab, deployment: &str) -> String {
    let live = lab.get("Deployment", NAMESPACE, deployment);
    live.map(|live| text(&live, "/spec/template/spec/containers/0/image").to_owned()).unwrap_or_default()
}

fn ready(lab: &Lab, deployment: &str) -> bool {
    let live = lab.get("Deployment", NAMESPACE, deployment);
    live.is_some_and(|live| {
        let wanted = integer(&live, "/spec/replicas").unwrap_or(1);
        integer(&live, "/status/readyReplicas").unwrap_or(0) >= wanted
    })
}
