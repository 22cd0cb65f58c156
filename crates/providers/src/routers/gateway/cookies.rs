//! The condition by which an HTTPRoute recognises a cookie, escaped: names may contain dots, and a route must not catch the cookies of others.
//!
//! What is handed to clients is the same for all routers and lives in [`crate::routers::affinity`].

/// The regular expression for the header `Cookie` of clients that have this cookie, `name=value`. Of the shape `.*name.*value.*`, as in routes of older
/// versions.
pub(super) fn pattern(cookie: &str) -> String {
    let (name, value) = cookie.rsplit_once('=').unwrap_or((cookie, ""));
    format!(".*{}.*{}.*", escaped(name), escaped(value))
}

/// Whether a regular expression is one for a cookie of that name. Older versions wrote the name as it is.
pub(super) fn is_for(pattern: &str, name: &str) -> bool {
    pattern.contains(name) || pattern.contains(&escaped(name))
}

/// The text without special meaning in a regular expression.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut result, character| {
        if r"\.+*?()|[]{}^$".contains(character) {
            result.push('\\');
        }
        result.push(character);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_others_are_not_caught() {
        assert_eq!(pattern("flagger-cookie=LpsIaLdoNZ"), ".*flagger-cookie.*LpsIaLdoNZ.*");
        assert_eq!(pattern("a.b$c=xyz"), r".*a\.b\$c.*xyz.*");
        assert_eq!(pattern("a=b=xyz"), ".*a=b.*xyz.*");
    }

    #[test]
    fn patterns_of_older_versions_are_known_again() {
        assert!(is_for(".*a.b.*xyz.*", "a.b") && is_for(r".*a\.b.*xyz.*", "a.b"));
        assert!(!is_for(".*other.*xyz.*", "a.b"));
    }
}
