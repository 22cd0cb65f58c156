//! Checking custom resources against their schema, with the texts of the real server.

use super::{Schema, below, flag, of_key};
use crate::failure::{Breach, FieldError};
use serde_json::{Value, json};

impl Schema {
    /// All breaches of the schema.
    pub(crate) fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.check(self.root(), object, "", &mut errors);
        errors
    }

    fn check(&self, schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        if value.is_null() && flag(schema, "nullable") {
            return;
        }
        if !has_type(schema, value, path, errors) {
            self.check_junctors(schema, value, path, errors);
            return;
        }
        check_enum(schema, value, path, errors);
        match value {
            Value::String(text) => self.check_text(schema, text, path, errors),
            Value::Number(number) => check_number(schema, number, path, errors),
            Value::Array(list) => self.check_list(schema, list, path, errors),
            Value::Object(_) => self.check_object(schema, value, path, errors),
            _ => {}
        }
        self.check_junctors(schema, value, path, errors);
    }

    /// The server stops at the first breach of a text.
    fn check_text(&self, schema: &Value, text: &str, path: &str, errors: &mut Vec<FieldError>) {
        let length = text.chars().count() as u64;
        let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
        let before = errors.len();
        if let Some(most) = limit("maxLength").filter(|most| length > *most) {
            errors.push(FieldError {
                field: path.to_owned(),
                breach: Breach::TooLong,
                value: String::new(),
                detail: format!("may not be more than {most} bytes"),
            });
        }
        if let Some(least) = limit("minLength").filter(|least| length < *least) {
            errors.push(FieldError::invalid(
                path,
                &json!(text),
                format!("{path} in body should be at least {least} chars long"),
            ));
        }
        if errors.len() > before {
            return;
        }
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && self.patterns.get(pattern).is_some_and(|regex| !regex.is_match(text))
        {
            errors.push(FieldError::invalid(path, &json!(text), format!("{path} in body should match '{pattern}'")));
        }
        if let Some(format) = schema.get("format").and_then(Value::as_str)
            && !has_format(format, text)
        {
            let error =
                FieldError::invalid(path, &json!(text), format!("{path} in body must be of type {format}: {text:?}"));
            errors.push(FieldError { breach: Breach::Type, ..error });
        }
    }

    fn check_list(&self, schema: &Value, list: &[Value], path: &str, errors: &mut Vec<FieldError>) {
        let length = list.len() as u64;
        let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
        if let Some(most) = limit("maxItems").filter(|most| length > *most) {
            errors.push(too_many(path, length, most));
        }
        if let Some(least) = limit("minItems").filter(|least| length < *least) {
            errors.push(FieldError::invalid(
                path,
                &json!(length),
                format!("{path} in body should have at least {least} items"),
            ));
        }
        check_list_type(schema, list, path, errors);
        if let Some(items) = schema.get("items") {
            for (at, item) in list.iter().enumerate() {
                self.check(items, item, &format!("{path}[{at}]"), errors);
            }
        }
    }

    fn check_object(&self, schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        let Some(map) = value.as_object() else { return };
        let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
        let length = map.len() as u64;
        if let Some(most) = limit("maxProperties").filter(|most| length > *most) {
            errors.push(too_many(path, length, most));
        }
        if let Some(least) = limit("minProperties").filter(|least| length < *least) {
            errors.push(FieldError::invalid(
                path,
                &json!(length),
                format!("{path} in body should have at least {least} properties"),
            ));
        }
        for (key, child) in map {
            // The server's own metadata has its own checks.
            if let Some(schema) = of_key(schema, key).filter(|_| !(path.is_empty() && key == "metadata")) {
                self.check(schema, child, &below(path, key), errors);
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let embedded: &[&str] =
            if flag(schema, "x-kubernetes-embedded-resource") { &["apiVersion", "kind"] } else { &[] };
        let required = required.chain(embedded.iter().copied());
        for key in required.filter(|key| !map.contains_key(*key)) {
            errors.push(FieldError::required(below(path, key), ""));
        }
    }

    fn check_junctors(&self, schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        let branches = |key: &str| schema.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let breaches = |branch: &Value| {
            let mut inner = Vec::new();
            self.check(branch, value, path, &mut inner);
            inner
        };
        let refusal = |rule: &str| of_nothing(format!("{path:?} must {rule}"));
        let all = branches("allOf");
        if all.iter().any(|branch| !breaches(branch).is_empty()) {
            errors.extend(all.iter().flat_map(breaches));
            errors.push(refusal("validate all the schemas (allOf)"));
        }
        let any = branches("anyOf");
        if !any.is_empty() && !any.iter().any(|branch| breaches(branch).is_empty()) {
            errors.push(refusal("validate at least one schema (anyOf)"));
            errors.extend(closest(any.iter().map(breaches)));
        }
        let one = branches("oneOf");
        match one.iter().filter(|branch| breaches(branch).is_empty()).count() {
            0 if !one.is_empty() => {
                errors.push(refusal("validate one and only one schema (oneOf). Found none valid"));
                errors.extend(closest(one.iter().map(breaches)));
            }
            0 | 1 => {}
            found => errors
                .push(refusal(&format!("validate one and only one schema (oneOf). Found {found} valid alternatives"))),
        }
        if schema.get("not").is_some_and(|not| breaches(not).is_empty()) {
            errors.push(refusal("not validate the schema (not)"));
        }
    }
}

/// Whether the value is of the wanted type.
fn has_type(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) -> bool {
    let is = type_of(value);
    if flag(schema, "x-kubernetes-int-or-string") {
        let fits = matches!(is, "integer" | "string");
        if !fits {
            errors.push(type_error(path, "integer,string", is));
        }
        return fits;
    }
    let Some(wanted) = schema.get("type").and_then(Value::as_str) else { return true };
    let fits = wanted == is || (wanted == "number" && is == "integer");
    if !fits {
        errors.push(type_error(path, wanted, is));
    }
    if wanted == "integer" && is == "number" {
        errors.push(of_nothing(format!("Checked value must be of type integer (default format) in {path}")));
    }
    fits
}

/// An error that the server attaches to no field.
fn of_nothing(detail: String) -> FieldError {
    FieldError { field: "<nil>".to_owned(), breach: Breach::Invalid, value: "\"\"".to_owned(), detail }
}

/// The errors of one branch, which the server adds to its own: of those that are equally near, the first.
fn closest(mut branches: impl Iterator<Item = Vec<FieldError>>) -> Vec<FieldError> {
    branches.next().unwrap_or_default()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        // A whole float is an integer to the server.
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|float| float.fract() != 0.0) => {
            "number"
        }
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn type_error(path: &str, wanted: &str, is: &str) -> FieldError {
    let detail = format!("{path} in body must be of type {wanted}: \"{is}\"");
    FieldError { field: path.to_owned(), breach: Breach::Type, value: format!("\"{is}\""), detail }
}

/// The server says "items" of properties too.
fn too_many(path: &str, length: u64, most: u64) -> FieldError {
    FieldError {
        field: path.to_owned(),
        breach: Breach::TooMany,
        value: length.to_string(),
        detail: format!("must have at most {most} items"),
    }
}

fn check_enum(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(values) = schema.get("enum").and_then(Value::as_array) else { return };
    if values.contains(value) {
        return;
    }
    let texts: Vec<String> =
        values.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
    errors.push(FieldError::unsupported(path, value, &texts));
}

fn check_number(schema: &Value, number: &serde_json::Number, path: &str, errors: &mut Vec<FieldError>) {
    let Some(float) = number.as_f64() else { return };
    let value = Value::Number(number.clone());
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    let text = |key: &str| schema.get(key).map(Value::to_string).unwrap_or_default();
    if let Some(least) = limit("minimum") {
        let exclusive = flag(schema, "exclusiveMinimum");
        if float < least || (exclusive && float <= least) {
            let how = if exclusive { "greater than" } else { "greater than or equal to" };
            errors.push(FieldError::invalid(
                path,
                &value,
                format!("{path} in body should be {how} {}", text("minimum")),
            ));
        }
    }
    if let Some(most) = limit("maximum") {
        let exclusive = flag(schema, "exclusiveMaximum");
        if float > most || (exclusive && float >= most) {
            let how = if exclusive { "less than" } else { "less than or equal to" };
            errors.push(FieldError::invalid(
                path,
                &value,
                format!("{path} in body should be {how} {}", text("maximum")),
            ));
        }
    }
    if let Some(factor) = limit("multipleOf")
        && factor != 0.0
        && (float / factor).fract() != 0.0
    {
        errors.push(FieldError::invalid(
            path,
            &value,
            format!("{path} in body should be a multiple of {}", text("multipleOf")),
        ));
    }
}

fn check_list_type(schema: &Value, list: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let keys: Vec<&str> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Vec::new(),
        Some("map") => schema
            .get("x-kubernetes-list-map-keys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect(),
        _ => return,
    };
    let identity = |item: &Value| -> Value {
        if keys.is_empty() {
            item.clone()
        } else {
            keys.iter().filter_map(|key| Some(((*key).to_owned(), item.get(*key)?.clone()))).collect()
        }
    };
    for (at, item) in list.iter().enumerate() {
        let identity_of = identity(item);
        if list.iter().take(at).any(|other| identity(other) == identity_of) {
            errors.push(FieldError::duplicate(format!("{path}[{at}]"), &identity_of));
        }
    }
}

/// The formats that custom resources use; unknown ones fit everything.
fn has_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(schema: &Value, value: &Value) -> Vec<String> {
        let schema = Schema::new(json!({"type": "object", "properties": {"spec": schema}}));
        schema.validate(&json!({"spec": value})).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn texts_are_those_of_the_real_server() {
        let text = |limits: &Value| errors(limits, &json!("abc"));
        assert_eq!(
            errors(&json!({"type": "integer"}), &json!("a")),
            ["spec: Invalid value: \"string\": spec in body must be of type integer: \"string\""]
        );
        assert_eq!(
            text(&json!({"type": "string", "pattern": "^x"})),
            ["spec: Invalid value: \"abc\": spec in body should match '^x'"]
        );
        assert_eq!(
            text(&json!({"type": "string", "enum": ["x", "y"]})),
            ["spec: Unsupported value: \"abc\": supported values: \"x\", \"y\""]
        );
        assert_eq!(
            errors(&json!({"type": "integer", "minimum": 1}), &json!(0)),
            ["spec: Invalid value: 0: spec in body should be greater than or equal to 1"]
        );
        assert_eq!(errors(&json!({"type": "object", "required": ["a"]}), &json!({})), ["spec.a: Required value"]);
    }

    #[test]
    fn what_fits_is_not_refused() {
        for (schema, value) in [
            (json!({"type": "number"}), json!(1)),
            (json!({"type": "integer"}), json!(1.0)),
            (json!({"x-kubernetes-int-or-string": true}), json!("25%")),
            (json!({"x-kubernetes-int-or-string": true}), json!(25)),
            (json!({"type": "string", "nullable": true}), json!(null)),
            (json!({"type": "string", "minLength": 1, "maxLength": 3}), json!("abc")),
            (json!({"type": "string", "format": "date-time"}), json!("2030-01-01T00:00:00Z")),
            (json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"}), json!({"a": 1})),
            (json!({"not": {"required": ["a"]}, "type": "object"}), json!({"b": 1})),
        ] {
            assert_eq!(errors(&schema, &value), Vec::<String>::new(), "{schema} {value}");
        }
    }

    #[test]
    fn junctors_count_their_branches() {
        let one_of = json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
        assert!(
            errors(&one_of, &json!({}))[0].contains("must validate one and only one schema (oneOf). Found none valid")
        );
        assert!(errors(&one_of, &json!({"a": 1, "b": 1}))[0].contains("Found 2 valid alternatives"));
        let any_of = json!({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
        assert!(errors(&any_of, &json!({}))[0].contains("must validate at least one schema (anyOf)"));
        let not = json!({"type": "object", "not": {"required": ["a"]}});
        assert!(errors(&not, &json!({"a": 1}))[0].contains("must not validate the schema (not)"));
    }
}
