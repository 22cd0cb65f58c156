//! The lab's own input, through its doors: requests (paths, queries, headers, bodies, patches, selectors, protobuf), manifests, queries, routes.
//!
//! Each input gets a lab of its own, with a Deployment, a Service, a ConfigMap and the definition of Canary in it, so that what happens follows from the
//! input alone.

use super::{Outcome, Run, canary, inputs, law, used, values_of};
use bytes::Bytes;
use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use lab::dataplane::split::{Asked, way};
use lab::dataplane::{Objects, Samples, Spread, promql};
use lab::{Lab, Options};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;
use tower::Service as _;

static OBJECTS: &str = include_str!("../../seeds/objects.yaml");

/// No answer is larger than what came in by more than this factor and this many bytes.
const GROWTH: (usize, usize) = (200, 2_000_000);

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// Runs something on a runtime without threads of its own, whose time only moves when somebody waits.
fn on_runtime<T>(work: impl Future<Output = T>) -> Result<T, String> {
    RUNTIME.with_borrow_mut(|runtime| {
        if runtime.is_none() {
            let built = tokio::runtime::Builder::new_current_thread().enable_time().build();
            *runtime = Some(built.map_err(|error| error.to_string())?);
        }
        runtime.as_ref().map(|runtime| runtime.block_on(work)).ok_or_else(|| "no runtime".to_owned())
    })
}

/// What is in every lab.
static STOCK: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut objects = values_of(OBJECTS);
    objects.retain(|object| {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        ["Deployment", "ConfigMap"].contains(&kind)
    });
    for object in &mut objects {
        object.as_object_mut().map(|map| map.remove("status"));
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
            metadata.insert("namespace".to_owned(), json!("default"));
        }
    }
    objects
});

/// The definition that Canaries need.
static DEFINITION: LazyLock<Value> = LazyLock::new(api::crd::canary);

fn stocked() -> Lab {
    let lab = Lab::new(Options { nodes: None, history: 64, ..Options::default() });
    for object in STOCK.iter() {
        // Refusals do not matter: whatever is there is something to ask about.
        used(lab.create(object.clone()));
    }
    lab
}

const HEAD: &str = "accept: application/json\n";

