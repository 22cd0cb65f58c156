//! A workload and its canary side by side, as the mesh or the ingress sees them: requests and errors above, what the pods use below.
//!
//! Uids, variables and queries of `istio`, `envoy` and `appmesh` are those that people know (operations notes, section 8.1), with a success rate whose bounds are
//! in its unit. `nginx` is ours: ingress-nginx tells by its label `canary` which requests went to the canary.

use super::panel::{Dashboard, Panel, Place, Shows, Variable};

/// What one mesh or ingress calls things.
struct Source {
    /// Counter of requests, and its label of the status.
    requests: &'static str,
    code: &'static str,
    /// What selects the requests of the primary and of the canary.
    sides: [&'static str; 2],
    /// What selects the pods of the primary and of the canary.
    pods: [&'static str; 2],
    /// How the canary is called in headings.
    title: &'static str,
}

const SIDES: [&str; 2] = ["Primary", "Canary"];
const NAMESPACE: &str = r#"/.*_namespace="([^"]*).*/"#;
const CLUSTERS: &str = "query_result(sum(envoy_cluster_upstream_rq) by (kubernetes_namespace))";

/// Istio, with both directions of the traffic.
pub(super) fn istio() -> Dashboard {
    let source = Source {
        requests: "istio_requests_total",
        code: "response_code",
        sides: [
            r#"reporter="destination",destination_workload_namespace=~"$namespace",destination_workload=~"$primary""#,
            r#"reporter="destination",destination_workload_namespace=~"$namespace",destination_workload=~"$canary""#,
        ],
        pods: [r#"pod=~"$primary.*""#, r#"pod=~"$canary.*", pod!~"$primary.*""#],
        title: "$canary.$namespace",
    };
    let workload = r#"query_result(sum(istio_requests_total{destination_workload_namespace=~"$namespace"}) by (destination_workload))"#;
    let name = r#"/.*destination_workload="([^"]*).*/"#;
    let mut panels = red(&source);
    panels.extend(both(7, 4, source.sides, |of| {
        let quantile = |q: &str| format!("histogram_quantile({q}, sum(irate(istio_request_duration_milliseconds_bucket{{{of}}}[1m])) by (le)) / 1000");
        let queries = vec![(quantile("0.50"), "P50"), (quantile("0.90"), "P90"), (quantile("0.99"), "P99")];
        ("Request Duration", lines("s"), queries)
    }));
    panels.extend(usage(&source));
    panels.push(Panel::heading(32, "IN/OUTBOUND: $canary.$namespace"));
    let mutual = r#"connection_security_policy="mutual_tls""#;
    let other = r#"connection_security_policy!="mutual_tls""#;
    panels.extend(both(35, 6, source.sides, |of| {
        let by = "source_workload, source_workload_namespace, response_code";
        let query =
            |policy: &str| format!("round(sum(irate(istio_requests_total{{{policy},{of}}}[30s])) by ({by}), 0.001)");
        let queries = vec![
            (query(mutual), "{{ source_workload }}.{{ source_workload_namespace }} : {{ response_code }} (mTLS)"),
            (query(other), "{{ source_workload }}.{{ source_workload_namespace }} : {{ response_code }}"),
        ];
        ("Incoming Requests by Source And Response Code", lines("ops"), queries)
    }));
    panels.extend(both(41, 6, ["$primary", "$canary"], |of| {
        let query = |policy: &str| {
            format!(
                "round(sum(irate(istio_requests_total{{{policy},reporter=\"source\",source_workload_namespace=~\"$namespace\",source_workload=~\"{of}\"}}[30s])) \
                 by (destination_service, response_code), 0.001)"
            )
        };
        let queries = vec![
            (query(mutual), "{{ destination_service }} : {{ response_code }} (mTLS)"),
            (query(other), "{{ destination_service }} : {{ response_code }}"),
        ];
        ("Outgoing Requests by Destination And Response Code", lines("ops"), queries)
    }));
    let namespaces = "query_result(sum(istio_requests_total) by (destination_workload_namespace) or sum(istio_tcp_sent_bytes_total) by (destination_workload_namespace))";
    let variables = vec![
        Variable { name: "namespace", query: namespaces.to_owned(), regex: NAMESPACE },
        Variable { name: "primary", query: workload.to_owned(), regex: name },
        Variable { name: "canary", query: workload.to_owned(), regex: name },
    ];
    Dashboard { file: "istio", uid: "flagger-istio", title: "Istio Canary", from: "now-5m", variables, panels }
}

/// Envoy by cluster: Contour, Gloo and others whose clusters are called after the Services.
pub(super) fn envoy() -> Dashboard {
    let source = Source {
        requests: "envoy_cluster_upstream_rq",
        code: "envoy_response_code",
        sides: [
            r#"kubernetes_namespace=~"$namespace",envoy_cluster_name=~"$target-primary""#,
            r#"kubernetes_namespace=~"$namespace",envoy_cluster_name=~"$target-canary""#,
        ],
        pods: [r#"pod=~"$target-primary.*""#, r#"pod=~"$target.*", pod!~"$target-primary.*""#],
        title: "$target.$namespace",
    };
    let target = r#"query_result(sum(envoy_cluster_upstream_rq{kubernetes_namespace="$namespace",envoy_cluster_name=~".*-primary"}) by (envoy_cluster_name))"#;
    let variables = vec![
        Variable { name: "namespace", query: CLUSTERS.to_owned(), regex: NAMESPACE },
        Variable { name: "target", query: target.to_owned(), regex: r#"/.*envoy_cluster_name="(.*)-primary"/"# },
    ];
    let panels = with_traffic(&source);
    Dashboard { file: "envoy", uid: "flagger-envoy", title: "Envoy Canary", from: "now-5m", variables, panels }
}

/// App Mesh: Envoy, by the label `app` of the pods.
pub(super) fn appmesh() -> Dashboard {
    let source = Source {
        requests: "envoy_cluster_upstream_rq",
        code: "envoy_response_code",
        sides: [
            r#"kubernetes_namespace=~"$namespace",app=~"$primary""#,
            r#"kubernetes_namespace=~"$namespace",app=~"$canary""#,
        ],
        pods: [r#"pod=~"$primary.*""#, r#"pod=~"$canary.*", pod!~"$primary.*""#],
        title: "$canary.$namespace",
    };
    let app = |matches: &str| {
        format!(
            r#"query_result(sum(envoy_cluster_upstream_rq{{kubernetes_namespace="$namespace",app{matches}".*-primary"}}) by (app))"#
        )
    };
    let regex = r#"/.*app="([^"]*).*/"#;
    let variables = vec![
        Variable { name: "namespace", query: CLUSTERS.to_owned(), regex: NAMESPACE },
        Variable { name: "primary", query: app("=~"), regex },
        Variable { name: "canary", query: app("!~"), regex },
    ];
    let panels = with_traffic(&source);
    Dashboard { file: "appmesh", uid: "flagger-appmesh", title: "AppMesh Canary", from: "now-5m", variables, panels }
}

/// ingress-nginx, by the Ingress that is cloned for the canary.
pub(super) fn nginx() -> Dashboard {
    let source = Source {
        requests: "nginx_ingress_controller_requests",
        code: "status",
        sides: [
            r#"namespace="$namespace",ingress="$ingress",canary="""#,
            r#"namespace="$namespace",ingress="$ingress",canary!="""#,
        ],
        pods: [r#"pod=~"$target-primary.*""#, r#"pod=~"$target.*", pod!~"$target-primary.*""#],
        title: "$ingress.$namespace",
    };
    let variables = vec![
        Variable {
            name: "namespace",
            query: "label_values(nginx_ingress_controller_requests{canary!=\"\"}, namespace)".to_owned(),
            regex: "",
        },
        Variable {
            name: "ingress",
            query: "label_values(nginx_ingress_controller_requests{namespace=\"$namespace\",canary!=\"\"}, ingress)"
                .to_owned(),
            regex: "",
        },
        Variable {
            name: "target",
            query: "label_values(flagger_canary_status{namespace=\"$namespace\"}, name)".to_owned(),
            regex: "",
        },
    ];
    let mut panels = red(&source);
    panels.extend(both(7, 4, source.sides, |of| {
        let quantile = |q: &str| format!("histogram_quantile({q}, sum(rate(nginx_ingress_controller_response_duration_seconds_bucket{{{of}}}[1m])) by (le))");
        let queries = vec![(quantile("0.50"), "P50"), (quantile("0.90"), "P90"), (quantile("0.99"), "P99")];
        ("Response Duration", lines("s"), queries)
    }));
    panels.extend(usage(&source));
    Dashboard { file: "nginx", uid: "flagger-nginx", title: "NGINX Canary", from: "now-5m", variables, panels }
}

/// The head of a dashboard: rate, errors, of both sides.
fn red(source: &Source) -> Vec<Panel> {
    let Source { requests, code, .. } = source;
    let mut panels = vec![Panel::heading(0, &format!("RED: {}", source.title))];
    for (side, (name, of)) in SIDES.iter().zip(source.sides).enumerate() {
        let x = 12 * u32::from(side > 0);
        panels.push(Panel {
            title: format!("{name}: Incoming Request Volume"),
            place: Place { x, y: 3, width: 6, height: 4 },
            shows: Shows::Number { unit: "ops", last: true, bounds: None },
            queries: vec![(format!("round(sum(rate({requests}{{{of}}}[30s])), 0.001)"), "requests")],
        });
        let success =
            format!("sum(irate({requests}{{{of},{code}!~\"5.*\"}}[30s])) / sum(irate({requests}{{{of}}}[30s]))");
        panels.push(Panel {
            title: format!("{name}: Incoming Success Rate"),
            place: Place { x: x + 6, y: 3, width: 6, height: 4 },
            // Of the primary what it is like as a rule, of the canary what it is like now.
            shows: Shows::Number { unit: "percentunit", last: side > 0, bounds: Some([0.95, 0.99]) },
            queries: vec![(success, "success rate")],
        });
    }
    panels
}

/// Envoy tells bytes where Istio tells durations.
fn with_traffic(source: &Source) -> Vec<Panel> {
    let mut panels = red(source);
    panels.extend(both(7, 4, source.sides, |of| {
        let query = format!("sum(rate(envoy_cluster_upstream_cx_rx_bytes_total{{{of}}}[30s]))");
        ("Incoming Traffic", lines("Bps"), vec![(query, "traffic")])
    }));
    panels.extend(usage(source));
    panels
}

/// What the pods of both sides use.
fn usage(source: &Source) -> Vec<Panel> {
    let mut panels = vec![Panel::heading(11, &format!("USE: {}", source.title))];
    let apart = r#"container!~"POD|istio-proxy""#;
    panels.extend(both(14, 6, source.pods, |pods| {
        let query = format!("sum(rate(container_cpu_usage_seconds_total{{cpu=\"total\",namespace=\"$namespace\",{pods}, {apart}}}[1m])) by (pod)");
        ("CPU Usage by Pod", stacked("s"), vec![(query, "{{ pod }}")])
    }));
    panels.extend(both(20, 6, source.pods, |pods| {
        let query =
            format!("sum(container_memory_working_set_bytes{{namespace=\"$namespace\",{pods}, {apart}}}) by (pod)");
        ("Memory Usage by Pod", stacked("bytes"), vec![(query, "{{ pod }}")])
    }));
    panels.extend(both(26, 6, source.pods, |pods| {
        let bytes = |way: &str| {
            format!("sum(rate(container_network_{way}_bytes_total{{namespace=\"$namespace\",{pods}}}[1m]))")
        };
        (
            "Network I/O",
            lines("Bps"),
            vec![(bytes("receive"), "received"), (format!("-{}", bytes("transmit")), "transmitted")],
        )
    }));
    panels
}

/// The same picture for the primary, left, and the canary, right. `of`: what the queries of each are about.
fn both(
    y: u32,
    height: u32,
    of: [&'static str; 2],
    picture: impl Fn(&'static str) -> (&'static str, Shows, Vec<(String, &'static str)>),
) -> impl Iterator<Item = Panel> {
    SIDES.into_iter().zip(of).zip([0, 12]).map(move |((name, of), x)| {
        let (title, shows, queries) = picture(of);
        Panel { title: format!("{name}: {title}"), place: Place { x, y, width: 12, height }, shows, queries }
    })
}

fn lines(unit: &'static str) -> Shows {
    Shows::Lines { unit, stacked: false }
}

fn stacked(unit: &'static str) -> Shows {
    Shows::Lines { unit, stacked: true }
}
