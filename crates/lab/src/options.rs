//! The options of a request, as its query gives them: read and checked with the refusals of the real server.
//!
//! Source: answers of kube-apiserver 1.36.

use crate::failure::{Failure, FieldError};
use crate::request::Verb;
use crate::verbs::{Unknown, WriteOptions};
use serde_json::json;

/// The parameters of a query, decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters<'a>(pub &'a [(String, String)]);

impl<'a> Parameters<'a> {
    /// The first value under that key; empty if there is none.
    pub(crate) fn text(self, key: &str) -> &'a str {
        self.0.iter().find(|(of, _)| of == key).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// `force=true`, `watch=1`...: everything but a no is a yes, as the server has it.
    pub(crate) fn flag(self, key: &str) -> bool {
        self.0
            .iter()
            .find(|(of, _)| of == key)
            .is_some_and(|(_, value)| !matches!(value.as_str(), "0" | "false" | "False" | "FALSE"))
    }

    /// A number; 0 if there is none, and also if it is negative.
    pub(crate) fn number(self, key: &str) -> Result<u64, Failure> {
        let text = self.text(key);
        if text.is_empty() {
            return Ok(0);
        }
        let number: i64 = text
            .parse()
            .map_err(|_| Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))?;
        Ok(u64::try_from(number).unwrap_or_default())
    }

    /// The options of a write. The manager is named by the client's name if it is not by the query.
    pub(crate) fn write(self, verb: Verb, user_agent: &str) -> Result<WriteOptions, Failure> {
        let mut errors = Vec::new();
        let manager = self.text("fieldManager");
        check_manager(manager, &mut errors);
        let unknown = match self.text("fieldValidation") {
            "Strict" => Unknown::Refuse,
            "Ignore" => Unknown::Ignore,
            "" | "Warn" => Unknown::Warn,
            other => {
                let known = ["", "Ignore", "Strict", "Warn"].map(str::to_owned);
                errors.push(FieldError::unsupported("fieldValidation", &json!(other), &known));
                Unknown::Warn
            }
        };
        let dry_run = self.text("dryRun");
        if !matches!(dry_run, "" | "All") {
            errors.push(FieldError::unsupported("dryRun", &json!([dry_run]), &["All".to_owned()]));
        }
        let kind = match verb {
            Verb::Create => "CreateOptions",
            Verb::Update => "UpdateOptions",
            Verb::Patch => "PatchOptions",
            _ => "DeleteOptions",
        };
        if !errors.is_empty() {
            return Err(Failure::invalid(kind, "meta.k8s.io", "", &errors));
        }
        let name = if manager.is_empty() { user_agent.split('/').next().unwrap_or_default() } else { manager };
        Ok(WriteOptions {
            dry_run: dry_run == "All",
            manager: name.to_owned(),
            named_manager: !manager.is_empty(),
            force: self.flag("force"),
            unknown,
        })
    }

    /// Checks what a list asks for about versions.
    pub(crate) fn check_list(self) -> Result<(), Failure> {
        let (version, wanted) = (self.text("resourceVersion"), self.text("resourceVersionMatch"));
        let (at, more) = ("resourceVersionMatch", !self.text("continue").is_empty());
        let error = match wanted {
            "" => None,
            _ if more => Some(FieldError::forbidden(at, "resourceVersionMatch is forbidden when continue is provided")),
            _ if version.is_empty() => {
                Some(FieldError::forbidden(at, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
            }
            "Exact" if version == "0" => {
                Some(FieldError::forbidden(at, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""))
            }
            "Exact" | "NotOlderThan" => None,
            other => {
                let known = ["Exact", "NotOlderThan", ""].map(str::to_owned);
                Some(FieldError::unsupported(at, &json!(other), &known))
            }
        };
        if let Some(error) = error {
            return Err(Failure::invalid("ListOptions", "meta.k8s.io", "", &[error]));
        }
        if more && !matches!(version, "" | "0") {
            return Err(Failure::bad_request("specifying resource version is not allowed when using continue"));
        }
        Ok(())
    }
}

fn check_manager(manager: &str, errors: &mut Vec<FieldError>) {
    if manager.len() > 128 {
        errors.push(FieldError::too_long("fieldManager", 128));
    }
    for (at, letter) in manager.chars().enumerate().filter(|(_, letter)| letter.is_control()) {
        let why = format!("invalid character U+{:04X} (at position {at})", u32::from(letter));
        errors.push(FieldError::invalid("fieldManager", &json!(manager), why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(query: &[(&str, &str)]) -> String {
        let query: Vec<_> = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let parameters = Parameters(&query);
        let write = parameters.write(Verb::Patch, "kubectl/v1").map(drop);
        write.and_then(|()| parameters.check_list()).map_or_else(|why| why.message, |()| String::new())
    }

    #[test]
    fn options_that_do_not_exist_are_refused() {
        assert_eq!(refusal(&[("dryRun", "All"), ("fieldValidation", "Strict"), ("fieldManager", "x")]), "");
        assert!(refusal(&[("dryRun", "Some")]).contains("supported values: \"All\""));
        assert!(refusal(&[("fieldManager", "a\nb")]).contains("U+000A (at position 1)"));
        assert!(refusal(&[("resourceVersion", "0"), ("resourceVersionMatch", "Exact")]).contains("forbidden"));
        assert!(refusal(&[("resourceVersion", "5"), ("continue", "x")]).contains("not allowed"));
    }

    #[test]
    fn the_manager_is_the_client_if_nobody_says_otherwise() {
        let of = |query: &[(String, String)]| Parameters(query).write(Verb::Create, "kubectl/v1 (x)").unwrap();
        assert_eq!((of(&[]).manager.as_str(), of(&[]).named_manager), ("kubectl", false));
        let named = of(&[("fieldManager".to_owned(), "me".to_owned())]);
        assert_eq!((named.manager.as_str(), named.named_manager), ("me", true));
    }
}