pub(super) fn request_seeds() -> Vec<Vec<u8>> {
    let patch =
        |kind: &str, path: &str, body: &str| format!("PATCH {path}\ncontent-type: application/{kind}\n\n{body}");
    let deployment = "/apis/apps/v1/namespaces/default/deployments/podinfo";
    let create = |path: &str, body: &Value| format!("POST {path}\ncontent-type: application/json\n\n{body}");
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-", "finalizers": ["x/y"], "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "podinfo", "uid": "u"}]}, "data": {"a": "b"}});
    let definition = api::crd::alert_provider();
    let apply = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: podinfo}\nspec: {replicas: 3, template: {spec: {containers: [{name: podinfo, image: a}]}}}\n";
    let table = "accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json\n";
    let texts = [
        "GET /api\n\n".to_owned(),
        "GET /apis/apps/v1\n\n".to_owned(),
        "GET /openapi/v3/apis/apps/v1?hash=a\n\n".to_owned(),
        format!("GET /api/v1/namespaces/default/configmaps?labelSelector=app%3Dpodinfo,tier+notin+(a,b),!c,d&fieldSelector=metadata.name%3Dpodinfo&limit=1\n{HEAD}\n"),
        format!("GET /api/v1/services?labelSelector=app+in+(podinfo),a!%3Db,c+exists&continue=abc&resourceVersion=0&resourceVersionMatch=NotOlderThan\n{table}\n"),
        format!("GET {deployment}/status\n{table}\n"),
        format!("GET /apis/apps/v1/deployments?watch=1&resourceVersion=1&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\n{HEAD}\n"),
        patch("json-patch+json", deployment, r#"[{"op":"test","path":"/metadata/name","value":"podinfo"},{"op":"replace","path":"/spec/replicas","value":3},{"op":"add","path":"/metadata/labels/a~1b","value":"c"},{"op":"copy","from":"/spec/template","path":"/spec/x"},{"op":"move","from":"/spec/x","path":"/spec/y"},{"op":"remove","path":"/spec/template/spec/containers/0/env/1"},{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"b","image":"c"}}]"#),
        patch("merge-patch+json", deployment, r#"{"metadata":{"resourceVersion":null,"annotations":{"a":null,"b":"c"}},"spec":{"replicas":0}}"#),
        patch("strategic-merge-patch+json", deployment, r#"{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"podinfo"}],"containers":[{"name":"podinfo","env":[{"name":"A","$patch":"delete"}],"$retainKeys":["name","env"]}],"volumes":[{"$patch":"replace"}],"$deleteFromPrimitiveList/x":["a"]}}}}"#),
        patch("apply-patch+yaml", &format!("{deployment}?fieldManager=a&force=true&fieldValidation=Strict"), apply),
        patch("merge-patch+json", &format!("{deployment}/scale"), r#"{"spec":{"replicas":5}}"#),
        patch("merge-patch+json", &format!("{deployment}/status?dryRun=All"), r#"{"status":{"replicas":5}}"#),
        create("/api/v1/namespaces/default/configmaps", &config),
        create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition),
        create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &json!({"spec": {"resourceAttributes": {"verb": "get"}}})),
        create("/apis/events.k8s.io/v1/namespaces/default/events", &json!({"metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "reason": "a", "regarding": {"kind": "Pod", "name": "a"}})),
        "PUT /api/v1/namespaces/default/configmaps/podinfo\ncontent-type: application/yaml\n\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: podinfo, namespace: default}\ndata: {a: b}\n".to_owned(),
        "DELETE /api/v1/namespaces/default/configmaps/podinfo?propagationPolicy=Foreground&gracePeriodSeconds=0\ncontent-type: application/json\n\n{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"preconditions\":{\"uid\":\"a\",\"resourceVersion\":\"1\"}}".to_owned(),
        "DELETE /api/v1/namespaces/default/configmaps?labelSelector=app%3Dpodinfo\n\n".to_owned(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

/// The first line is method and path, then headers, an empty line, the body.
pub(super) fn requests(input: &[u8]) -> Run {
    let end = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let (head, body) = input.split_at(end);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let (method, path) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or(("GET", "/"));
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    let body = Bytes::copy_from_slice(body.get(2..).unwrap_or_default());
    // What is no request at all does not get past hyper either.
    let Ok(request) = request.body(http_body_util::Full::new(body)) else { return Ok(Outcome::Refused) };
    ask(vec![request], input.len())
}

pub(super) fn body_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for mut object in values_of(OBJECTS).into_iter().chain(api::crd::all()).chain(values_of(canary::CANARIES)) {
        let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
        if collection(text("apiVersion"), text("kind"), "").is_none() {
            continue;
        }
        let apply = json!({"spec": object.get("spec"), "metadata": {"labels": {"a": "b"}}});
        object.as_object_mut().map(|map| map.remove("status"));
        seeds.push(json!({"object": object, "merge": apply, "json": [{"op": "replace", "path": "/metadata/labels", "value": {}}]}));
    }
    seeds.iter().map(|seed| seed.to_string().into_bytes()).collect()
}

/// `{"object", "merge", "json"}`: the object is created, then patched in every way with the patches, and with itself.
pub(super) fn bodies(input: &[u8]) -> Run {
    let Some(tree) = super::tree(input) else { return Ok(Outcome::Refused) };
    let part = |key: &str| tree.get(key).cloned().unwrap_or_default();
    let object = part("object");
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(collection) = collection(&text("/apiVersion"), &text("/kind"), &text("/metadata/namespace")) else {
        return Ok(Outcome::Refused);
    };
    let path = format!("{collection}/{}", text("/metadata/name"));
    let build = |method: &str, path: &str, kind: &str, body: &Value| {
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        request.body(http_body_util::Full::new(Bytes::from(body.to_string()))).ok()
    };
    let requests = [
        build("POST", &collection, "application/json", &object),
        build("PATCH", &path, "application/merge-patch+json", &part("merge")),
        build("PATCH", &path, "application/strategic-merge-patch+json", &part("merge")),
        build("PATCH", &path, "application/json-patch+json", &part("json")),
        build("PATCH", &format!("{path}?fieldManager=a&force=true"), "application/apply-patch+yaml", &object),
        build("PATCH", &format!("{path}?fieldManager=b"), "application/apply-patch+yaml", &part("merge")),
        build("PUT", &path, "application/json", &object),
    ];
    ask(requests.into_iter().flatten().collect(), input.len())
}

fn collection(api_version: &str, kind: &str, namespace: &str) -> Option<String> {
    let plural = match kind {
        "Deployment" => "deployments",
        "HorizontalPodAutoscaler" => "horizontalpodautoscalers",
        "ConfigMap" => "configmaps",
        "Secret" => "secrets",
        "Service" => "services",
        "Ingress" => "ingresses",
        "CustomResourceDefinition" => "customresourcedefinitions",
        "Canary" => "canaries",
        _ => return None,
    };
    let root = if api_version.contains('/') { "apis" } else { "api" };
    let place = if plural == "customresourcedefinitions" { String::new() } else { format!("namespaces/{namespace}/") };
    Some(format!("/{root}/{api_version}/{place}{plural}"))
}

/// Asks a new lab, one request after the other.
fn ask(requests: Vec<http::Request<http_body_util::Full<Bytes>>>, size: usize) -> Run {
    let most = size * GROWTH.0 + GROWTH.1;
    let customs = requests.iter().any(|request| request.uri().path().contains("canaries"));
    let work = async {
        let lab = stocked();
        if customs {
            used(lab.create(DEFINITION.clone()));
        }
        if requests.len() > 1 {
            used(lab.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "test"}})));
        }
        let mut service = lab.service();
        for request in requests {
            let shown = format!("{} {}", request.method(), request.uri());
            let Ok(mut response) = service.call(request).await else { continue };
            // 500 is an answer too: the API server gives it for patches that fit no type, and so does the lab.
            law(response.status().as_u16() >= 200, || format!("{shown} is answered with {}", response.status()))?;
            let mut length = 0;
            // Of a watch only what is there at once.
            while let Some(Some(Ok(frame))) = response.body_mut().frame().now_or_never() {
                length += frame.data_ref().map_or(0, Bytes::len);
                law(length <= most, || format!("{shown} is answered with more than {most} bytes"))?;
            }
        }
        Ok(Outcome::Read)
    };
    on_runtime(work)?
}

pub(super) fn protobuf_seeds() -> Vec<Vec<u8>> {
    let field = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).unwrap_or(127);
        [&[number << 3 | 2, length], bytes].concat()
    };
    let object = |version: &str, kind: &str, raw: &[u8]| {
        let kind = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &kind), field(2, raw), field(3, b""), field(4, b"")].concat()
    };
    let metadata = field(1, &[field(1, b"podinfo"), field(3, b"default")].concat());
    let port = field(1, &[field(1, b"http"), field(2, b"TCP"), vec![24, 80], field(4, &[8, 0, 16, 80])].concat());
    let service = [metadata.clone(), field(2, &[port, field(4, b"ClusterIP")].concat())].concat();
    vec![
        object("v1", "Namespace", &metadata),
        object("v1", "Service", &service),
        object("apps/v1", "Deployment", &metadata),
    ]
}

