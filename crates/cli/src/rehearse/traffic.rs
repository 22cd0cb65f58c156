//! Where 10,000 requests would go, as the routing objects say at a moment: asked of the lab's data plane, one request at a time.
//!
//! Shares are whole percents, so a hundred requests in a row tell what ten thousand do.

use super::samples;
use api::Rollout;
use lab::Lab;
use lab::dataplane::split::{self, Asked, Way};
use lab::dataplane::{Objects, Spread, backends};
use objects::paths::{list, text};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Requests that are asked for, and how many each stands for.
const ASKED: usize = 100;
const EACH: usize = 100;

/// Kinds that say where requests go.
const KINDS: [&str; 6] = ["VirtualService", "HTTPRoute", "Ingress", "Service", "Deployment", "DaemonSet"];

/// Where 10,000 requests would go.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Traffic {
    /// Who answers how many, by Service and workload.
    pub(super) served: Vec<Share>,
    /// Who gets how many copies, whose answers nobody sees.
    pub(super) copies: Vec<Share>,
    /// Requests that nobody can answer.
    pub(super) lost: usize,
    /// Why, for the last of them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) lost_because: String,
    /// Single requests that go a way of their own.
    pub(super) examples: Vec<Example>,
}

/// Requests to one side.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Share {
    /// The Service.
    pub(super) service: String,
    /// The workload whose pods answer.
    pub(super) workload: String,
    /// How many of the 10,000.
    pub(super) requests: usize,
}

/// One request and where it goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Example {
    /// The request, in words.
    pub(super) request: String,
    /// The workload that answers; empty: nobody can.
    pub(super) workload: String,
}

/// The objects that say where requests go, as they are now.
#[derive(Debug, Default)]
pub(super) struct Still(Vec<(&'static str, Vec<Arc<Value>>)>);

impl Still {
    pub(super) fn of(lab: &Lab, namespace: &str) -> Self {
        Self(KINDS.into_iter().map(|kind| (kind, lab.list(kind, namespace))).collect())
    }

    /// Tells one state of the objects from another.
    pub(super) fn versions(&self) -> Vec<(String, String)> {
        let version = |object: &Arc<Value>| {
            (text(object, "/metadata/uid").to_owned(), text(object, "/metadata/resourceVersion").to_owned())
        };
        self.0.iter().flat_map(|(_, objects)| objects.iter().map(version)).collect()
    }
}

impl Objects for Still {
    fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.list(kind, namespace).into_iter().find(|object| text(object, "/metadata/name") == name)
    }

    fn list(&self, kind: &str, _: &str) -> Vec<Arc<Value>> {
        self.0.iter().find(|(name, _)| *name == kind).map(|(_, objects)| objects.clone()).unwrap_or_default()
    }
}

/// Asks.
pub(super) fn of(objects: &Still, rollout: &Rollout) -> Traffic {
    let plain = Asked::get(&rollout.namespace, &rollout.apex, &path(objects, rollout));
    let mut crowd = Crowd { objects, spread: Spread::default() };
    let mut traffic = Traffic::default();
    let (mut served, mut copies) = (BTreeMap::new(), BTreeMap::new());
    let mut cookies = BTreeSet::new();
    for _ in 0..ASKED {
        let (way, workload) = match crowd.send(&plain) {
            Ok(answer) => answer,
            Err(why) => {
                traffic.lost += EACH;
                traffic.lost_because = why;
                continue;
            }
        };
        if let Some(mirror) = &way.mirror
            && let Some(workload) = crowd.workload(&plain, mirror)
        {
            *copies.entry((mirror.clone(), workload)).or_default() += EACH;
        }
        for (name, value) in &way.response_headers {
            if let Some((cookie, _)) = value.split_once(';').filter(|_| name.eq_ignore_ascii_case("set-cookie")) {
                cookies.insert(cookie.to_owned());
            }
        }
        *served.entry((way.service, workload)).or_default() += EACH;
    }
    traffic.served = shares(served, rollout);
    traffic.copies = shares(copies, rollout);
    let matches = samples::of(rollout);
    let returning = cookies.into_iter().map(|cookie| samples::with_cookie(&cookie));
    for sample in matches.into_iter().chain(returning) {
        let mut example = crowd.example(&sample, &plain);
        // Some gateways look for the name of a cookie alone, and for one value of it.
        if let Some(other) = sample.with_cookie_always().filter(|_| example.workload != rollout.target.name) {
            let other = crowd.example(&other, &plain);
            if other.workload == rollout.target.name {
                example = other;
            }
        }
        traffic.examples.push(example);
    }
    traffic
}

/// The canary's Service last.
fn shares(counts: BTreeMap<(String, String), usize>, rollout: &Rollout) -> Vec<Share> {
    let share = |((service, workload), requests)| Share { service, workload, requests };
    let mut shares: Vec<Share> = counts.into_iter().map(share).collect();
    shares.sort_by_key(|share| share.service == rollout.canary_service);
    shares
}

/// A path that the routes of this Canary are for.
fn path(objects: &Still, rollout: &Rollout) -> String {
    let of_ingress = || {
        let name = rollout.ingress.as_deref()?;
        let ingress = objects.find("Ingress", &rollout.namespace, name)?;
        let mut paths = list(&ingress, "/spec/rules").flat_map(|rule| list(rule, "/http/paths"));
        let ours = paths.find(|path| text(path, "/backend/service/name") == rollout.apex)?;
        Some(text(ours, "/path").to_owned()).filter(|path| !path.is_empty())
    };
    let of_service = || samples::path(rollout.service.matches.first()?.uri.as_ref()?);
    of_ingress().or_else(of_service).unwrap_or_else(|| "/".to_owned())
}

struct Crowd<'a> {
    objects: &'a Still,
    spread: Spread,
}

impl Crowd<'_> {
    /// The way of a request and the workload that answers it, or why nobody does.
    fn send(&mut self, asked: &Asked) -> Result<(Way, String), String> {
        let way = split::way(self.objects, &mut self.spread, asked).map_err(|why| why.to_string())?;
        let workload = self.workload(asked, &way.service);
        let workload = workload.ok_or_else(|| format!("no pod behind Service {} is ready", way.service))?;
        Ok((way, workload))
    }

    fn example(&mut self, sample: &samples::Sample, plain: &Asked) -> Example {
        let (request, asked) = sample.apply(plain);
        Example { request, workload: self.send(&asked).map(|(_, workload)| workload).unwrap_or_default() }
    }

    fn workload(&mut self, asked: &Asked, service: &str) -> Option<String> {
        Some(backends::backend(self.objects, &mut self.spread, &asked.namespace, service)?.name)
    }
}
