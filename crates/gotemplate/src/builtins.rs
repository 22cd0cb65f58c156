//! The functions that every template may call, with Go's results and reasons for refusal.
//!
//! Only values in and out; evaluation of arguments, and with it the short cut of `and` and `or`, is in `exec`.
//! Source: <https://pkg.go.dev/text/template#hdr-Functions> and the behaviour of Go 1.26.

use std::cmp::Ordering;

use crate::escape::{html, js, url_query};
use crate::format::{self, Output};
use crate::limits::MAX_OUTPUT;
use crate::value::Val;

/// A builtin function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builtin {
    And,
    Call,
    Eq,
    Ge,
    Gt,
    Html,
    Index,
    Js,
    Le,
    Len,
    Lt,
    Ne,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Slice,
    UrlQuery,
}

/// How many arguments a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    Exactly(usize),
    AtLeast(usize),
}

impl Builtin {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "and" => Builtin::And,
            "call" => Builtin::Call,
            "eq" => Builtin::Eq,
            "ge" => Builtin::Ge,
            "gt" => Builtin::Gt,
            "html" => Builtin::Html,
            "index" => Builtin::Index,
            "js" => Builtin::Js,
            "le" => Builtin::Le,
            "len" => Builtin::Len,
            "lt" => Builtin::Lt,
            "ne" => Builtin::Ne,
            "not" => Builtin::Not,
            "or" => Builtin::Or,
            "print" => Builtin::Print,
            "printf" => Builtin::Printf,
            "println" => Builtin::Println,
            "slice" => Builtin::Slice,
            "urlquery" => Builtin::UrlQuery,
            _ => return None,
        })
    }

    pub(crate) fn arity(self) -> Arity {
        match self {
            Builtin::Html | Builtin::Js | Builtin::Print | Builtin::Println | Builtin::UrlQuery => Arity::AtLeast(0),
            Builtin::And
            | Builtin::Call
            | Builtin::Eq
            | Builtin::Index
            | Builtin::Or
            | Builtin::Printf
            | Builtin::Slice => Arity::AtLeast(1),
            Builtin::Len | Builtin::Not => Arity::Exactly(1),
            Builtin::Ge | Builtin::Gt | Builtin::Le | Builtin::Lt | Builtin::Ne => Arity::Exactly(2),
        }
    }

    /// The result for `arguments`, or the reason behind `error calling name: `. `callee`: how the first argument is
    /// written in the template, which `call` tells.
    pub(crate) fn apply<'a>(self, arguments: &[Val<'a>], callee: &str) -> Result<Val<'a>, String> {
        let (first, rest) = match arguments.split_first() {
            Some((first, rest)) => (first, rest),
            None => (&Val::Nil, arguments),
        };
        match self {
            Builtin::And | Builtin::Or => Ok(arguments.last().cloned().unwrap_or(Val::Nil)),
            Builtin::Call => call(first, callee),
            Builtin::Not => Ok(Val::Bool(!first.is_true())),
            Builtin::Len => len(first),
            Builtin::Index => index(first, rest),
            Builtin::Slice => slice(first, rest),
            Builtin::Print => printed(|out| format::print(out, arguments)),
            Builtin::Println => printed(|out| format::print_line(out, arguments)),
            Builtin::Printf => match first {
                Val::Text(template) => printed(|out| format::printf(out, template, rest)),
                other => Err(format!("wrong type for value; expected string; got {}", other.type_name())),
            },
            Builtin::Html => escaped(arguments, html),
            Builtin::Js => escaped(arguments, js),
            Builtin::UrlQuery => escaped(arguments, url_query),
            Builtin::Eq => eq(first, rest).map(Val::Bool),
            Builtin::Ne => eq(first, rest).map(|equal| Val::Bool(!equal)),
            Builtin::Lt => lt(first, rest).map(Val::Bool),
            Builtin::Ge => lt(first, rest).map(|less| Val::Bool(!less)),
            Builtin::Le => le(first, rest).map(Val::Bool),
            Builtin::Gt => le(first, rest).map(|less| Val::Bool(!less)),
        }
    }
}

fn printed<'a>(print: impl FnOnce(&mut Output)) -> Result<Val<'a>, String> {
    let mut out = Output::new();
    print(&mut out);
    match out.finish() {
        Some(bytes) => Ok(Val::made(bytes)),
        None => Err(too_long()),
    }
}

fn too_long() -> String {
    format!("result is longer than {MAX_OUTPUT} bytes")
}

fn escaped<'a>(arguments: &[Val<'a>], escape: fn(&[u8]) -> Vec<u8>) -> Result<Val<'a>, String> {
    let bytes = if let [Val::Text(text)] = arguments {
        escape(text)
    } else {
        let shown: Vec<_> = arguments.iter().map(shown).collect();
        let mut out = Output::new();
        format::print(&mut out, &shown);
        escape(&out.finish().ok_or_else(too_long)?)
    };
    if bytes.len() > MAX_OUTPUT { Err(too_long()) } else { Ok(Val::made(bytes)) }
}

/// The value as an action shows it, which differs from `print` in what is not there.
pub(crate) fn shown<'a>(value: &Val<'a>) -> Val<'a> {
    match value {
        Val::Nil => Val::borrowed("<no value>"),
        other => other.clone(),
    }
}

/// No value is a function, so this can only fail.
fn call<'a>(function: &Val<'a>, callee: &str) -> Result<Val<'a>, String> {
    match function {
        Val::Nil => Err("call of nil".to_owned()),
        other => Err(format!("non-function {callee} of type {}", other.type_name())),
    }
}

