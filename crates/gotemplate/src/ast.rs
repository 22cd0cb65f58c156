//! The parsed template, and how each part is written in error texts (`at <...>`).
//!
//! Positions are byte offsets in the template. What is written is the normalised form: single blanks, no trim markers.

use std::fmt::{self, Display, Formatter};

use crate::number::Constant;
use crate::quote::quoted;

/// What stands between two delimiters of control, in order.
pub(crate) type List = Vec<Node>;

/// A piece of text or an action.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Text { pos: usize, text: String },
    Action(Pipe),
    If(Choice),
    With(Choice),
    Range(Range),
    Template(Call),
    Break,
    Continue,
}

/// `if` or `with`, with its `else if`s or `else with`s.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    pub(crate) arms: Vec<Arm>,
    pub(crate) otherwise: List,
}

#[derive(Debug, Clone)]
pub(crate) struct Arm {
    pub(crate) pipe: Pipe,
    pub(crate) list: List,
}

/// `range`; `otherwise` is for nothing to go over.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    pub(crate) pipe: Pipe,
    pub(crate) list: List,
    pub(crate) otherwise: List,
}

/// `template "name" pipe`, also what is left of a `block`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) pos: usize,
    pub(crate) name: String,
    pub(crate) pipe: Option<Pipe>,
}

/// Commands, each fed with the value of the one before.
#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    pub(crate) pos: usize,
    /// Variables (with their `$`) that take the value; two at most, and that only in `range`.
    pub(crate) variables: Vec<String>,
    /// `=` instead of `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// An operand, or a function with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) pos: usize,
    pub(crate) first: Operand,
    pub(crate) arguments: Vec<Operand>,
}

#[derive(Debug, Clone)]
pub(crate) struct Operand {
    pub(crate) pos: usize,
    pub(crate) kind: OperandKind,
}

#[derive(Debug, Clone)]
pub(crate) enum OperandKind {
    Bool(bool),
    Number {
        text: String,
        value: Constant,
    },
    Text {
        quoted: String,
        bytes: Vec<u8>,
    },
    Nil,
    Dot,
    /// `.a.b`, without dots.
    Field(Vec<String>),
    /// `$x.a.b`: the name with its `$`, the fields without dots.
    Variable(String, Vec<String>),
    Function(String),
    Parenthesized(Box<Pipe>),
    /// Fields of a function's or a pipeline's value.
    Chain(Box<Operand>, Vec<String>),
}

impl Display for Pipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            f.write_str(&self.variables.join(", "))?;
            f.write_str(if self.assigns { " = " } else { " := " })?;
        }
        separated(f, &self.commands, " | ")
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.first, f)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            OperandKind::Bool(value) => write!(f, "{value}"),
            OperandKind::Number { text, .. } => f.write_str(text),
            OperandKind::Text { quoted, .. } => f.write_str(quoted),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Dot => f.write_str("."),
            OperandKind::Field(names) => fields(f, names),
            OperandKind::Variable(name, names) => {
                f.write_str(name)?;
                fields(f, names)
            }
            OperandKind::Function(name) => f.write_str(name),
            OperandKind::Parenthesized(pipe) => write!(f, "({pipe})"),
            OperandKind::Chain(operand, names) => {
                write!(f, "{operand}")?;
                fields(f, names)
            }
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", quoted(&self.name))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

fn fields(f: &mut Formatter<'_>, names: &[String]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}

fn separated<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        Display::fmt(item, f)?;
    }
    Ok(())
}
