//! What kubectl shows of the kinds that the lab only keeps.
//!
//! Source: the tables of kube-apiserver 1.36.

use super::columns::{Column, age, column, count, name, number, or_none, selector, text};
use objects::paths;
use serde_json::{Value, json};

/// The columns of such a kind, by table; none if it has none of its own.
pub(super) fn of(table: &str) -> Option<Vec<Column>> {
    Some(match table {
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => {
            vec![name(), column("Role", role), age()]
        }
        "jobs.batch" => vec![
            name(),
            column("Status", |_| json!("Running")),
            column("Completions", completions),
            column("Duration", |_| json!("")),
            age(),
        ],
        "cronjobs.batch" => vec![
            name(),
            text("Schedule", "/spec/schedule"),
            column("Timezone", |object| or_none(paths::text(object, "/spec/timeZone"))),
            column("Suspend", |object| json!(if suspended(object) { "True" } else { "False" })),
            column("Active", |object| json!(paths::list(object, "/status/active").count())),
            column("Last Schedule", |_| json!("<none>")),
            age(),
        ],
        "poddisruptionbudgets.policy" => vec![
            name(),
            column("Min Available", |object| or_not_available(object, "/spec/minAvailable")),
            column("Max Unavailable", |object| or_not_available(object, "/spec/maxUnavailable")),
            number("Allowed Disruptions", "/status/disruptionsAllowed"),
            age(),
        ],
        "resourcequotas" => vec![name(), text("Request", "/none"), text("Limit", "/none"), age()],
        "replicationcontrollers" => vec![
            name(),
            number("Desired", "/spec/replicas"),
            number("Current", "/status/replicas"),
            number("Ready", "/status/readyReplicas"),
            age(),
        ],
        "networkpolicies.networking.k8s.io" => vec![
            name(),
            column("Pod-Selector", |object| selector(object.pointer("/spec/podSelector/matchLabels"))),
            age(),
        ],
        "ingressclasses.networking.k8s.io" => vec![
            name(),
            text("Controller", "/spec/controller"),
            column("Parameters", |object| or_none(paths::text(object, "/spec/parameters/name"))),
            age(),
        ],
        "priorityclasses.scheduling.k8s.io" => vec![
            name(),
            number("Value", "/value"),
            column("Global-Default", |object| json!(object.get("globalDefault") == Some(&json!(true)))),
            age(),
            text("PreemptionPolicy", "/preemptionPolicy"),
        ],
        "endpointslices.discovery.k8s.io" => vec![
            name(),
            text("AddressType", "/addressType"),
            column("Ports", |object| joined(object, "/ports", "/port")),
            column("Endpoints", |object| joined(object, "/endpoints", "/addresses/0")),
            age(),
        ],
        _ => return None,
    })
}

/// The columns of a `Scale`.
pub(super) fn scale() -> Vec<Column> {
    vec![name(), number("Desired", "/spec/replicas"), number("Available", "/status/replicas"), age()]
}

fn role(object: &Value) -> Value {
    json!(format!("{}/{}", paths::text(object, "/roleRef/kind"), paths::text(object, "/roleRef/name")))
}

fn completions(object: &Value) -> Value {
    let wanted = paths::integer(object, "/spec/completions").unwrap_or(1);
    json!(format!("{}/{wanted}", count(object, "/status/succeeded")))
}

fn suspended(object: &Value) -> bool {
    object.pointer("/spec/suspend") == Some(&json!(true))
}

fn or_not_available(object: &Value, pointer: &str) -> Value {
    json!(object.pointer(pointer).map_or_else(|| "N/A".to_owned(), super::plain))
}

/// A value of each item of a list.
fn joined(object: &Value, list: &str, item: &str) -> Value {
    let values: Vec<String> = paths::list(object, list).filter_map(|one| one.pointer(item)).map(super::plain).collect();
    json!(if values.is_empty() { "<unset>".to_owned() } else { values.join(",") })
}
