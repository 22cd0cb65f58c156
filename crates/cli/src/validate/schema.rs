//! Our three kinds against their schemas, in words for the person who wrote the manifest.
//!
//! Everything that the API server would refuse or drop. What the schemas say in CEL is said here in Rust, or by `api::validate`. The path of a finding is
//! that of the field, or of the object that lacks it.

use super::finding::Report;
use super::rules::{ANALYSIS_KIND, API_VERSION, SCHEMA, UNKNOWN_FIELD};
use super::words::{enumeration, nearest};
use crate::manifests::Manifest;
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::HashMap;

const GROUP: &str = "flagger.app/";
const KINDS: [&str; 3] = ["Canary", "MetricTemplate", "AlertProvider"];
/// The start of the pattern that stands for durations.
const DURATION: &str = "^[0-9]+(m|s)";
/// Where the strategy is told, which [`analysis_kind`] judges.
const ANALYSIS: &str = "spec.analysis";
/// What the analysis was called in former versions.
const FORMER_ANALYSIS: &str = "canaryAnalysis";
const STRATEGIES: [&str; 3] = ["iterations", "stepWeight", "stepWeights"];

/// The schemas of our kinds, and their patterns as far as they were needed.
#[derive(Debug)]
pub(super) struct Schemas {
    by_kind: Vec<(&'static str, Value)>,
    patterns: HashMap<String, Option<Regex>>,
}

impl Schemas {
    /// Those that this version ships.
    pub(super) fn new() -> Self {
        let schema = |kind| {
            let definitions = api::crd::all();
            let own =
                definitions.iter().find(|definition| objects::paths::text(definition, "/spec/names/kind") == kind)?;
            Some((kind, own.pointer("/spec/versions/0/schema/openAPIV3Schema")?.clone()))
        };
        Self { by_kind: KINDS.into_iter().filter_map(schema).collect(), patterns: HashMap::new() }
    }

    /// Checks an object if it is one of our kinds.
    pub(super) fn check(&mut self, manifest: &Manifest, report: &mut Report) {
        if !manifest.api_version().starts_with(GROUP) {
            return;
        }
        let Some((_, schema)) = self.by_kind.iter().find(|(kind, _)| *kind == manifest.kind()) else {
            let advice = nearest(manifest.kind(), KINDS)
                .map_or_else(|| format!("there is {}", enumeration(KINDS)), |kind| format!("did you mean {kind}?"));
            return report.add(&API_VERSION, manifest, "kind", format!("there is no kind {}", manifest.kind()), advice);
        };
        if manifest.api_version() != api::API_VERSION {
            let message = format!("{} is not served", manifest.api_version());
            report.add(&API_VERSION, manifest, "apiVersion", message, format!("write {}", api::API_VERSION));
        }
        let mut walk = Walk { manifest, schema, patterns: &mut self.patterns, report };
        walk.object(schema, &manifest.object, "");
        if manifest.kind() == "Canary" {
            analysis_kind(manifest, report);
            backends_have_ports(manifest, report);
        }
    }
}

struct Walk<'a> {
    manifest: &'a Manifest,
    schema: &'a Value,
    patterns: &'a mut HashMap<String, Option<Regex>>,
    report: &'a mut Report,
}

