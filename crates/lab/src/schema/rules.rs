//! The rules of a schema (`x-kubernetes-validations`), written in CEL.
//!
//! Of a rule: `rule`, `message`, `messageExpression`, `reason` and `fieldPath`, with `self` and, on updates, `oldSelf`. Not here: the limits on costs, the
//! types that the server derives from the schema (a wrong type fails when the rule runs), and Kubernetes' own functions beside those of CEL.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules>

use super::{Schema, below, of_key};
use crate::failure::{Breach, FieldError};
use cel::{Context, Program, Value as Cel};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Compiles every rule of a schema, by its text. A rule that does not compile is told where it runs.
pub(super) fn compile(schema: &Value, programs: &mut BTreeMap<String, Program>) {
    match schema {
        Value::Object(map) => {
            let rules = map.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
            for text in rules.flat_map(|rule| ["rule", "messageExpression"].map(|key| rule.get(key))).flatten() {
                let text = text.as_str().unwrap_or_default();
                if let Ok(program) = Program::compile(text) {
                    programs.insert(text.to_owned(), program);
                }
            }
            map.values().for_each(|child| compile(child, programs));
        }
        Value::Array(list) => list.iter().for_each(|child| compile(child, programs)),
        _ => {}
    }
}

/// Which errors keep the server from running the rules at all.
fn blocks(error: &FieldError) -> bool {
    matches!(error.breach, Breach::Required | Breach::TooLong | Breach::TooMany | Breach::Type | Breach::Unsupported)
}

impl Schema {
    /// Runs the rules on an object whose other errors are already known.
    pub(crate) fn run_rules(&self, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
        if self.programs.is_empty() {
            return;
        }
        if errors.iter().any(blocks) {
            errors.push(FieldError {
                field: "<nil>".to_owned(),
                breach: Breach::Invalid,
                value: "null".to_owned(),
                detail: "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"
                    .to_owned(),
            });
            return;
        }
        self.rules_of(self.root(), object, old, "", errors);
    }

    fn rules_of(&self, schema: &Value, value: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
        for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            errors.extend(self.broken(rule, schema, value, old, path));
        }
        match value {
            Value::Object(map) => {
                let properties = schema.get("properties");
                for (key, child) in map {
                    let Some(schema) = of_key(schema, key) else { continue };
                    let is_property = properties.is_some_and(|properties| properties.get(key).is_some());
                    let path = if is_property { below(path, key) } else { format!("{path}[{key}]") };
                    self.rules_of(schema, child, old.and_then(|old| old.get(key)), &path, errors);
                }
            }
            Value::Array(list) => {
                let Some(items) = schema.get("items") else { return };
                for (at, item) in list.iter().enumerate() {
                    self.rules_of(items, item, None, &format!("{path}[{at}]"), errors);
                }
            }
            _ => {}
        }
    }

    fn broken(
        &self,
        rule: &Value,
        schema: &Value,
        value: &Value,
        old: Option<&Value>,
        path: &str,
    ) -> Option<FieldError> {
        let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
        let source = text("rule");
        let mut context = Context::default();
        context.add_variable_from_value("self", typed(schema, value));
        let program = self.programs.get(source);
        if program.is_some_and(|program| program.references().has_variable("oldSelf")) {
            // A rule about a change has nothing to say where nothing was before.
            context.add_variable_from_value("oldSelf", typed(schema, old?));
        }
        let why = match program.map(|program| program.execute(&context)) {
            Some(Ok(Cel::Bool(true))) => return None,
            Some(Ok(_)) => self.message(rule, &context),
            Some(Err(why)) => format!("{source}: {why}"),
            None => format!("{source}: the rule does not compile"),
        };
        let breach = match text("reason") {
            "FieldValueForbidden" => Breach::Forbidden,
            "FieldValueRequired" => Breach::Required,
            "FieldValueDuplicate" => Breach::Duplicate,
            _ => Breach::Invalid,
        };
        // Of what is no single value, nothing is shown.
        let shown = if breach != Breach::Invalid || value.is_object() || value.is_array() {
            String::new()
        } else {
            value.to_string()
        };
        Some(FieldError { field: format!("{path}{}", text("fieldPath")), breach, value: shown, detail: why })
    }

    fn message(&self, rule: &Value, context: &Context<'_, '_>) -> String {
        let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
        if let Some(program) = self.programs.get(text("messageExpression"))
            && let Ok(Cel::String(message)) = program.execute(context)
        {
            return message.to_string();
        }
        match text("message") {
            "" => format!("failed rule: {}", text("rule")),
            message => message.to_owned(),
        }
    }
}

/// A value with the type that its schema says: whole numbers are floats where numbers are wanted.
fn typed(schema: &Value, value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(flag) => Cel::Bool(*flag),
        Value::String(text) => Cel::from(text.clone()),
        Value::Number(number) => {
            let is_float = schema.get("type").is_some_and(|kind| kind == "number");
            match number.as_i64().filter(|_| !is_float) {
                Some(whole) => Cel::Int(whole),
                None => Cel::Float(number.as_f64().unwrap_or_default()),
            }
        }
        Value::Array(list) => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            Cel::from(list.iter().map(|item| typed(items, item)).collect::<Vec<_>>())
        }
        Value::Object(map) => {
            let typed_child = |(key, child): (&String, &Value)| {
                (key.clone(), typed(of_key(schema, key).unwrap_or(&Value::Null), child))
            };
            Cel::from(map.iter().map(typed_child).collect::<HashMap<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(rule: &Value, object: &Value, old: Option<&Value>) -> Vec<String> {
        let schema = Schema::new(
            json!({"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-validations": [rule],
            "properties": {"least": {"type": "number"}, "most": {"type": "number"}, "name": {"type": "string"}}}}}),
        );
        let mut errors = schema.validate(object);
        schema.run_rules(object, old, &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_broken_rule_is_told_in_its_words() {
        let rule = json!({"rule": "!has(self.most) || self.least <= self.most", "message": "least above most"});
        assert_eq!(errors(&rule, &json!({"spec": {"least": 1, "most": 2.5}}), None), [""; 0]);
        assert_eq!(errors(&rule, &json!({"spec": {"least": 1}}), None), [""; 0]);
        let broken = errors(&rule, &json!({"spec": {"least": 3, "most": 2}}), None);
        assert_eq!(broken, ["spec: Invalid value: least above most"]);
        let blocked = errors(&rule, &json!({"spec": {"least": "x"}}), None);
        assert!(
            blocked[1].starts_with("<nil>: Invalid value: null: some validation rules were not checked"),
            "{blocked:?}"
        );
    }

    #[test]
    fn rules_about_changes_wait_for_one() {
        let rule = json!({"rule": "self.name == oldSelf.name", "messageExpression": "'was ' + oldSelf.name"});
        let (a, b) = (json!({"spec": {"name": "a"}}), json!({"spec": {"name": "b"}}));
        assert_eq!(errors(&rule, &a, None), [""; 0]);
        assert_eq!(errors(&rule, &b, Some(&a)), ["spec: Invalid value: was a"]);
    }
}