pub(super) fn protobuf(input: &[u8]) -> Run {
    let paths =
        ["/api/v1/namespaces", "/api/v1/namespaces/default/services", "/apis/apps/v1/namespaces/default/deployments"];
    let request = |path| {
        let request = http::Request::builder().method("POST").uri(path);
        let request = request.header("content-type", "application/vnd.kubernetes.protobuf");
        request.body(http_body_util::Full::new(Bytes::copy_from_slice(input))).ok()
    };
    ask(paths.into_iter().filter_map(request).collect(), input.len())
}

pub(super) fn yaml_seeds() -> Vec<Vec<u8>> {
    inputs([
        canary::CANARIES,
        OBJECTS,
        "a: &a [1, *a]\n---\n!!str x\n---\n- {? a : b}\n",
        "{apiVersion: v1, kind: List, items: [{kind: ConfigMap}]}",
        "a: |\n  b\nc: >-\n  d\n",
    ])
}

pub(super) fn yaml(input: &[u8]) -> Run {
    let text = String::from_utf8_lossy(input);
    match lab::read_yaml(&text) {
        Ok(values) => {
            let length: usize = values.iter().map(|value| value.to_string().len()).sum();
            let most = input.len() * GROWTH.0 + GROWTH.1;
            law(length <= most, || format!("{length} bytes of JSON from {} of YAML", input.len()))?;
            Ok(Outcome::Read)
        }
        Err(error) => {
            used(error.to_string());
            Ok(Outcome::Read)
        }
    }
}

