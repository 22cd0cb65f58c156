//! Single requests that show what a route does: one for each condition of an A/B test, one for each cookie that a route sets.

use api::{HttpMatchRequest, Rollout, StringMatch};
use lab::dataplane::split::Asked;
use regex_syntax::hir::{Class, Hir, HirKind};

/// A request as it differs from a plain one.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    method: Option<String>,
    path: Option<String>,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

/// A request for each condition of the A/B test; none if it is no A/B test.
pub(super) fn of(rollout: &Rollout) -> Vec<Sample> {
    if rollout.strategy != api::Strategy::AbTesting {
        return Vec::new();
    }
    rollout.analysis.matches.iter().map(for_condition).collect()
}

/// A request of somebody who came before and got this cookie (`name=value`).
pub(super) fn with_cookie(cookie: &str) -> Sample {
    Sample { headers: vec![("cookie".to_owned(), cookie.to_owned())], ..Sample::default() }
}

/// A path that the condition is met by.
pub(super) fn path(condition: &StringMatch) -> Option<String> {
    text_for(condition).filter(|path| path.starts_with('/'))
}

fn for_condition(condition: &HttpMatchRequest) -> Sample {
    let named = |map: &std::collections::BTreeMap<String, StringMatch>| {
        map.iter().map(|(name, wanted)| (name.clone(), text_for(wanted).unwrap_or_default())).collect()
    };
    Sample {
        method: condition.method.as_ref().and_then(text_for),
        path: condition.uri.as_ref().and_then(path),
        query: named(&condition.query_params),
        headers: named(&condition.headers),
    }
}

impl Sample {
    /// The same with the value `always` for a cookie that has none.
    pub(super) fn with_cookie_always(&self) -> Option<Self> {
        let mut other = self.clone();
        let bare = |(name, value): &&mut (String, String)| name.eq_ignore_ascii_case("cookie") && !value.contains('=');
        other.headers.iter_mut().find(bare)?.1.push_str("=always");
        Some(other)
    }

    /// The request in words, and as it is asked.
    pub(super) fn apply(&self, plain: &Asked) -> (String, Asked) {
        let mut asked = plain.clone();
        asked.method = self.method.clone().unwrap_or(asked.method);
        asked.path = self.path.clone().unwrap_or(asked.path);
        asked.query = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let question = if asked.query.is_empty() { "" } else { "?" };
        let mut words = format!("{} {}{question}{}", asked.method, asked.path, asked.query);
        for (name, value) in &self.headers {
            words.extend([" with ", name, ": ", value]);
            asked = asked.with(name, value);
        }
        (words, asked)
    }
}

/// A text that the condition is met by; `None` if none comes to mind.
fn text_for(wanted: &StringMatch) -> Option<String> {
    let plain = [&wanted.exact, &wanted.prefix, &wanted.suffix].into_iter().flatten().next();
    match (plain, &wanted.regex) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(regex)) => {
            let mut text = String::new();
            shortest(&regex_syntax::parse(regex).ok()?, &mut text);
            Some(text)
        }
        // Presence is enough.
        (None, None) => Some("anything".to_owned()),
    }
}

/// A short text that a regular expression matches.
fn shortest(pattern: &Hir, text: &mut String) {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => text.extend(one_of(class)),
        HirKind::Repetition(repetition) => (0..repetition.min.min(1000)).for_each(|_| shortest(&repetition.sub, text)),
        HirKind::Capture(capture) => shortest(&capture.sub, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| shortest(part, text)),
        HirKind::Alternation(parts) => parts.iter().take(1).for_each(|part| shortest(part, text)),
    }
}

/// A character of a class: one that people would type, where there is one.
fn one_of(class: &Class) -> Option<char> {
    let has = |wanted: char| match class {
        Class::Unicode(class) => class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&wanted)),
        Class::Bytes(class) => {
            class.ranges().iter().any(|range| (char::from(range.start())..=char::from(range.end())).contains(&wanted))
        }
    };
    ('a'..='z').chain('0'..='9').chain('A'..='Z').chain([' ', '-', '_', '.', '/', ';', '=']).find(|one| has(*one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_for_every_pattern() {
        for (pattern, text) in [
            (".*Firefox.*", "Firefox"),
            ("^(.*?;)?(canary=always)(;.*)?$", "canary=always"),
            ("(?i)beta-[0-9]{3}", "BETA-000"),
            ("v[12]|w", "v1"),
        ] {
            let wanted = StringMatch { regex: Some(pattern.to_owned()), ..StringMatch::default() };
            let found = text_for(&wanted).unwrap();
            assert!(found.eq_ignore_ascii_case(text), "{pattern}: {found}");
        }
    }
}
