//! Go's text/template, as far as metric queries use it: parse and execute, with the error texts of Go.
//!
//! The whole language: actions, pipelines, variables, `if`, `with`, `range`, `break`, `continue`, `define`,
//! `template`, `block`, comments, trim markers and all builtin functions, `printf` with every verb. What there is to
//! work on is small: no data (`.` is nil), only functions without arguments that return a string or a map of strings;
//! the template is named `tmpl`, and a map without the key asked for is an error (`missingkey=error`).
//!
//! Differences to Go, all on purpose: nesting, output and work have limits (an error, never a crash);
//! `%p` of a map shows the same address each time; the output is text, so that bytes that are not UTF-8 become U+FFFD.
//! Source: <https://pkg.go.dev/text/template>, <https://pkg.go.dev/fmt>, and the behaviour of Go 1.26, recorded in
//! `tests/golden.json`.
//!
//! ```
//! use gotemplate::{Env, Template, Value};
//!
//! let env = Env::new().with("namespace", "test").with("variables", Value::NilMap);
//! let template = Template::parse(r#"up{ns="{{ namespace }}"}"#, &env.names())?;
//! assert_eq!(template.execute(&env)?, r#"up{ns="test"}"#);
//!
//! let error = Template::parse("{{ variables.dir }}", &env.names())?.execute(&env).unwrap_err();
//! let place = r#"template: tmpl:1:3: executing "tmpl" at <variables>"#;
//! assert_eq!(error.to_string(), format!(r#"{place}: map has no entry for key "dir""#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(clippy::disallowed_methods)]

mod ast;
mod builtins;
mod escape;
mod exec;
mod format;
mod lexer;
mod limits;
mod number;
mod parser;
mod quote;
mod value;

pub use value::{Env, Value};

/// The name of every template; texts of errors contain it.
const NAME: &str = "tmpl";

/// A template that can be executed any number of times.
#[derive(Debug, Clone)]
pub struct Template {
    /// Kept for the places in error texts.
    text: String,
    trees: parser::Trees,
}

impl Template {
    /// Parses `text`. Besides the builtins it may call the given functions, which [`execute`](Self::execute) must find
    /// in its environment.
    pub fn parse(text: &str, functions: &[&str]) -> Result<Self, ParseError> {
        let trees = parser::parse(text, functions)?;
        Ok(Self { text: text.to_owned(), trees })
    }

    /// The text that the template makes of `env`.
    pub fn execute(&self, env: &Env) -> Result<String, ExecError> {
        exec::execute(&self.text, &self.trees, env).map_err(|error| *error)
    }
}

/// The template is malformed or names something unknown. The text is Go's, from `template: ` on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: {NAME}:{line}: {reason}")]
pub struct ParseError {
    /// From 1; the line up to which the parser had read.
    pub line: usize,
    /// What is wrong, such as `function "foo" not defined`.
    pub reason: String,
}

/// The template cannot be executed in this environment. The text is Go's, from `template: ` on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: {NAME}:{line}:{column}: executing {} at <{context}>: {reason}", quote::quoted(.template))]
pub struct ExecError {
    /// From 1.
    pub line: usize,
    /// In bytes, from 0.
    pub column: usize,
    /// Name of the `define` or `block`, `tmpl` outside of any.
    pub template: String,
    /// The part of the template that was being evaluated.
    pub context: String,
    /// What is wrong, such as `map has no entry for key "foo"`.
    pub reason: String,
}
