//! What kubectl shows of the built-in kinds.
//!
//! Source: the tables of kube-apiserver 1.36.

use super::since;
use jiff::Timestamp;
use objects::paths;
use serde_json::{Value, json};

/// Makes a cell of an object, at a time.
pub(super) type Cell = Box<dyn Fn(&Value, Timestamp) -> Value>;

/// One column.
pub(super) struct Column {
    /// Heading.
    pub name: String,
    /// Type, as the definition says it.
    pub kind: String,
    /// Above 0: only with `-o wide`.
    pub priority: i64,
    /// The content.
    pub cell: Cell,
}

/// The columns of a built-in kind, by table.
pub(super) fn of(table: &str) -> Vec<Column> {
    let mut columns = match table {
        "configmaps" => vec![name(), column("Data", data_count), age()],
        "secrets" => vec![name(), text("Type", "/type"), column("Data", data_count), age()],
        "events" => events(),
        "namespaces" => vec![name(), text("Status", "/status/phase"), age()],
        "nodes" => vec![
            name(),
            column("Status", |_| json!("Ready")),
            column("Roles", |_| json!("<none>")),
            age(),
            text("Version", "/status/nodeInfo/kubeletVersion"),
        ],
        "pods" => pods(),
        "services" => services(),
        "deployments.apps" => deployments(),
        "daemonsets.apps" => daemon_sets(),
        "replicasets.apps" => replica_sets(),
        "statefulsets.apps" => {
            vec![name(), column("Ready", |object| ready(object, "/spec/replicas", "/status/readyReplicas")), age()]
        }
        "horizontalpodautoscalers.autoscaling" => autoscalers(),
        "ingresses.networking.k8s.io" => ingresses(),
        "leases.coordination.k8s.io" => vec![name(), text("Holder", "/spec/holderIdentity"), age()],
        "customresourcedefinitions.apiextensions.k8s.io"
        | "roles.rbac.authorization.k8s.io"
        | "clusterroles.rbac.authorization.k8s.io" => {
            vec![name(), Column { kind: "date".to_owned(), ..text("Created At", "/metadata/creationTimestamp") }]
        }
        other => super::others::of(other).unwrap_or_else(|| vec![name(), age()]),
    };
    if matches!(table, "deployments.apps" | "daemonsets.apps" | "replicasets.apps" | "statefulsets.apps") {
        columns.extend([
            wide("Containers", |object| containers(object, "name")),
            wide("Images", |object| containers(object, "image")),
        ]);
        if table != "statefulsets.apps" {
            columns.push(wide("Selector", |object| selector(object.pointer("/spec/selector/matchLabels"))));
        }
    }
    columns
}

/// The name.
pub(super) fn name() -> Column {
    text("Name", "/metadata/name")
}

/// The time since creation.
pub(super) fn age() -> Column {
    timed("Age", |object, now| json!(since(paths::text(object, "/metadata/creationTimestamp"), now)))
}

fn timed(name: &str, cell: impl Fn(&Value, Timestamp) -> Value + 'static) -> Column {
    Column { name: name.to_owned(), kind: "string".to_owned(), priority: 0, cell: Box::new(cell) }
}

pub(super) fn column(name: &str, cell: impl Fn(&Value) -> Value + 'static) -> Column {
    timed(name, move |object, _| cell(object))
}

fn wide(name: &str, cell: impl Fn(&Value) -> Value + 'static) -> Column {
    Column { priority: 1, ..column(name, cell) }
}

pub(super) fn text(name: &str, pointer: &'static str) -> Column {
    column(name, move |object| json!(paths::text(object, pointer)))
}

pub(super) fn number(name: &str, pointer: &'static str) -> Column {
    Column { kind: "integer".to_owned(), ..column(name, move |object| json!(count(object, pointer))) }
}

pub(super) fn count(object: &Value, pointer: &str) -> i64 {
    paths::integer(object, pointer).unwrap_or_default()
}

pub(super) fn or_none(text: &str) -> Value {
    json!(if text.is_empty() { "<none>" } else { text })
}

fn ready(object: &Value, wanted: &str, ready: &str) -> Value {
    json!(format!("{}/{}", count(object, ready), count(object, wanted)))
}

fn data_count(object: &Value) -> Value {
    let of = |key: &str| object.get(key).and_then(Value::as_object).map_or(0, serde_json::Map::len);
    json!(of("data") + of("binaryData"))
}

fn containers(object: &Value, key: &str) -> Value {
    let texts: Vec<_> = paths::list(object, "/spec/template/spec/containers")
        .map(|container| paths::text(container, &format!("/{key}")))
        .collect();
    json!(texts.join(","))
}

pub(super) fn selector(labels: Option<&Value>) -> Value {
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    or_none(
        &labels
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join(","),
    )
}

fn events() -> Vec<Column> {
    let ago = |name: &str, pointers: [&'static str; 2]| {
        timed(name, move |object, now| {
            let stamp = pointers.iter().map(|pointer| paths::text(object, pointer)).find(|text| !text.is_empty());
            json!(stamp.map_or_else(|| "<unknown>".to_owned(), |stamp| since(stamp, now)))
        })
    };
    let about = |object: &Value| {
        json!(format!(
            "{}/{}",
            paths::text(object, "/involvedObject/kind").to_lowercase(),
            paths::text(object, "/involvedObject/name")
        ))
    };
    let wide_text = |name: &str, pointer| Column { priority: 1, ..text(name, pointer) };
    vec![
        ago("Last Seen", ["/lastTimestamp", "/eventTime"]),
        text("Type", "/type"),
        text("Reason", "/reason"),
        column("Object", about),
        wide_text("Subobject", "/involvedObject/fieldPath"),
        wide_text("Source", "/source/component"),
        column("Message", |object| json!(paths::text(object, "/message").trim())),
        Column { priority: 1, ..ago("First Seen", ["/firstTimestamp", "/eventTime"]) },
        wide("Count", |object| json!(count(object, "/count").max(1).to_string())),
        wide_text("Name", "/metadata/name"),
    ]
}

