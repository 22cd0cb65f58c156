//! The controller itself: its Canaries, and what it does.
//!
//! Series are those of `runtime::telemetry`, which a test compares.

use super::panel::{Dashboard, Panel, Place, Shows, Variable};

/// Canaries above, the process below.
pub(super) fn controller() -> Dashboard {
    let namespace = r#"namespace=~"$namespace""#;
    let number = |x: u32, title: &str, query: String| Panel {
        title: title.to_owned(),
        place: Place { x, y: 3, width: 4, height: 4 },
        shows: Shows::Number { unit: "short", last: true, bounds: None },
        queries: vec![(query, "")],
    };
    let lines = |x: u32, y: u32, title: &str, unit: &'static str, queries: Vec<(String, &'static str)>| Panel {
        title: title.to_owned(),
        place: Place { x, y, width: 12, height: 7 },
        shows: Shows::Lines { unit, stacked: false },
        queries,
    };
    let quantile =
        |q: &str| format!("histogram_quantile({q}, sum(rate(flagger_look_duration_seconds_bucket[1m])) by (le))");
    let finished =
        |kind: &str| format!("sum(increase(flagger_canary_{kind}_total{{{namespace}}}[1h])) by (deployment_strategy)");
    let panels = vec![
        Panel::heading(0, "Canaries: $namespace"),
        number(0, "Canaries", format!("sum(flagger_canary_total{{{namespace}}})")),
        number(4, "In Progress", format!("count(flagger_canary_status{{{namespace}}} == 0) or vector(0)")),
        number(8, "Failed", format!("count(flagger_canary_status{{{namespace}}} > 1) or vector(0)")),
        number(
            12,
            "Succeeded, Last Hour",
            format!("round(sum(increase(flagger_canary_successes_total{{{namespace}}}[1h])) or vector(0))"),
        ),
        number(
            16,
            "Rolled Back, Last Hour",
            format!("round(sum(increase(flagger_canary_failures_total{{{namespace}}}[1h])) or vector(0))"),
        ),
        number(20, "Leaders", "sum(flagger_leader)".to_owned()),
        lines(
            0,
            7,
            "Canary Weight",
            "percent",
            vec![(
                format!("flagger_canary_weight{{{namespace},workload!~\".*-primary\"}}"),
                "{{ workload }}.{{ namespace }}",
            )],
        ),
        lines(
            12,
            7,
            "Rollouts Ended, Last Hour",
            "short",
            vec![
                (finished("successes"), "succeeded, {{ deployment_strategy }}"),
                (finished("failures"), "rolled back, {{ deployment_strategy }}"),
            ],
        ),
        Panel {
            title: "Last Value of Each Metric".to_owned(),
            place: Place { x: 0, y: 14, width: 12, height: 7 },
            shows: Shows::Table,
            queries: vec![(format!("flagger_canary_metric_analysis{{{namespace}}}"), "")],
        },
        Panel {
            title: "Failed".to_owned(),
            place: Place { x: 12, y: 14, width: 12, height: 7 },
            shows: Shows::Table,
            queries: vec![(format!("flagger_canary_status{{{namespace}}} > 1"), "")],
        },
        Panel::heading(21, "Controller"),
        lines(0, 24, "Time per Look at a Canary", "s", vec![(quantile("0.50"), "P50"), (quantile("0.99"), "P99")]),
        lines(
            12,
            24,
            "Canaries That Wait to Be Looked at",
            "short",
            vec![("sum(flagger_queue_depth)".to_owned(), "queue")],
        ),
        lines(
            0,
            31,
            "Requests to the API Server",
            "ops",
            vec![
                ("sum(rate(flagger_api_writes_total[1m])) by (verb, outcome)".to_owned(), "{{ verb }} {{ outcome }}"),
                ("sum(rate(flagger_api_reads_total[1m]))".to_owned(), "read"),
            ],
        ),
        lines(
            12,
            31,
            "Requests to Hooks, Metric Servers and Receivers",
            "ops",
            vec![
                (
                    "sum(rate(flagger_outgoing_requests_total[1m])) by (purpose, outcome)".to_owned(),
                    "{{ purpose }} {{ outcome }}",
                ),
                ("sum(rate(flagger_notifications_dropped_total[1m])) by (reason)".to_owned(), "given up: {{ reason }}"),
            ],
        ),
        lines(
            0,
            38,
            "CPU",
            "s",
            vec![("rate(process_cpu_seconds_total[1m]) and on (instance) flagger_info".to_owned(), "{{ instance }}")],
        ),
        lines(
            12,
            38,
            "Memory",
            "bytes",
            vec![("process_resident_memory_bytes and on (instance) flagger_info".to_owned(), "{{ instance }}")],
        ),
    ];
    let variables = vec![Variable {
        name: "namespace",
        query: "label_values(flagger_canary_total, namespace)".to_owned(),
        regex: "",
    }];
    Dashboard { file: "flagger", uid: "flagger-controller", title: "Flagger", from: "now-1h", variables, panels }
}