impl Walk<'_> {
    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        if !self.has_type(schema, value, path) {
            return;
        }
        match value {
            Value::Object(_) => self.object(schema, value, path),
            Value::Array(items) => self.list(schema, items, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Number(number) => self.number(schema, number.as_f64(), path),
            _ => {}
        }
    }

    fn wrong(&mut self, path: &str, message: impl Into<String>, advice: impl Into<String>) {
        self.report.add(&SCHEMA, self.manifest, path, message, advice);
    }

    fn has_type(&mut self, schema: &Value, value: &Value, path: &str) -> bool {
        let is = type_of(value);
        if flag(schema, "x-kubernetes-int-or-string") {
            let fits = matches!(is, "a number" | "a text");
            if !fits {
                self.wrong(path, format!("is {is}, but must be a number or a text"), "write a port or its name");
            }
            return fits;
        }
        let wanted = match schema.get("type").and_then(Value::as_str) {
            Some("string") => "a text",
            Some("number" | "integer") => "a number",
            Some("boolean") => "true or false",
            Some("array") => "a list",
            Some("object") => "a map",
            _ => return true,
        };
        if is == wanted {
            return true;
        }
        let advice = match (wanted, value) {
            ("a text", Value::Number(_) | Value::Bool(_)) => format!("write it in quotes: \"{value}\""),
            ("a number", Value::String(text)) if text.parse::<f64>().is_ok() => {
                format!("write it without quotes: {text}")
            }
            ("true or false", Value::String(text)) if ["true", "false"].contains(&text.as_str()) => {
                format!("write it without quotes: {text}")
            }
            ("a list", _) => "begin each element with `- `".to_owned(),
            (_, Value::Null) => "give it a value, or remove the field".to_owned(),
            _ => described(schema).unwrap_or_else(|| "correct the value".to_owned()),
        };
        self.wrong(path, format!("is {is}, but must be {wanted}"), advice);
        false
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        let allowed: Vec<&str> = list(schema, "enum").iter().filter_map(Value::as_str).collect();
        if !allowed.is_empty() && !allowed.contains(&text) {
            let shown = enumeration(allowed.iter().copied().filter(|one| !one.is_empty()));
            let advice = match nearest(text, allowed) {
                Some(meant) => format!("did you mean {meant}? There is {shown}"),
                None => format!("there is {shown}"),
            };
            return self.wrong(path, format!("there is no `{text}`"), advice);
        }
        let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else { return };
        let regex = self.patterns.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
        if regex.as_ref().is_some_and(|regex| !regex.is_match(text)) {
            let advice = if pattern == DURATION {
                "write minutes or seconds first, as in 30s, 1m or 1m30s"
            } else {
                "use lower case letters, digits and hyphens"
            };
            self.wrong(path, format!("`{text}` does not match {pattern}"), advice);
        }
    }

    fn number(&mut self, schema: &Value, number: Option<f64>, path: &str) {
        let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
        let Some(number) = number else { return };
        if let Some(least) = limit("minimum").filter(|least| number < *least) {
            self.wrong(path, format!("{number} is below {least}"), format!("write {least} or more"));
        }
        if let Some(most) = limit("maximum").filter(|most| number > *most) {
            self.wrong(path, format!("{number} is above {most}"), format!("write {most} or less"));
        }
    }

    fn list(&mut self, schema: &Value, items: &[Value], path: &str) {
        let most = schema.get("maxItems").and_then(Value::as_u64);
        if let Some(most) = most.filter(|most| items.len() as u64 > *most) {
            self.wrong(path, format!("has {} elements", items.len()), format!("have {most} at most"));
        }
        let Some(schema) = schema.get("items") else { return };
        for (index, item) in items.iter().enumerate() {
            self.value(schema, item, &format!("{path}[{index}]"));
        }
    }

    fn object(&mut self, schema: &Value, value: &Value, path: &str) {
        let Some(fields) = value.as_object() else { return };
        for (key, child) in fields {
            if path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&key.as_str()) {
                continue;
            }
            match of_key(schema, key) {
                Some(schema) => self.value(schema, child, &below(path, key)),
                None if flag(schema, "x-kubernetes-preserve-unknown-fields") => {}
                None => self.unknown(schema, key, path),
            }
        }
        for key in texts(schema, "required").filter(|key| !fields.contains_key(*key)) {
            // Told as an unknown field, which says more.
            if path == "spec" && key == "analysis" && fields.contains_key(FORMER_ANALYSIS) {
                continue;
            }
            let what = schema.pointer(&format!("/properties/{key}")).and_then(described);
            let advice = what.map_or_else(|| "add it".to_owned(), |what| format!("add it: {what}"));
            // The field is not there, so this is the line of the object that lacks it.
            self.wrong(&below(path, key), "is missing", advice);
        }
        self.alternatives(schema, fields, path);
    }

    /// `oneOf` and `anyOf` over required keys, which is all that our schemas have of them.
    fn alternatives(&mut self, schema: &Value, fields: &Map<String, Value>, path: &str) {
        let keys = |alternative: &Value| -> Vec<String> { texts(alternative, "required").map(str::to_owned).collect() };
        let is_met = |keys: &Vec<String>| !keys.is_empty() && keys.iter().all(|key| fields.contains_key(key));
        let any: Vec<Vec<String>> = list(schema, "anyOf").iter().map(keys).collect();
        if !any.is_empty() && !any.iter().any(is_met) {
            let own =
                |keys: &Vec<String>| keys.iter().find(|key| any.iter().any(|other| !other.contains(key))).cloned();
            let missing: Vec<String> = any.iter().filter_map(own).collect();
            self.wrong(path, format!("has neither {}", missing.join(" nor ")), "add one of them");
        }
        if path == ANALYSIS {
            return;
        }
        let one = list(schema, "oneOf");
        let keys: Vec<Vec<String>> = one.iter().map(keys).filter(|keys| !keys.is_empty()).collect();
        let may_be_none = one.iter().any(|alternative| alternative.get("not").is_some());
        let shown = || keys.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
        match keys.iter().filter(|keys| is_met(keys)).count() {
            0 if !keys.is_empty() && !may_be_none => {
                self.wrong(path, format!("has none of {}", shown()), "add one of them");
            }
            0 | 1 => {}
            many => self.wrong(path, format!("has {many} of {}", shown()), "keep one of them"),
        }
    }

    fn unknown(&mut self, schema: &Value, key: &str, path: &str) {
        let place = if path.is_empty() { "the object".to_owned() } else { format!("`{path}`") };
        let known = schema.get("properties").and_then(Value::as_object);
        let known = known.into_iter().flat_map(Map::keys).map(String::as_str);
        let elsewhere = places_of(self.schema, key);
        let advice = match (key, nearest(key, known), elsewhere.as_slice()) {
            (FORMER_ANALYSIS, ..) => "rename it to analysis".to_owned(),
            (_, Some(meant), _) => format!("did you mean {meant}?"),
            (_, None, []) => "remove it".to_owned(),
            (_, None, places) => format!("it belongs to {}; mind the indentation", nearby(places, path)),
        };
        self.report.add(
            &UNKNOWN_FIELD,
            self.manifest,
            &below(path, key),
            format!("{place} has no field `{key}`"),
            advice,
        );
    }
}