fn pods() -> Vec<Column> {
    let ready = |object: &Value| {
        let total = paths::list(object, "/spec/containers").count();
        let ready = paths::list(object, "/status/containerStatuses")
            .filter(|status| status.get("ready") == Some(&json!(true)))
            .count();
        json!(format!("{ready}/{total}"))
    };
    let status = |object: &Value| match paths::text(object, "/metadata/deletionTimestamp") {
        "" => json!(paths::text(object, "/status/phase")),
        _ => json!("Terminating"),
    };
    let restarts = |object: &Value| {
        let restarts: i64 =
            paths::list(object, "/status/containerStatuses").map(|status| count(status, "/restartCount")).sum();
        json!(restarts.to_string())
    };
    vec![
        name(),
        column("Ready", ready),
        column("Status", status),
        column("Restarts", restarts),
        age(),
        wide("IP", |object| or_none(paths::text(object, "/status/podIP"))),
        wide("Node", |object| or_none(paths::text(object, "/spec/nodeName"))),
        wide("Nominated Node", |object| or_none(paths::text(object, "/status/nominatedNodeName"))),
        wide("Readiness Gates", |_| json!("<none>")),
    ]
}

fn services() -> Vec<Column> {
    let ports = |object: &Value| {
        let ports = paths::list(object, "/spec/ports").map(|port| {
            let node = port.get("nodePort").map_or_else(String::new, |node| format!(":{node}"));
            format!("{}{node}/{}", count(port, "/port"), paths::text(port, "/protocol"))
        });
        or_none(&ports.collect::<Vec<_>>().join(","))
    };
    let external = |object: &Value| match paths::text(object, "/spec/type") {
        "ExternalName" => json!(paths::text(object, "/spec/externalName")),
        "LoadBalancer" => json!("<pending>"),
        _ => json!("<none>"),
    };
    vec![
        name(),
        text("Type", "/spec/type"),
        column("Cluster-IP", |object| or_none(paths::text(object, "/spec/clusterIP"))),
        column("External-IP", external),
        column("Port(s)", ports),
        age(),
        wide("Selector", |object| selector(object.pointer("/spec/selector"))),
    ]
}

fn deployments() -> Vec<Column> {
    vec![
        name(),
        column("Ready", |object| ready(object, "/spec/replicas", "/status/readyReplicas")),
        column("Up-to-date", |object| json!(count(object, "/status/updatedReplicas"))),
        column("Available", |object| json!(count(object, "/status/availableReplicas"))),
        age(),
    ]
}

fn daemon_sets() -> Vec<Column> {
    vec![
        name(),
        number("Desired", "/status/desiredNumberScheduled"),
        number("Current", "/status/currentNumberScheduled"),
        number("Ready", "/status/numberReady"),
        number("Up-to-date", "/status/updatedNumberScheduled"),
        number("Available", "/status/numberAvailable"),
        column("Node Selector", |object| selector(object.pointer("/spec/template/spec/nodeSelector"))),
        age(),
    ]
}

fn replica_sets() -> Vec<Column> {
    vec![
        name(),
        number("Desired", "/spec/replicas"),
        number("Current", "/status/replicas"),
        number("Ready", "/status/readyReplicas"),
        age(),
    ]
}

fn autoscalers() -> Vec<Column> {
    let reference = |object: &Value| {
        json!(format!(
            "{}/{}",
            paths::text(object, "/spec/scaleTargetRef/kind"),
            paths::text(object, "/spec/scaleTargetRef/name")
        ))
    };
    let targets = |object: &Value| {
        let metrics = paths::list(object, "/spec/metrics").map(|metric| {
            let target = ["resource", "pods", "object", "external", "containerResource"]
                .iter()
                .find_map(|kind| metric.pointer(&format!("/{kind}/target")));
            let target = target.cloned().unwrap_or_default();
            let name = paths::text(metric, "/resource/name");
            let wanted = paths::integer(&target, "/averageUtilization").map(|share| format!("{share}%"));
            let wanted = wanted
                .unwrap_or_else(|| [paths::text(&target, "/averageValue"), paths::text(&target, "/value")].concat());
            if name.is_empty() { format!("<unknown>/{wanted}") } else { format!("{name}: <unknown>/{wanted}") }
        });
        or_none(&metrics.collect::<Vec<_>>().join(", "))
    };
    vec![
        name(),
        column("Reference", reference),
        column("Targets", targets),
        column("MinPods", |object| json!(count(object, "/spec/minReplicas").to_string())),
        column("MaxPods", |object| json!(count(object, "/spec/maxReplicas"))),
        column("Replicas", |object| json!(count(object, "/status/currentReplicas"))),
        age(),
    ]
}

fn ingresses() -> Vec<Column> {
    let hosts = |object: &Value| {
        let hosts: Vec<_> = paths::list(object, "/spec/rules")
            .map(|rule| paths::text(rule, "/host"))
            .filter(|host| !host.is_empty())
            .collect();
        json!(if hosts.is_empty() { "*".to_owned() } else { hosts.join(",") })
    };
    vec![
        name(),
        column("Class", |object| or_none(paths::text(object, "/spec/ingressClassName"))),
        column("Hosts", hosts),
        column("Address", |_| json!("")),
        column("Ports", |object| json!(if object.pointer("/spec/tls").is_some() { "80, 443" } else { "80" })),
        age(),
    ]
}