pub(super) fn promql_seeds() -> Vec<Vec<u8>> {
    let mut texts: Vec<String> = vec!["vector(1)".to_owned(), "1 + 2 * (3 - 4) / 5".to_owned(), "-1e3".to_owned()];
    for observer in providers::observers::OBSERVERS {
        for template in [observer.success_rate(), observer.duration()] {
            let filled = ["namespace", "target", "service", "ingress", "name", "route"].iter();
            let filled =
                filled.fold(template.to_owned(), |text, name| text.replace(&format!("{{{{ {name} }}}}"), "podinfo"));
            texts.push(filled.replace("{{ interval }}", "1m"));
        }
    }
    texts.into_iter().map(String::into_bytes).collect()
}

pub(super) fn promql(input: &[u8]) -> Run {
    let text = String::from_utf8_lossy(input);
    if let Err(error) = promql::evaluate(&text, &Samples::default()) {
        let length = error.to_string().len();
        law(length <= 1000 + input.len() * 10, || format!("an error of {length} bytes"))?;
    }
    Ok(Outcome::Read)
}

/// Objects by `Kind name`, as in an input.
#[derive(Debug)]
struct Stored(Vec<(String, String, Arc<Value>)>);

impl Objects for Stored {
    fn find(&self, kind: &str, _: &str, name: &str) -> Option<Arc<Value>> {
        self.0.iter().find(|(of, named, _)| of == kind && named == name).map(|(_, _, object)| Arc::clone(object))
    }

    fn list(&self, kind: &str, _: &str) -> Vec<Arc<Value>> {
        self.0.iter().filter(|(of, ..)| of == kind).map(|(_, _, object)| Arc::clone(object)).collect()
    }
}

pub(super) fn route_seeds() -> Vec<Vec<u8>> {
    super::objects::seeds()
}

pub(super) fn routes(input: &[u8]) -> Run {
    let Some(mut tree) = super::tree(input) else { return Ok(Outcome::Refused) };
    let Some(Value::Object(map)) = tree.get_mut("objects").map(Value::take) else { return Ok(Outcome::Refused) };
    let entry = |(key, object): (String, Value)| {
        let (kind, name) = key.split_once(' ')?;
        Some((kind.to_owned(), name.to_owned(), Arc::new(object)))
    };
    let stored = Stored(map.into_iter().filter_map(entry).collect());
    let mut spread = Spread::default();
    for path in ["/", "/api?q=v", "/a%zz?"] {
        let asked = Asked::get("test", "podinfo", path)
            .with("cookie", "flagger-cookie=LpsIaLdoNZ; a=b")
            .with("x-canary", "insider");
        for _ in 0..3 {
            match way(&stored, &mut spread, &asked) {
                Ok(way) => used(format!("{way:?}")),
                Err(none) => law(none.status() >= 400, || "no way, and all is well".to_owned())?,
            }
        }
    }
    Ok(Outcome::Read)
}
