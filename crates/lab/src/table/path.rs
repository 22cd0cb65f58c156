//! The part of `JSONPath` that printer columns use: `.a.b`, `.a['b.c']`, `.a\.b`, `[0]`, `[*]`, `[?(@.type=="Ready")]`.
//!
//! Source: <https://kubernetes.io/docs/reference/kubectl/jsonpath/>

use serde_json::Value;

/// A path, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    At(i64),
    All,
    /// Elements in which the path has, or has not, that text.
    Where(Path, String, bool),
    /// Something that is not understood: finds nothing.
    Nothing,
}

impl Path {
    /// Takes a path apart.
    pub(super) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
        while !rest.is_empty() {
            let (step, left) = next(rest);
            steps.push(step);
            rest = left;
        }
        Self(steps)
    }

    /// All values at the path.
    pub(super) fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        self.0.iter().fold(vec![root], |found, step| found.into_iter().flat_map(|value| follow(value, step)).collect())
    }
}

fn next(text: &str) -> (Step, &str) {
    if let Some(inside) = text.strip_prefix('[') {
        let Some((inside, rest)) = bracket(inside) else { return (Step::Nothing, "") };
        return (index(inside), rest);
    }
    let text = text.strip_prefix('.').unwrap_or(text);
    let mut key = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => key.extend(letters.next().map(|(_, letter)| letter)),
            '.' | '[' => return (Step::Key(key), text.get(at..).unwrap_or_default()),
            letter => key.push(letter),
        }
    }
    (if key.is_empty() { Step::Nothing } else { Step::Key(key) }, "")
}

/// What is up to the closing bracket, and the rest; brackets within quotes do not count.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None, '[') => depth += 1,
            (None, ']') if depth > 0 => depth -= 1,
            (None, ']') => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

fn index(inside: &str) -> Step {
    let inside = inside.trim();
    if inside == "*" {
        return Step::All;
    }
    if let Ok(at) = inside.parse() {
        return Step::At(at);
    }
    if let Some(condition) = inside.strip_prefix("?(").and_then(|text| text.strip_suffix(')')) {
        let equal = condition.split_once("==").map(|parts| (parts, true));
        let Some(((path, value), equal)) = equal.or_else(|| condition.split_once("!=").map(|parts| (parts, false)))
        else {
            return Step::Nothing;
        };
        return Step::Where(Path::parse(path.trim().trim_start_matches('@')), unquoted(value.trim()).to_owned(), equal);
    }
    match unquoted(inside) {
        key if key.len() < inside.len() => Step::Key(key.to_owned()),
        _ => Step::Nothing,
    }
}

fn unquoted(text: &str) -> &str {
    let within = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

fn follow<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    let list = || value.as_array().map(Vec::as_slice).unwrap_or_default();
    match step {
        Step::Key(key) => value.get(key).into_iter().collect(),
        Step::At(at) => {
            let at = if *at < 0 {
                list().len().checked_sub(usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX))
            } else {
                usize::try_from(*at).ok()
            };
            at.and_then(|at| list().get(at)).into_iter().collect()
        }
        Step::All => match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Where(path, wanted, equal) => {
            let has = |item: &&Value| path.find(item).iter().any(|value| super::plain(value) == *wanted);
            list().iter().filter(|item| has(item) == *equal).collect()
        }
        Step::Nothing => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_notations_of_printer_columns_are_understood() {
        let object = json!({"a": {"b": 1, "c.d": 2}, "list": [{"n": "x", "v": 3}, {"n": "y", "v": 4}]});
        for (path, wanted) in [
            (".a.b", json!([1])),
            ("{.a.b}", json!([1])),
            (".a['c.d']", json!([2])),
            (".a.c\\.d", json!([2])),
            (".list[1].v", json!([4])),
            (".list[-1].v", json!([4])),
            (".list[*].v", json!([3, 4])),
            (".list[?(@.n==\"y\")].v", json!([4])),
            (".list[?(@.n!='y')].v", json!([3])),
            (".none.b", json!([])),
            (".list[7]", json!([])),
            ("", json!([object])),
        ] {
            let found: Vec<Value> = Path::parse(path).find(&object).into_iter().cloned().collect();
            assert_eq!(json!(found), wanted, "{path}");
        }
    }
}
