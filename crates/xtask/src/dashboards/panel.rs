//! Dashboards as Grafana keeps them (classic JSON model, as provisioned from files): what all of ours have in common.
//!
//! Knows no metrics. Panels stand on Grafana's grid of 24 columns.

use serde_json::{Value, json};

/// The data source of every query: a variable, so that a dashboard can be pointed at another Prometheus by whoever looks at it.
const SOURCE: &str = "${datasource}";

/// A dashboard. Uid, title and variables make up its address, which people keep.
pub(super) struct Dashboard {
    /// File name without extension.
    pub(super) file: &'static str,
    /// Part of the address.
    pub(super) uid: &'static str,
    /// In small letters with dashes, the last part of the address.
    pub(super) title: &'static str,
    /// How far back it looks at first.
    pub(super) from: &'static str,
    pub(super) variables: Vec<Variable>,
    pub(super) panels: Vec<Panel>,
}

/// A value that is chosen at the top of a dashboard.
pub(super) struct Variable {
    pub(super) name: &'static str,
    /// As Grafana's data source for Prometheus takes it: `query_result(...)` or `label_values(...)`.
    pub(super) query: String,
    /// What of each line of the result is the value; empty for all of it.
    pub(super) regex: &'static str,
}

/// A rectangle on the grid.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// One picture.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) place: Place,
    pub(super) shows: Shows,
    /// Queries and how their lines are called.
    pub(super) queries: Vec<(String, &'static str)>,
}

/// What kind of picture.
pub(super) enum Shows {
    /// A heading in HTML.
    Heading(String),
    /// One number: its unit, and the bounds from which it is yellow and green (red below).
    Number { unit: &'static str, last: bool, bounds: Option<[f64; 2]> },
    /// Lines over time: their unit; stacked on one another.
    Lines { unit: &'static str, stacked: bool },
    /// The last value of each line, as a table.
    Table,
}

impl Panel {
    /// A heading over the whole width, three rows high.
    pub(super) fn heading(y: u32, text: &str) -> Self {
        let html = format!(
            "<div style=\"padding-top: 10px; font-size: large; color: #33b5e5; text-align: center\">{text}</div>"
        );
        let place = Place { x: 0, y, width: 24, height: 3 };
        Self { title: String::new(), place, shows: Shows::Heading(html), queries: Vec::new() }
    }

    fn json(&self, id: usize) -> Value {
        let Place { x, y, width, height } = self.place;
        let targets: Vec<Value> = self
            .queries
            .iter()
            .zip('A'..='Z')
            .map(|((query, legend), reference)| {
                let mut target = json!({"datasource": source(), "editorMode": "code", "expr": query, "legendFormat": legend,
                    "range": true, "refId": reference.to_string()});
                if matches!(self.shows, Shows::Table)
                    && let Some(target) = target.as_object_mut()
                {
                    target.extend([
                        ("range".to_owned(), json!(false)),
                        ("instant".to_owned(), json!(true)),
                        ("format".to_owned(), json!("table")),
                    ]);
                }
                target
            })
            .collect();
        let (kind, options, defaults) = self.shows.parts();
        let mut panel = json!({"id": id, "type": kind, "title": self.title, "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "options": options});
        if let Some(fields) = panel.as_object_mut()
            && !targets.is_empty()
        {
            fields.insert("datasource".to_owned(), source());
            fields.insert("targets".to_owned(), json!(targets));
            fields.insert("fieldConfig".to_owned(), json!({"defaults": defaults, "overrides": []}));
        }
        panel
    }
}

impl Shows {
    /// Type, options and defaults of the fields.
    fn parts(&self) -> (&'static str, Value, Value) {
        match self {
            Self::Heading(html) => ("text", json!({"mode": "html", "content": html}), Value::Null),
            Self::Number { unit, last, bounds } => {
                let calculation = if *last { "lastNotNull" } else { "mean" };
                let steps = match bounds {
                    Some([fair, good]) => {
                        json!([{"color": "red", "value": null}, {"color": "yellow", "value": fair}, {"color": "green", "value": good}])
                    }
                    None => json!([{"color": "blue", "value": null}]),
                };
                let options = json!({"colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "value",
                    "reduceOptions": {"calcs": [calculation], "fields": "", "values": false}});
                (
                    "stat",
                    options,
                    json!({"unit": unit, "color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}),
                )
            }
            Self::Lines { unit, stacked } => {
                let stacking = json!({"group": "A", "mode": if *stacked { "normal" } else { "none" }});
                let custom = json!({"drawStyle": "line", "fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "stacking": stacking});
                let options = json!({"legend": {"calcs": ["lastNotNull"], "displayMode": "list", "placement": "bottom", "showLegend": true},
                    "tooltip": {"mode": "multi", "sort": "desc"}});
                ("timeseries", options, json!({"unit": unit, "color": {"mode": "palette-classic"}, "custom": custom}))
            }
            Self::Table => (
                "table",
                json!({"showHeader": true, "cellHeight": "sm"}),
                json!({"custom": {"align": "auto", "filterable": true}}),
            ),
        }
    }
}

impl Variable {
    fn json(&self) -> Value {
        json!({"name": self.name, "label": self.name, "type": "query", "datasource": source(), "definition": self.query,
            "query": {"query": self.query, "refId": format!("variable-{}", self.name)}, "regex": self.regex,
            "refresh": 1, "sort": 1, "hide": 0, "includeAll": false, "multi": false, "options": []})
    }
}

impl Dashboard {
    /// The file's content.
    pub(super) fn json(&self) -> Value {
        let chosen = json!({"name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0,
            "includeAll": false, "multi": false, "options": [], "current": {"text": "prometheus", "value": "prometheus"}});
        let variables: Vec<Value> = std::iter::once(chosen).chain(self.variables.iter().map(Variable::json)).collect();
        let panels: Vec<Value> = self.panels.iter().zip(1..).map(|(panel, id)| panel.json(id)).collect();
        json!({"uid": self.uid, "title": self.title, "tags": [], "editable": true, "graphTooltip": 1, "refresh": "10s",
            "time": {"from": self.from, "to": "now"}, "timezone": "", "schemaVersion": 41, "annotations": {"list": []},
            "templating": {"list": variables}, "panels": panels})
    }
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": SOURCE})
}
