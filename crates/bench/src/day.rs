//! A day of N services, with a controller: created, idle, some released one by one, one watched to its end, all released at once, the controller restarted.

use crate::Options;
use crate::cluster::{Requests, Stage};
use crate::load::{self, Service};
use crate::process::Controller;
use crate::prometheus::Prometheus;
use crate::report::Figures;
use crate::seen::Seen;
use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use objects::kind::{CANARY, CONFIG_MAP, DEPLOYMENT, SECRET};
use objects::{Home, Kind};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Requests of this program side by side.
const SIDE_BY_SIDE: usize = 16;
/// How long anything may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long things settle before an idle controller is looked at.
const SETTLE: Duration = Duration::from_secs(15);

/// Where services live.
pub(crate) const NAMESPACE: Kind =
    Kind { group: "", version: "v1", kind: "Namespace", plural: "namespaces", namespaced: false, home: Home::Main };

/// What is spent between two moments.
struct Meter {
    begun: Instant,
    mark: crate::cluster::Mark,
    cpu: f64,
    server: Option<f64>,
    everybody: Option<f64>,
    asked: u64,
}

/// The measurement under way.
struct Bench<'a> {
    options: &'a Options,
    stage: &'a Stage,
    services: Vec<Service>,
    prometheus: Prometheus,
    seen: Seen,
    controller: Controller,
    figures: Figures,
}

/// Lives through it; what it came to.
pub(crate) async fn live(options: &Options, stage: &Stage, binary: &Path, canaries: usize) -> anyhow::Result<Figures> {
    let prometheus = Prometheus::start().await?;
    let seen = Seen::start(stage.client.clone());
    let controller = Controller::start(binary, &flags(options, stage, &prometheus), options.log)?;
    let services = load::services(canaries);
    let figures = Figures::new(stage.name());
    let mut bench = Bench { options, stage, services, prometheus, seen, controller, figures };
    bench.empty().await?;
    bench.create().await?;
    bench.idle().await?;
    bench.detect().await?;
    bench.alone().await?;
    bench.storm().await?;
    bench.restart().await?;
    let Bench { mut controller, figures, .. } = bench;
    controller.stop().await?;
    Ok(figures)
}

fn flags(options: &Options, stage: &Stage, prometheus: &Prometheus) -> Vec<String> {
    let mut flags = vec![
        format!("-kubeconfig={}", stage.kubeconfig.display()),
        format!("-metrics-server={}", prometheus.url),
        "-mesh-provider=istio".to_owned(),
        "-log-level=info".to_owned(),
        "-kubeconfig-qps=1000".to_owned(),
        "-kubeconfig-burst=2000".to_owned(),
    ];
    flags.extend(options.flag.iter().cloned());
    flags
}

