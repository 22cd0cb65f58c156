//! The files of `examples/` in a world: which objects a document applies, and what people do with them then.

use crate::harness::*;
use lab::dataplane::Spread;
use lab::dataplane::split::{Asked, Way, way};
use objects::diff::apply_merge_patch;
use providers::alerts::Channel;
use providers::http::Secret;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Where the messages of the chat that all Canaries share go to.
pub(crate) const CHAT: &str = "http://alerts/chat";

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"))
}

/// The objects of a file, or of a folder with its sub-folders, in the order of the names; without what only Flux and kustomize read.
pub(crate) fn manifests(path: &str) -> Vec<Value> {
    let whole = folder().join(path);
    if whole.is_dir() {
        let mut names: Vec<_> = fs::read_dir(&whole).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        return names.iter().flat_map(|name| manifests(&format!("{path}/{}", name.to_str().unwrap()))).collect();
    }
    if whole.extension().is_none_or(|extension| extension != "yaml") {
        return Vec::new();
    }
    let text = fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{}: {error}", whole.display()));
    let foreign = ["fluxcd.io/", "kustomize.config.k8s.io/", "monitoring.coreos.com/"];
    let is_ours = |object: &Value| {
        let version = object["apiVersion"].as_str().unwrap();
        !foreign.iter().any(|group| version.contains(group))
    };
    lab::read_yaml(&text).unwrap().into_iter().filter(is_ours).collect()
}

/// The only object of that kind in a file or folder.
pub(crate) fn manifest(path: &str, kind: &str) -> Value {
    let mut found: Vec<Value> = manifests(path).into_iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{path}: {kind}");
    found.remove(0)
}

/// A JSON merge patch.
pub(crate) fn patched(mut object: Value, patch: Value) -> Value {
    apply_merge_patch(&mut object, &patch);
    object
}

/// All that the document S002 applies in namespace `prod`: the workloads of S000, with what is different about the frontend.
pub(crate) fn bootstrapped() -> Vec<Value> {
    let mut objects = manifests("gitops-istio/apps");
    let patch = manifest("gitops-flux-bootstrap/apps/frontend.yaml", "Canary");
    let is_frontend = |object: &&mut Value| object["kind"] == "Canary" && object["metadata"]["name"] == "frontend";
    apply_merge_patch(objects.iter_mut().find(is_frontend).unwrap(), &patch);
    objects.extend(manifests("gitops-flux-bootstrap/apps/metrics.yaml"));
    objects
}

/// A cluster as these documents have it: meshes, a gateway kind, a chat for all Canaries.
pub(crate) fn setup() -> Setup {
    let mut setup = Setup::default();
    setup.crds.push(permissive_crd("networking.istio.io", "v1", "Gateway", "gateways"));
    setup.receivers.notifier = Some(chat("slack"));
    setup
}

/// The global notifier of that kind.
pub(crate) fn chat(kind: &str) -> Channel {
    Channel {
        kind: kind.to_owned(),
        address: Secret::new(CHAT),
        token: None,
        username: "flagger".to_owned(),
        channel: "general".to_owned(),
        proxy: None,
    }
}

/// Applies objects, namespaces first, in the order given.
pub(crate) fn apply(world: &World, objects: &[Value]) {
    for object in objects {
        let name =
            if object["kind"] == "Namespace" { &object["metadata"]["name"] } else { &object["metadata"]["namespace"] };
        world.namespace(name.as_str().unwrap_or("default"));
    }
    for object in objects {
        world.apply(object.clone());
    }
}

/// A world with these objects, about this Canary, which is initialised.
pub(crate) async fn initialized(objects: &[Value], namespace: &str, canary: &str) -> World {
    initialized_with(setup(), objects, namespace, canary).await
}

pub(crate) async fn initialized_with(setup: Setup, objects: &[Value], namespace: &str, canary: &str) -> World {
    let mut world = World::with(setup).await;
    world.about(namespace, canary);
    apply(&world, objects);
    world.wait_for("Initialized").await;
    world
}

/// `backend.prod` of S000, initialised.
pub(crate) async fn backend() -> World {
    initialized(&manifests("gitops-istio/apps"), "prod", "backend").await
}

/// `frontend.prod` of S000, initialised.
pub(crate) async fn frontend() -> World {
    initialized(&manifests("gitops-istio/apps"), "prod", "frontend").await
}

/// `forecast.weather` with that Canary of S001.
pub(crate) fn forecast(canary: &str) -> Vec<Value> {
    manifests("how-it-works/app").into_iter().chain(manifests(&format!("how-it-works/{canary}.yaml"))).collect()
}

/// `catalog.catalog` of S003.
pub(crate) fn catalog() -> Vec<Value> {
    manifests("nginx-latency")
}

/// `tickets.tickets` of S004 with that strategy.
pub(crate) fn tickets(strategy: &str) -> Vec<Value> {
    manifests("nginx-strategies/app").into_iter().chain([ticket(strategy)]).collect()
}

/// The Canary of that strategy.
pub(crate) fn ticket(strategy: &str) -> Value {
    manifest(&format!("nginx-strategies/{strategy}.yaml"), "Canary")
}

/// The story without the lines about pods that are not ready yet, which depend on how fast pods start.
pub(crate) fn gist(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| !line.contains("not ready")).collect()
}

/// `N Advance NAME canary weight 5`, `10`...
pub(crate) fn weights(name: &str, steps: impl IntoIterator<Item = i64>) -> Vec<String> {
    steps.into_iter().map(|weight| format!("N Advance {name} canary weight {weight}")).collect()
}

/// `N Advance NAME canary iteration 1/5`, `2/5`...
pub(crate) fn rounds(name: &str, count: i64) -> Vec<String> {
    (1..=count).map(|at| format!("N Advance {name} canary iteration {at}/{count}")).collect()
}

/// Texts of the messages in the chat.
pub(crate) fn chatted(world: &World) -> Vec<String> {
    world.alerts("chat")
}

/// Where a request goes now.
pub(crate) fn ask(world: &World, asked: &Asked) -> Way {
    way(&world.lab, &mut Spread::default(), asked).unwrap_or_else(|error| panic!("{error}\n{}", world.report()))
}

/// How many of a hundred such requests go to a Service.
pub(crate) fn share(world: &World, asked: &Asked, service: &str) -> usize {
    let mut spread = Spread::default();
    let mut send = || way(&world.lab, &mut spread, asked).unwrap_or_else(|error| panic!("{error}\n{}", world.report()));
    (0..100).filter(|_| send().service == service).count()
}

/// Seconds of simulated time that something takes.
pub(crate) async fn seconds_of(work: impl Future<Output = ()>) -> u64 {
    let start = tokio::time::Instant::now();
    work.await;
    start.elapsed().as_secs()
}
