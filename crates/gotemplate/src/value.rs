//! Values: what callers put into an [`Env`], and what expressions of a template yield.
//!
//! No function of the environment returns numbers or lists, so the kinds are few: those two, literals, and what the
//! builtins make of them.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

/// What a function of the environment returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Go's `string`.
    String(String),
    /// Go's `map[string]string`.
    Map(BTreeMap<String, String>),
    /// A `map[string]string` that was never made: empty, and equal to `nil`.
    NilMap,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

impl From<BTreeMap<String, String>> for Value {
    fn from(map: BTreeMap<String, String>) -> Self {
        Value::Map(map)
    }
}

/// The functions a template may call, all without arguments, by name. They go before builtins of the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    functions: BTreeMap<String, Value>,
}

impl Env {
    /// No functions.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more function.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.functions.insert(name.to_owned(), value.into());
        self
    }

    /// The names of the functions, sorted, as [`Template::parse`](crate::Template::parse) wants them.
    pub fn names(&self) -> Vec<&str> {
        self.functions.keys().map(String::as_str).collect()
    }

    pub(crate) fn value(&self, name: &str) -> Option<Val<'_>> {
        self.functions.get(name).map(|value| match value {
            Value::String(text) => Val::Text(Text::Borrowed(text.as_bytes())),
            Value::Map(map) => Val::Map(Some(map)),
            Value::NilMap => Val::Map(None),
        })
    }
}

/// A value while a template is executed; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Val<'a> {
    /// `nil`, and the data of the template, of which there is none.
    Nil,
    Bool(bool),
    Int(i64),
    /// Go's `uint8`, an element of a string.
    Byte(u8),
    Float(f64),
    Complex(f64, f64),
    Text(Text<'a>),
    /// `None`: the nil map.
    Map(Option<&'a BTreeMap<String, String>>),
}

/// The bytes of a string, mostly but not always UTF-8.
#[derive(Debug, Clone)]
pub(crate) enum Text<'a> {
    Borrowed(&'a [u8]),
    Made(Rc<[u8]>),
}

impl Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Text::Borrowed(bytes) => bytes,
            Text::Made(bytes) => bytes,
        }
    }
}

impl<'a> Val<'a> {
    pub(crate) fn made(bytes: impl Into<Rc<[u8]>>) -> Self {
        Val::Text(Text::Made(bytes.into()))
    }

    pub(crate) fn borrowed(text: &'a str) -> Self {
        Val::Text(Text::Borrowed(text.as_bytes()))
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Val::Nil => "<nil>",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Byte(_) => "uint8",
            Val::Float(_) => "float64",
            Val::Complex(..) => "complex128",
            Val::Text(_) => "string",
            Val::Map(_) => "map[string]string",
        }
    }

    /// What `if`, `and`, `not` take for true: anything but zero, nothing and empty.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Val::Nil => false,
            Val::Bool(value) => *value,
            Val::Int(value) => *value != 0,
            Val::Byte(value) => *value != 0,
            Val::Float(value) => *value != 0.0,
            Val::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Val::Text(text) => !text.is_empty(),
            Val::Map(map) => map.is_some_and(|map| !map.is_empty()),
        }
    }
}
