//! Dashboards and alert rules, as shipped: every query is one, and names only series that exist.
//!
//! Series of the controller are compared with what a controller exposes after a success and a failure; those of others with what their projects document.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Series of others, with the labels that we use. Sources: Istio's standard metrics; Envoy's cluster statistics; metrics of ingress-nginx; cAdvisor's Prometheus
/// metrics; labels `kubernetes_namespace` and `app` are those that the Prometheus of our chart gives to what it scrapes.
const OTHERS: &[(&str, &[&str])] = &[
    (
        "istio_requests_total",
        &[
            "reporter",
            "destination_workload",
            "destination_workload_namespace",
            "destination_service",
            "source_workload",
            "source_workload_namespace",
            "response_code",
            "connection_security_policy",
        ],
    ),
    ("istio_tcp_sent_bytes_total", &["destination_workload_namespace"]),
    (
        "istio_request_duration_milliseconds_bucket",
        &["le", "reporter", "destination_workload", "destination_workload_namespace"],
    ),
    ("envoy_cluster_upstream_rq", &["kubernetes_namespace", "envoy_cluster_name", "envoy_response_code", "app"]),
    ("envoy_cluster_upstream_cx_rx_bytes_total", &["kubernetes_namespace", "envoy_cluster_name", "app"]),
    ("nginx_ingress_controller_requests", &["namespace", "ingress", "canary", "status"]),
    ("nginx_ingress_controller_response_duration_seconds_bucket", &["le", "namespace", "ingress", "canary"]),
    ("container_cpu_usage_seconds_total", &["cpu", "namespace", "pod", "container"]),
    ("container_memory_working_set_bytes", &["namespace", "pod", "container"]),
    ("container_network_receive_bytes_total", &["namespace", "pod"]),
    ("container_network_transmit_bytes_total", &["namespace", "pod"]),
];

/// What every scraped series has besides.
const SCRAPED: &str = "instance";

fn shipped(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn dashboards() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(shipped("charts/grafana/dashboards")).unwrap();
    files
        .map(|file| {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), serde_json::from_str(&text).unwrap())
        })
        .collect()
}

/// Where a query stands, and the query.
fn queries() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (name, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                all.push((format!("{name}: {}", panel["title"]), target["expr"].as_str().unwrap().to_owned()));
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap().iter().filter(|one| one["type"] == "query")
        {
            let text = variable["definition"].as_str().unwrap();
            assert_eq!(variable["query"]["query"], text);
            let inner = text.split_once('(').unwrap().1.strip_suffix(')').unwrap();
            let query = if text.starts_with("label_values(") {
                let (series, label) = inner.rsplit_once(", ").unwrap();
                format!("sum({series}) by ({label})")
            } else {
                inner.to_owned()
            };
            all.push((format!("{name}: variable {}", variable["name"]), query));
        }
    }
    let rules: Value =
        serde_yaml_ng::from_str(&std::fs::read_to_string(shipped("monitoring/alerts.yaml")).unwrap()).unwrap();
    for group in rules["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            all.push((format!("alert {}", rule["alert"]), rule["expr"].as_str().unwrap().to_owned()));
        }
    }
    all
}

/// The series of a query, with the labels that are asked of them; labels of groups are asked of all its series.
#[derive(Default)]
struct Named {
    series: Vec<(String, BTreeSet<String>)>,
    grouped: BTreeSet<String>,
}

impl ExprVisitor for Named {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        let mut select = |selector: &VectorSelector| {
            let labels = selector.matchers.matchers.iter().map(|matcher| matcher.name.clone()).collect();
            self.series.push((selector.name.clone().unwrap_or_default(), labels));
        };
        match expr {
            Expr::VectorSelector(selector) => select(selector),
            Expr::MatrixSelector(selector) => select(&selector.vs),
            Expr::Aggregate(aggregate) => {
                if let Some(LabelModifier::Include(labels)) = &aggregate.modifier {
                    self.grouped.extend(labels.labels.iter().cloned());
                }
            }
            _ => {}
        }
        Ok(true)
    }
}

/// Series and labels in the text exposition.
fn exposed(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let labels = rest.split_once('}').map_or("", |(labels, _)| &labels[1..]);
        let labels = labels.split("\",").filter_map(|pair| pair.split_once('=')).map(|(label, _)| label.to_owned());
        all.entry(name.to_owned()).or_default().extend(labels);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn every_query_names_only_series_that_exist() {
    let world = World::initialized("istio", steps(10, 20)).await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    world.deploy("demo:missing");
    world.wait_for("Failed").await;
    world.telemetry.set_info("1", "istio");
    let mut known = exposed(&String::from_utf8(world.telemetry.exposition()).unwrap());
    for (series, labels) in OTHERS {
        known.insert((*series).to_owned(), labels.iter().map(|label| (*label).to_owned()).collect());
    }
    let queries = queries();
    assert!(queries.len() > 80, "{}", queries.len());
    for (place, query) in queries {
        let parsed = parser::parse(&query).unwrap_or_else(|why| panic!("{place}: {why}\n{query}"));
        let mut named = Named::default();
        walk_expr(&mut named, &parsed).unwrap();
        assert!(!named.series.is_empty(), "{place}: {query}");
        for (series, mut labels) in named.series {
            let has = known.get(&series).unwrap_or_else(|| panic!("{place}: nobody exposes {series:?}"));
            labels.extend(named.grouped.iter().cloned());
            labels.remove(SCRAPED);
            let foreign: Vec<&String> = labels.difference(has).collect();
            assert!(foreign.is_empty(), "{place}: {series} has no {foreign:?}, but {has:?}");
        }
    }
}

/// S000-11 and S002-06: the address in the documents opens the dashboard with everything chosen.
#[test]
fn s000_11_addresses_of_dashboards_are_kept() {
    let dashboards = dashboards();
    for (file, address) in [
        ("istio", "/d/flagger-istio/istio-canary?var-namespace&var-primary&var-canary"),
        ("envoy", "/d/flagger-envoy/envoy-canary?var-namespace&var-target"),
        ("appmesh", "/d/flagger-appmesh/appmesh-canary?var-namespace&var-primary&var-canary"),
        ("nginx", "/d/flagger-nginx/nginx-canary?var-namespace&var-ingress&var-target"),
        ("flagger", "/d/flagger-controller/flagger?var-namespace"),
    ] {
        let dashboard = &dashboards[file];
        let slug = dashboard["title"].as_str().unwrap().to_lowercase().replace(' ', "-");
        let list = dashboard["templating"]["list"].as_array().unwrap();
        let variables: Vec<String> = list
            .iter()
            .filter(|variable| variable["type"] == "query")
            .map(|variable| format!("var-{}", variable["name"].as_str().unwrap()))
            .collect();
        let own = format!("/d/{}/{slug}?{}", dashboard["uid"].as_str().unwrap(), variables.join("&"));
        assert_eq!(own, address);
        assert_eq!(dashboard["refresh"], "10s");
    }
}

/// Nothing overlaps, nothing leaves the grid, every picture has a title and a query.
#[test]
fn panels_stand_on_the_grid() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeMap::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            for (x, y) in (0..place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
                let at = (place("x") + x, place("y") + y);
                assert!(at.0 < 24, "{name}: {panel}");
                assert_eq!(taken.insert(at, panel["id"].clone()), None, "{name}: {panel} at {at:?}");
            }
            if panel["type"] != "text" {
                assert!(panel["title"] != "" && !panel["targets"].as_array().unwrap().is_empty(), "{name}: {panel}");
            }
        }
    }
}