fn len<'a>(item: &Val<'a>) -> Result<Val<'a>, String> {
    let length = match item {
        Val::Text(text) => text.len(),
        Val::Map(map) => map.map_or(0, std::collections::BTreeMap::len),
        Val::Nil => return Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Val::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index<'a>(item: &Val<'a>, indexes: &[Val<'a>]) -> Result<Val<'a>, String> {
    if matches!(item, Val::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    indexes.iter().try_fold(item.clone(), |item, index| match item {
        Val::Text(text) => {
            let index = position(index, text.len())?;
            let byte = text.get(index).ok_or("reflect: string index out of range")?;
            Ok(Val::Byte(*byte))
        }
        Val::Map(map) => {
            let key = map_key(index)?;
            let value = map.and_then(|map| map.get(std::str::from_utf8(key).ok()?));
            Ok(Val::borrowed(value.map_or("", String::as_str)))
        }
        other => Err(format!("can't index item of type {}", other.type_name())),
    })
}

fn map_key<'k>(key: &'k Val<'_>) -> Result<&'k [u8], String> {
    match key {
        Val::Text(text) => Ok(text),
        Val::Nil => Err("value is nil; should be of type string".to_owned()),
        other => Err(format!("value has type {}; should be string", other.type_name())),
    }
}

/// An index from 0 up to and with `limit`.
fn position(index: &Val<'_>, limit: usize) -> Result<usize, String> {
    let index = match index {
        Val::Int(index) => *index,
        Val::Byte(index) => i64::from(*index),
        Val::Nil => return Err("cannot index slice/array with nil".to_owned()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    usize::try_from(index)
        .ok()
        .filter(|&position| position <= limit)
        .ok_or_else(|| format!("index out of range: {index}"))
}

fn slice<'a>(item: &Val<'a>, indexes: &[Val<'a>]) -> Result<Val<'a>, String> {
    if matches!(item, Val::Nil) {
        return Err("slice of untyped nil".to_owned());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let Val::Text(text) = item else {
        return Err(format!("can't slice item of type {}", item.type_name()));
    };
    if indexes.len() == 3 {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let start = indexes.first().map_or(Ok(0), |index| position(index, text.len()))?;
    let end = indexes.get(1).map_or(Ok(text.len()), |index| position(index, text.len()))?;
    match text.get(start..end) {
        Some(part) => Ok(Val::made(part)),
        None => Err(format!("invalid slice index: {start} > {end}")),
    }
}

fn incompatible(left: &Val<'_>, right: &Val<'_>) -> String {
    format!("incompatible types for comparison: {} and {}", left.type_name(), right.type_name())
}

/// Whether `first` equals one of `others`.
fn eq(first: &Val<'_>, others: &[Val<'_>]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[expect(clippy::float_cmp, reason = "Go compares bit for bit as well")]
fn equal(left: &Val<'_>, right: &Val<'_>) -> Result<bool, String> {
    Ok(match (left, right) {
        (Val::Bool(left), Val::Bool(right)) => left == right,
        (Val::Float(left), Val::Float(right)) => left == right,
        (Val::Complex(a, b), Val::Complex(c, d)) => a == c && b == d,
        (Val::Text(left), Val::Text(right)) => left[..] == right[..],
        (Val::Map(None) | Val::Nil, Val::Nil | Val::Map(None)) => true,
        (Val::Map(Some(_)), Val::Map(Some(_))) => {
            return Err(format!("non-comparable type {}: {}", format::text(right), right.type_name()));
        }
        (Val::Nil, _) | (_, Val::Nil) | (Val::Map(_), Val::Map(_)) => false,
        _ => match (integer(left), integer(right)) {
            (Some(left), Some(right)) => left == right,
            _ => return Err(incompatible(left, right)),
        },
    })
}

fn integer(value: &Val<'_>) -> Option<i64> {
    match value {
        Val::Int(value) => Some(*value),
        Val::Byte(value) => Some(i64::from(*value)),
        _ => None,
    }
}

fn lt(left: &Val<'_>, rest: &[Val<'_>]) -> Result<bool, String> {
    compare(left, rest).map(|order| order == Some(Ordering::Less))
}

fn le(left: &Val<'_>, rest: &[Val<'_>]) -> Result<bool, String> {
    compare(left, rest).map(|order| matches!(order, Some(Ordering::Less | Ordering::Equal)))
}

fn compare(left: &Val<'_>, rest: &[Val<'_>]) -> Result<Option<Ordering>, String> {
    let right = rest.first().unwrap_or(&Val::Nil);
    // Values that are not basic are refused before two basic ones are found not to match.
    if [left, right].iter().any(|value| matches!(value, Val::Nil | Val::Map(_))) {
        return Err("invalid type for comparison".to_owned());
    }
    match (left, right) {
        (Val::Bool(_), Val::Bool(_)) | (Val::Complex(..), Val::Complex(..)) => {
            Err("invalid type for comparison".to_owned())
        }
        (Val::Float(left), Val::Float(right)) => Ok(left.partial_cmp(right)),
        (Val::Text(left), Val::Text(right)) => Ok(Some(left[..].cmp(&right[..]))),
        _ => match (integer(left), integer(right)) {
            (Some(left), Some(right)) => Ok(Some(left.cmp(&right))),
            _ => Err(incompatible(left, right)),
        },
    }
}