/// Exactly one strategy, and what each of them needs.
fn analysis_kind(manifest: &Manifest, report: &mut Report) {
    let Some(analysis) = manifest.object.pointer("/spec/analysis").and_then(Value::as_object) else { return };
    let given: Vec<&str> = STRATEGIES.into_iter().filter(|key| analysis.contains_key(*key)).collect();
    let help = "stepWeight or stepWeights for a weighted release, iterations for A/B tests and blue/green";
    match given.as_slice() {
        [] => report.add(&ANALYSIS_KIND, manifest, ANALYSIS, "says no strategy", format!("add {help}")),
        [_] => {}
        many => {
            let message = format!("has {}, of which there may be one", enumeration(many.iter().copied()));
            report.add(&ANALYSIS_KIND, manifest, ANALYSIS, message, format!("keep {help}"));
        }
    }
    for key in ["interval", "threshold"].into_iter().filter(|key| !analysis.contains_key(*key)) {
        let advice = match key {
            "interval" => "add the time between two checks, such as `interval: 30s`",
            _ => "add the number of failed checks that ends the release, such as `threshold: 3`",
        };
        report.add(&SCHEMA, manifest, &below(ANALYSIS, key), "is missing", advice);
    }
}

fn backends_have_ports(manifest: &Manifest, report: &mut Report) {
    for (index, filter) in objects::paths::list(&manifest.object, "/spec/service/mirror").enumerate() {
        let Some(backend) = filter.get("backendRef") else { continue };
        let is_service = ["", "Service"].contains(&objects::paths::text(backend, "/kind"));
        if is_service && objects::paths::text(backend, "/group").is_empty() && backend.get("port").is_none() {
            let path = format!("spec.service.mirror[{index}].backendRef");
            report.add(&SCHEMA, manifest, &path, "has no port", "add the port of the Service");
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// The first sentence of a field's description.
fn described(schema: &Value) -> Option<String> {
    let text = schema.get("description").and_then(Value::as_str)?;
    let sentence = text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.');
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect())
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn list<'s>(schema: &'s Value, key: &str) -> &'s [Value] {
    schema.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn texts<'s>(schema: &'s Value, key: &str) -> impl Iterator<Item = &'s str> + use<'s> {
    list(schema, key).iter().filter_map(Value::as_str)
}

fn of_key<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    let property = schema.get("properties").and_then(|properties| properties.get(key));
    property.or_else(|| schema.get("additionalProperties").filter(|values| values.is_object()))
}

/// `path.key`; keys with dots or slashes in brackets.
fn below(path: &str, key: &str) -> String {
    if key.contains(['.', '/']) {
        format!("{path}[{key}]")
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The objects of a schema that have a field, without the status.
fn places_of(schema: &Value, key: &str) -> Vec<String> {
    let mut places = Vec::new();
    collect(schema, key, "", &mut places);
    places.retain(|place| !place.starts_with("status"));
    places
}

fn collect(schema: &Value, key: &str, path: &str, places: &mut Vec<String>) {
    if let Some(items) = schema.get("items") {
        collect(items, key, &format!("{path}[]"), places);
    }
    for (name, child) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if name == key {
            places.push(path.to_owned());
        }
        collect(child, key, &below(path, name), places);
    }
}

/// Those places that are closest to where the field was written.
fn nearby(places: &[String], path: &str) -> String {
    let written: String = path.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    let shared = |place: &str| place.split('.').zip(written.split('.')).take_while(|(one, other)| one == other).count();
    let best = places.iter().map(|place| shared(place)).max().unwrap_or_default();
    enumeration(places.iter().map(String::as_str).filter(|place| shared(place) == best).take(3))
}