impl Bench<'_> {
    async fn begin(&self) -> anyhow::Result<Meter> {
        Ok(Meter {
            begun: Instant::now(),
            mark: self.stage.mark(),
            cpu: self.controller.cpu()?,
            server: self.stage.server_cpu(),
            everybody: self.stage.everybody().await?,
            asked: self.prometheus.asked(),
        })
    }

    /// Notes what was spent since, under that name.
    async fn end(&mut self, what: &str, meter: &Meter) -> anyhow::Result<Option<Requests>> {
        let requests = self.stage.requests(&meter.mark)?;
        let server = self.stage.server_cpu().zip(meter.server).map(|(now, before)| now - before);
        self.figures.note(what, "CPU of the controller, s", self.controller.cpu()? - meter.cpu);
        if let Some(server) = server {
            self.figures.note(what, "CPU of the API server, s", server);
        }
        if let Some((now, before)) = self.stage.everybody().await?.zip(meter.everybody) {
            self.figures.note(what, "requests of everybody to the API server", now - before);
        }
        if let Some(requests) = &requests {
            self.figures.note_requests(what, requests, self.services.len());
        }
        let asked = self.prometheus.asked().saturating_sub(meter.asked);
        self.figures.note(what, "queries to Prometheus", number(asked));
        let (now, peak) = self.controller.memory()?;
        self.figures.note(what, "resident memory, MiB", now);
        self.figures.note(what, "resident memory at its peak so far, MiB", peak);
        Ok(requests)
    }

    async fn empty(&mut self) -> anyhow::Result<()> {
        let served = self.controller.serves().await?;
        self.figures.note("no Canary", "serving after, s", served.as_secs_f64());
        tokio::time::sleep(Duration::from_secs(3)).await;
        self.figures.note("no Canary", "resident memory, MiB", self.controller.memory()?.0);
        Ok(())
    }

    async fn create(&mut self) -> anyhow::Result<()> {
        for namespace in load::namespaces(self.services.len()) {
            self.stage.create(&NAMESPACE, &namespace).await?;
        }
        let meter = self.begin().await?;
        let (stage, interval) = (self.stage, self.options.interval);
        futures::stream::iter(&self.services)
            .map(|service| async move {
                let kinds = [&CONFIG_MAP, &SECRET, &DEPLOYMENT, &CANARY];
                for (kind, object) in kinds.into_iter().zip(service.objects(interval)) {
                    stage.create(kind, &object).await?;
                }
                anyhow::Ok(())
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .try_collect::<()>()
            .await?;
        let created = meter.begun.elapsed();
        let last = self.seen.wait(&self.services, "Initialized", meter.begun, PATIENCE).await?;
        self.figures.note("created", "all objects created after, s", created.as_secs_f64());
        self.figures.note("created", "all Initialized after, s", (last - meter.begun).as_secs_f64());
        self.end("created", &meter).await?;
        Ok(())
    }

    async fn idle(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep(SETTLE).await;
        let meter = self.begin().await?;
        tokio::time::sleep(Duration::from_secs(self.options.idle)).await;
        self.end("idle", &meter).await?;
        self.figures.note("idle", "seconds", number(self.options.idle));
        Ok(())
    }

    /// Single releases of services here and there, one after the other.
    async fn detect(&mut self) -> anyhow::Result<()> {
        let count = self.options.releases.min(self.services.len());
        let stride = (self.services.len() / count.max(1)).max(1);
        let chosen: Vec<Service> = self.services.iter().step_by(stride).take(count).cloned().collect();
        let begun = Instant::now();
        let mut delays = Vec::new();
        for service in &chosen {
            let at = Instant::now();
            self.stage.release(service, 1).await?;
            let seen = self.seen.wait(std::slice::from_ref(service), "Progressing", at, PATIENCE).await?;
            delays.push((seen - at).as_secs_f64());
            // Not in step with any interval of the controller's.
            tokio::time::sleep(Duration::from_millis(370)).await;
        }
        delays.sort_by(f64::total_cmp);
        for (name, percent) in [("least", 0), ("median", 50), ("p99", 99), ("worst", 100)] {
            let rank = (delays.len().saturating_sub(1) * percent).div_ceil(100);
            let delay = delays.get(rank).copied().unwrap_or_default();
            self.figures.note("one release", &format!("until Progressing, {name}, s"), delay);
        }
        self.seen.wait(&chosen, "Succeeded", begun, PATIENCE).await?;
        Ok(())
    }

    async fn alone(&mut self) -> anyhow::Result<()> {
        let one = self.services.last().context("no services")?.clone();
        let begun = Instant::now();
        self.stage.release(&one, 2).await?;
        let ended = self.seen.wait(std::slice::from_ref(&one), "Succeeded", begun, PATIENCE).await?;
        self.figures.note("one release", "until Succeeded, s", (ended - begun).as_secs_f64());
        Ok(())
    }

    async fn storm(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep(SETTLE).await;
        let meter = self.begin().await?;
        let stage = self.stage;
        futures::stream::iter(&self.services)
            .map(|service| stage.release(service, 3))
            .buffer_unordered(SIDE_BY_SIDE)
            .try_collect::<()>()
            .await?;
        let released = meter.begun.elapsed();
        let last = self.seen.wait(&self.services, "Succeeded", meter.begun, PATIENCE).await?;
        self.figures.note("storm", "all released after, s", released.as_secs_f64());
        self.figures.note("storm", "all Succeeded after, s", (last - meter.begun).as_secs_f64());
        // What is told after the last status belongs to it.
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.end("storm", &meter).await?;
        Ok(())
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep(SETTLE).await;
        let one = self.services.first().context("no services")?.clone();
        self.controller.stop().await?;
        self.stage.release(&one, 4).await?;
        let mark = self.stage.mark();
        let since = Instant::now();
        self.controller.start_again()?;
        let served = self.controller.serves().await?;
        self.figures.note("restart", "serving after, s", served.as_secs_f64());
        let acted = self.seen.wait(std::slice::from_ref(&one), "Progressing", since, PATIENCE).await?;
        let acted = acted - since;
        self.figures.note("restart", "change made meanwhile: Progressing after, s", acted.as_secs_f64());
        tokio::time::sleep(Duration::from_secs(60).saturating_sub(self.controller.age())).await;
        if let Some(requests) = self.stage.requests(&mark)? {
            self.figures.note_requests("restart", &requests, self.services.len());
        }
        self.figures.note("restart", "CPU of the controller, s", self.controller.cpu()?);
        let (now, peak) = self.controller.memory()?;
        self.figures.note("restart", "resident memory, MiB", now);
        self.figures.note("restart", "resident memory at its peak so far, MiB", peak);
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count for people to read")]
fn number(count: u64) -> f64 {
    count as f64
}
