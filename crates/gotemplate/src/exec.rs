//! Walks the tree and writes the output, with Go's reasons and the place that Go names when something is wrong.
//!
//! The place is the last node that evaluation came to, not always the one at fault: for `variables.foo` it is
//! `variables`. Depth, output and work are bounded (`limits`).
//! Source: <https://pkg.go.dev/text/template> and the behaviour of Go 1.26.

use crate::ast::{Call, Choice, Command, List, Node, Operand, OperandKind, Pipe, Range};
use crate::builtins::{Arity, Builtin, shown};
use crate::format::{self, Output};
use crate::limits::{MAX_DEPTH, MAX_OUTPUT, MAX_WORK};
use crate::number::Constant;
use crate::parser::Trees;
use crate::quote::quoted;
use crate::value::{Env, Text, Val};
use crate::{ExecError, NAME};

/// Executes the tree of the template itself.
pub(crate) fn execute(text: &str, trees: &Trees, env: &Env) -> Result<String, Box<ExecError>> {
    let mut state = State {
        text,
        trees,
        env,
        tree: NAME,
        at: Place::Start,
        variables: vec![("$", Val::Nil)],
        base: 0,
        depth: 0,
        work: 0,
        output: Vec::new(),
    };
    if let Some(root) = trees.get(NAME) {
        state.list(&Val::Nil, root)?;
    }
    // Strings are bytes; what is not UTF-8 could not be sent anywhere as text.
    Ok(String::from_utf8(state.output).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

type Executed<T> = Result<T, Box<ExecError>>;

/// Pairs of index and element.
type Elements<'a> = Box<dyn Iterator<Item = (Val<'a>, Val<'a>)> + 'a>;

/// How a list ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// The node that evaluation came to last.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    Start,
    Text(usize),
    Template(&'a Call),
    Pipe(&'a Pipe),
    Command(&'a Command),
    Operand(&'a Operand),
}

struct State<'a> {
    text: &'a str,
    trees: &'a Trees,
    env: &'a Env,
    /// Name of the tree being executed.
    tree: &'a str,
    at: Place<'a>,
    /// Innermost last; those of the current tree begin at `base`.
    variables: Vec<(&'a str, Val<'a>)>,
    base: usize,
    /// Lists and pipelines around the current node.
    depth: usize,
    work: usize,
    output: Vec<u8>,
}

impl<'a> State<'a> {
    fn list(&mut self, dot: &Val<'a>, list: &'a List) -> Executed<Flow> {
        self.depth += 1;
        let mut flow = Flow::Next;
        for node in list {
            flow = self.node(dot, node)?;
            if flow != Flow::Next {
                break;
            }
        }
        self.depth -= 1;
        Ok(flow)
    }

    fn node(&mut self, dot: &Val<'a>, node: &'a Node) -> Executed<Flow> {
        self.charge(1)?;
        match node {
            Node::Text { pos, text } => {
                self.at = Place::Text(*pos);
                self.write(text.as_bytes())?;
            }
            Node::Action(pipe) => self.action(dot, pipe)?,
            Node::If(choice) => return self.choice(dot, choice, false),
            Node::With(choice) => return self.choice(dot, choice, true),
            Node::Range(range) => return self.range(dot, range),
            Node::Template(call) => self.template(dot, call)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn action(&mut self, dot: &Val<'a>, pipe: &'a Pipe) -> Executed<()> {
        let value = self.pipeline(dot, pipe)?;
        if !pipe.variables.is_empty() {
            return Ok(());
        }
        let mut out = Output::new();
        format::print(&mut out, &[shown(&value)]);
        match out.finish() {
            Some(bytes) => self.write(&bytes),
            None => self.output_too_long(),
        }
    }

    fn choice(&mut self, dot: &Val<'a>, choice: &'a Choice, rebinds: bool) -> Executed<Flow> {
        let mark = self.variables.len();
        let mut flow = None;
        for arm in &choice.arms {
            let value = self.pipeline(dot, &arm.pipe)?;
            if value.is_true() {
                flow = Some(self.list(if rebinds { &value } else { dot }, &arm.list)?);
                break;
            }
        }
        let flow = match flow {
            Some(flow) => flow,
            None => self.list(dot, &choice.otherwise)?,
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, dot: &Val<'a>, range: &'a Range) -> Executed<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &range.pipe)?;
        let mut any = false;
        for (index, element) in self.elements(&value, range.pipe.variables.len())? {
            any = true;
            if self.iteration(range, index, &element)? == Flow::Break {
                break;
            }
        }
        let flow = if any { Flow::Next } else { self.list(dot, &range.otherwise)? };
        self.variables.truncate(mark);
        Ok(flow)
    }

    /// What `range` goes over, as pairs of index and element.
    fn elements(&self, value: &Val<'a>, variables: usize) -> Executed<Elements<'a>> {
        match value {
            Val::Nil | Val::Map(None) => Ok(Box::new(std::iter::empty())),
            Val::Map(Some(map)) => {
                Ok(Box::new(map.iter().map(|(key, element)| (Val::borrowed(key), Val::borrowed(element)))))
            }
            Val::Int(_) | Val::Byte(_) if variables > 1 => {
                let value = format::text(value);
                self.fail(format!("can't use {value} to iterate over more than one variable"))
            }
            // A number has no indexes, only elements.
            Val::Int(count) => Ok(Box::new((0..*count).map(|element| (Val::Nil, Val::Int(element))))),
            Val::Byte(count) => Ok(Box::new((0..*count).map(|element| (Val::Nil, Val::Byte(element))))),
            other => {
                let value = format::text(other);
                self.fail(format!("range can't iterate over {value}"))
            }
        }
    }

    fn iteration(&mut self, range: &'a Range, index: Val<'a>, element: &Val<'a>) -> Executed<Flow> {
        self.charge(1)?;
        let mark = self.variables.len();
        self.set_range_variables(&range.pipe, index, element)?;
        let flow = self.list(element, &range.list)?;
        self.variables.truncate(mark);
        Ok(flow)
    }

    /// With two variables the index comes first; a single one takes the element.
    fn set_range_variables(&mut self, pipe: &'a Pipe, index: Val<'a>, element: &Val<'a>) -> Executed<()> {
        match pipe.variables.as_slice() {
            [first, second] if pipe.assigns => {
                self.assign(first, index)?;
                self.assign(second, element.clone())
            }
            [only] if pipe.assigns => self.assign(only, element.clone()),
            // The pipeline has declared them, so they are the innermost, the last of them first.
            variables => {
                let values = [element.clone(), index];
                let innermost = self.variables.iter_mut().rev().take(variables.len());
                innermost.zip(values).for_each(|((_, variable), value)| *variable = value);
                Ok(())
            }
        }
    }

    fn template(&mut self, dot: &Val<'a>, call: &'a Call) -> Executed<()> {
        self.at = Place::Template(call);
        let Some((name, list)) = self.trees.get_key_value(&call.name) else {
            return self.fail(format!("template {} not defined", quoted(&call.name)));
        };
        // Between two templates depth is bounded by the parser.
        if self.depth >= MAX_DEPTH {
            return self.fail(format!("exceeded maximum template depth ({MAX_DEPTH})"));
        }
        let value = match &call.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Val::Nil,
        };
        // Inside nothing of what is outside can be seen.
        let (tree, base, mark) = (self.tree, self.base, self.variables.len());
        (self.tree, self.base) = (name, mark);
        self.variables.push(("$", value.clone()));
        self.list(&value, list)?;
        self.variables.truncate(mark);
        (self.tree, self.base) = (tree, base);
        Ok(())
    }

    fn pipeline(&mut self, dot: &Val<'a>, pipe: &'a Pipe) -> Executed<Val<'a>> {
        self.depth += 1;
        self.at = Place::Pipe(pipe);
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(dot, command, last)?);
        }
        let value = last.unwrap_or(Val::Nil);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        self.depth -= 1;
        Ok(value)
    }

    /// `last`: the value of the command before, which becomes the last argument.
    fn command(&mut self, dot: &Val<'a>, command: &'a Command, last: Option<Val<'a>>) -> Executed<Val<'a>> {
        self.charge(1)?;
        let first = &command.first;
        let given = !command.arguments.is_empty() || last.is_some();
        match &first.kind {
            OperandKind::Function(name) => {
                self.at = Place::Operand(first);
                self.function(dot, name, &command.arguments, last, Place::Command(command))
            }
            OperandKind::Parenthesized(pipe) => {
                self.refuse_arguments(first, given)?;
                self.pipeline(dot, pipe)
            }
            // An operand with fields says itself what is wrong with arguments.
            OperandKind::Field(_) | OperandKind::Chain(..) => self.operand(dot, first, given),
            OperandKind::Variable(_, names) if !names.is_empty() => self.operand(dot, first, given),
            OperandKind::Variable(name, _) => {
                self.at = Place::Operand(first);
                let value = self.variable(name)?;
                self.refuse_arguments(first, given)?;
                Ok(value)
            }
            OperandKind::Nil => {
                self.at = Place::Operand(first);
                self.refuse_arguments(first, given)?;
                self.fail("nil is not a command")
            }
            _ => {
                self.at = Place::Operand(first);
                self.refuse_arguments(first, given)?;
                self.operand(dot, first, false)
            }
        }
    }

    fn refuse_arguments(&mut self, operand: &Operand, given: bool) -> Executed<()> {
        if given { self.fail(format!("can't give argument to non-function {}", bare(operand))) } else { Ok(()) }
    }

    /// The value of an operand. `given`: it has arguments, which only functions may.
    fn operand(&mut self, dot: &Val<'a>, operand: &'a Operand, given: bool) -> Executed<Val<'a>> {
        self.at = Place::Operand(operand);
        match &operand.kind {
            OperandKind::Bool(value) => Ok(Val::Bool(*value)),
            OperandKind::Number { text, value } => self.constant(text, *value),
            OperandKind::Text { bytes, .. } => Ok(Val::Text(Text::Borrowed(bytes))),
            OperandKind::Nil => Ok(Val::Nil),
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Field(names) => self.fields(dot.clone(), names, given),
            OperandKind::Variable(name, names) => {
                let value = self.variable(name)?;
                self.fields(value, names, given)
            }
            OperandKind::Function(name) => self.function(dot, name, &[], None, Place::Operand(operand)),
            OperandKind::Parenthesized(pipe) => self.pipeline(dot, pipe),
            OperandKind::Chain(inner, names) => {
                let value = self.operand(dot, inner, false)?;
                self.fields(value, names, given)
            }
        }
    }

    fn constant(&self, text: &str, value: Constant) -> Executed<Val<'a>> {
        Ok(match value {
            Constant::Int(value) => Val::Int(value),
            Constant::Float(value) => Val::Float(value),
            Constant::Complex(real, imaginary) => Val::Complex(real, imaginary),
            Constant::TooLarge => return self.fail(format!("{text} overflows int")),
        })
    }

    fn fields(&mut self, value: Val<'a>, names: &[String], given: bool) -> Executed<Val<'a>> {
        let mut value = value;
        for (index, name) in names.iter().enumerate() {
            let is_last = index + 1 == names.len();
            value = self.field(&value, name, given && is_last)?;
        }
        Ok(value)
    }

    fn field(&mut self, value: &Val<'a>, name: &str, given: bool) -> Executed<Val<'a>> {
        match value {
            Val::Nil => self.fail(format!("nil data; no entry for key {}", quoted(name))),
            Val::Map(_) if given => self.fail(format!("{name} is not a method but has arguments")),
            Val::Map(map) => match map.and_then(|map| map.get(name)) {
                Some(value) => Ok(Val::borrowed(value)),
                None => self.fail(format!("map has no entry for key {}", quoted(name))),
            },
            other => self.fail(format!("can't evaluate field {name} in type {}", other.type_name())),
        }
    }

    /// `failed`: the place that a refusal of the function itself is told with.
    fn function(
        &mut self,
        dot: &Val<'a>,
        name: &str,
        arguments: &'a [Operand],
        last: Option<Val<'a>>,
        failed: Place<'a>,
    ) -> Executed<Val<'a>> {
        let count = arguments.len() + usize::from(last.is_some());
        if let Some(value) = self.env.value(name) {
            self.check_count(name, Arity::Exactly(0), count, arguments.len())?;
            return Ok(value);
        }
        let Some(builtin) = Builtin::named(name) else {
            return self.fail(format!("{} is not a defined function", quoted(name)));
        };
        self.check_count(name, builtin.arity(), count, arguments.len())?;
        if matches!(builtin, Builtin::And | Builtin::Or) {
            return self.short_cut(dot, builtin == Builtin::Or, arguments, last);
        }
        let values = self.arguments(dot, builtin, arguments, last)?;
        self.charge(values.iter().map(size).sum())?;
        let callee = if builtin == Builtin::Call { callee(arguments, &values) } else { String::new() };
        let result = builtin.apply(&values, &callee);
        self.charge(result.as_ref().map_or(0, size))?;
        result.or_else(|reason| {
            self.at = failed;
            self.fail(format!("error calling {name}: {reason}"))
        })
    }

    fn check_count(&self, name: &str, arity: Arity, count: usize, written: usize) -> Executed<()> {
        match arity {
            Arity::Exactly(want) if count != want => {
                self.fail(format!("wrong number of args for {name}: want {want} got {count}"))
            }
            Arity::AtLeast(want) if count < want => {
                self.fail(format!("wrong number of args for {name}: want at least {want} got {written}"))
            }
            _ => Ok(()),
        }
    }

    /// `and` and `or`: arguments are evaluated only up to the one that decides.
    fn short_cut(
        &mut self,
        dot: &Val<'a>,
        decides: bool,
        arguments: &'a [Operand],
        last: Option<Val<'a>>,
    ) -> Executed<Val<'a>> {
        let mut value = Val::Nil;
        for argument in arguments {
            value = self.operand(dot, argument, false)?;
            if value.is_true() == decides {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn arguments(
        &mut self,
        dot: &Val<'a>,
        builtin: Builtin,
        arguments: &'a [Operand],
        last: Option<Val<'a>>,
    ) -> Executed<Vec<Val<'a>>> {
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            let value = if builtin == Builtin::Printf && values.is_empty() {
                self.text_operand(dot, argument)?
            } else {
                self.operand(dot, argument, false)?
            };
            values.push(value);
        }
        if let Some(last) = last {
            if builtin == Builtin::Printf && values.is_empty() {
                self.check_text(&last)?;
            }
            values.push(last);
        }
        Ok(values)
    }

    /// The one argument that must be a string: what `printf` prints by.
    fn text_operand(&mut self, dot: &Val<'a>, operand: &'a Operand) -> Executed<Val<'a>> {
        match operand.kind {
            OperandKind::Nil => {
                self.at = Place::Operand(operand);
                self.fail("cannot assign nil to string")
            }
            OperandKind::Bool(_) | OperandKind::Number { .. } => {
                self.at = Place::Operand(operand);
                self.fail(format!("expected string; found {operand}"))
            }
            _ => {
                let value = self.operand(dot, operand, false)?;
                self.check_text(&value)?;
                Ok(value)
            }
        }
    }

    fn check_text(&self, value: &Val<'a>) -> Executed<()> {
        match value {
            Val::Text(_) => Ok(()),
            Val::Nil => self.fail("invalid value; expected string"),
            other => self.fail(format!("wrong type for value; expected string; got {}", other.type_name())),
        }
    }

    fn variable(&mut self, name: &str) -> Executed<Val<'a>> {
        let position = self.position(name)?;
        Ok(self.variables.get(position).map_or(Val::Nil, |(_, value)| value.clone()))
    }

    fn assign(&mut self, name: &str, new: Val<'a>) -> Executed<()> {
        let position = self.position(name)?;
        if let Some((_, value)) = self.variables.get_mut(position) {
            *value = new;
        }
        Ok(())
    }

    /// Where the innermost variable of that name is.
    fn position(&mut self, name: &str) -> Executed<usize> {
        let own = self.variables.get(self.base..).unwrap_or_default();
        let found = own.iter().rposition(|(variable, _)| *variable == name);
        self.charge(own.len() - found.unwrap_or(0))?;
        match found {
            Some(offset) => Ok(self.base + offset),
            None => self.fail(format!("undefined variable: {name}")),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Executed<()> {
        self.charge(bytes.len())?;
        if self.output.len() + bytes.len() > MAX_OUTPUT {
            return self.output_too_long();
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    fn output_too_long<T>(&self) -> Executed<T> {
        self.fail(format!("output is longer than {MAX_OUTPUT} bytes"))
    }

    fn charge(&mut self, work: usize) -> Executed<()> {
        self.work = self.work.saturating_add(work);
        if self.work > MAX_WORK {
            return self.fail(format!("exceeded maximum template work ({MAX_WORK})"));
        }
        Ok(())
    }

    #[cold]
    fn fail<T>(&self, reason: impl Into<String>) -> Executed<T> {
        let (pos, context) = match self.at {
            Place::Start => (0, NAME.to_owned()),
            Place::Text(pos) => (pos, "text".to_owned()),
            Place::Template(call) => (call.pos, call.to_string()),
            Place::Pipe(pipe) => (pipe.pos, pipe.to_string()),
            Place::Command(command) => (command.pos, command.to_string()),
            Place::Operand(operand) => (operand.pos, bare(operand)),
        };
        let before = self.text.get(..pos).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Err(Box::new(ExecError {
            line: before.matches('\n').count() + 1,
            column: pos - line_start,
            template: self.tree.to_owned(),
            context,
            reason: reason.into(),
        }))
    }
}

/// The operand as texts show it when it stands alone, without parentheses.
fn bare(operand: &Operand) -> String {
    match &operand.kind {
        OperandKind::Parenthesized(pipe) => pipe.to_string(),
        _ => operand.to_string(),
    }
}

/// What `call` names the function by: the operand as written, or what the value of the command before looks like.
fn callee(arguments: &[Operand], values: &[Val<'_>]) -> String {
    match (arguments.first(), values.first()) {
        (Some(operand), _) => bare(operand),
        (None, Some(Val::Text(text))) => String::from_utf8_lossy(text).into_owned(),
        (None, Some(value)) => format!("<{} Value>", value.type_name()),
        (None, None) => String::new(),
    }
}

/// What looking at the value costs.
fn size(value: &Val<'_>) -> usize {
    if let Val::Text(text) = value { text.len() } else { 1 }
}
