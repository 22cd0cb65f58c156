//! What is compared and hashed: merge patches and the spec hash.

use super::{Outcome, Run, law, tree, used};
use objects::hash::{self, Generation};
use objects::{Change, Write, diff, kind};
use serde_json::{Value, json};

pub(super) fn diff_seeds() -> Vec<Vec<u8>> {
    let deep = json!({"spec": {"rules": [{"host": "a", "http": {"paths": []}}], "b": {"c": null, "d": {}}, "n": 1}, "metadata": {"labels": {"a": "b"}, "resourceVersion": "7"}});
    let other = json!({"spec": {"rules": [{"host": "b"}], "b": {"c": 1}, "n": 1.0, "x": {"y": {"z": null}}}, "metadata": {"annotations": {"c": "d"}}});
    let pair = |live: &Value, wanted: &Value| json!({"live": live, "wanted": wanted}).to_string().into_bytes();
    vec![pair(&deep, &other), pair(&other, &deep), pair(&deep, &deep), pair(&json!({}), &deep)]
}

/// What is patched is what was wanted, and then nothing is left to do.
pub(super) fn diff(input: &[u8]) -> Run {
    let Some(tree) = tree(input) else { return Ok(Outcome::Refused) };
    let part = |key: &str| tree.get(key).cloned().unwrap_or_default();
    let (live, wanted) = (part("live"), part("wanted"));
    // Every object is a map; nothing else is ever compared.
    if !live.is_object() || !wanted.is_object() {
        return Ok(Outcome::Refused);
    }
    symmetric(&live, &wanted)?;
    let without = |value: &Value| {
        let mut value = value.clone();
        if let Some(map) = value.as_object_mut() {
            map.remove("status");
        }
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
        value
    };
    let reference = kind::SERVICE.object("test", "podinfo");
    let mut patched = live.clone();
    if let Some(write) = Write::update(reference.clone(), &live, &wanted, "")
        && let Change::Merge { patch, .. } = &write.change
    {
        law(!patch.as_object().is_some_and(serde_json::Map::is_empty), || "an empty patch".to_owned())?;
        diff::apply_merge_patch(&mut patched, patch);
    }
    law(Write::update(reference, &patched, &wanted, "").is_none(), || format!("still to be done: {patched}"))?;
    // Metadata that is no map has no version to be left out.
    if live.get("metadata").is_none_or(Value::is_object) && wanted.get("metadata").is_none_or(Value::is_object) {
        law(diff::equivalent(&without(&patched), &without(&wanted)), || format!("patched: {patched}"))?;
    }
    let pruned = diff::pruned(&wanted).unwrap_or_else(|| json!({}));
    law(diff::equivalent(&pruned, &wanted), || format!("pruned: {pruned}"))?;
    Ok(Outcome::Read)
}

fn symmetric(live: &Value, wanted: &Value) -> Result<(), String> {
    law(diff::equivalent(live, live) && diff::equivalent(wanted, wanted), || "not equivalent to itself".to_owned())?;
    law(diff::equivalent(live, wanted) == diff::equivalent(wanted, live), || "equivalent one way only".to_owned())
}

pub(super) fn hash_seeds() -> Vec<Vec<u8>> {
    let lines = include_str!("../../../objects/tests/vectors/spec_hash.jsonl").lines();
    let values = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()?.get("value").cloned());
    let short = values.map(|value| value.to_string().into_bytes()).filter(|seed| seed.len() < 6000);
    short.step_by(11).take(40).collect()
}

pub(super) fn hash(input: &[u8]) -> Run {
    let Some(value) = tree(input) else { return Ok(Outcome::Refused) };
    let formulas = [hash::pod_template, hash::daemon_set_template, hash::service_spec];
    // One generation after the other would be slow: which one it is follows from the input.
    let generation = Generation::ALL.get(input.len() % Generation::ALL.len()).copied().unwrap_or(Generation::CURRENT);
    for formula in formulas {
        let first = formula(&value, generation);
        law(first == formula(&value, generation), || "another hash the second time".to_owned())?;
        law(!first.is_empty() && first.len() <= 10, || format!("the hash {first:?}"))?;
        used(formula(&value, Generation::CURRENT));
    }
    used(hash::reproducible(&value));
    Ok(Outcome::Read)
}
