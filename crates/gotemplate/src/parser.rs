//! Tokens to tree, with Go's reasons for what is wrong and the line that Go names.
//!
//! Names of functions and variables are checked here. Every `define` and `block` becomes a tree of its own.
//! Nesting is bounded, so that neither parsing nor what walks the tree later can exhaust the stack.
//! Source: <https://pkg.go.dev/text/template> and the behaviour of Go 1.26.

use std::collections::BTreeMap;
use std::mem;

use crate::ast::{Arm, Call, Choice, Command, List, Node, Operand, OperandKind, Pipe, Range};
use crate::builtins::Builtin;
use crate::lexer::{self, Functions, Keyword, Kind, Token};
use crate::limits::{MAX_NESTING, MAX_TEMPLATE};
use crate::quote::{quoted, unquote, unquote_char};
use crate::{NAME, ParseError, number};

/// The trees of a template by name; the template itself is among them.
pub(crate) type Trees = BTreeMap<String, List>;

/// Parses `text`; besides the builtins it may call `functions`.
pub(crate) fn parse(text: &str, functions: &[&str]) -> Result<Trees, ParseError> {
    if text.len() > MAX_TEMPLATE {
        return Err(ParseError { line: 1, reason: format!("template is longer than {MAX_TEMPLATE} bytes") });
    }
    let ordinary = Functions { has_break: functions.contains(&"break"), has_continue: functions.contains(&"continue") };
    let mut parser = Parser {
        tokens: lexer::lex(text, ordinary),
        next: 0,
        seen: 0,
        functions,
        scope: Scope::default(),
        nesting: 0,
        trees: Trees::new(),
    };
    parser.template()?;
    Ok(parser.trees)
}

type Parsed<T> = Result<T, ParseError>;

struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    /// Index of the token to read next.
    next: usize,
    /// Index of the last token looked at: its line is the one errors name, as in Go, which looks ahead.
    seen: usize,
    functions: &'t [&'t str],
    scope: Scope,
    /// Open blocks and parentheses.
    nesting: usize,
    trees: Trees,
}

/// What each tree has for itself.
#[derive(Debug, Default)]
struct Scope {
    variables: Vec<String>,
    /// How often each of them is declared.
    declared: BTreeMap<String, usize>,
    ranges: usize,
    /// Line of the current action, for the reason of an action that never ends.
    action_line: Option<usize>,
}

/// What ends a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    End,
    Else,
}

impl Ending {
    fn text(self) -> &'static str {
        match self {
            Ending::End => "{{end}}",
            Ending::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Ending(Ending),
}

impl<'t> Parser<'t> {
    fn template(&mut self) -> Parsed<()> {
        let mut root = List::new();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let start = self.next;
                self.advance();
                if self.next_non_space().kind == Kind::Keyword(Keyword::Define) {
                    self.definition()?;
                    continue;
                }
                self.next = start;
            }
            match self.text_or_action()? {
                Item::Node(node) => root.push(node),
                Item::Ending(ending) => return self.fail(format!("unexpected {}", ending.text())),
            }
        }
        self.add(NAME.to_owned(), root)
    }

    /// `define "name"}} ... {{end}}`, of which the first word has been read.
    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let outer = mem::take(&mut self.scope);
        let token = self.next_non_space();
        let name = self.tree_name(&token, CONTEXT)?;
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, CONTEXT);
        }
        let (list, ending) = self.nested(Self::items)?;
        if ending != Ending::End {
            return self.fail(format!("unexpected {} in {CONTEXT}", ending.text()));
        }
        self.add(name, list)?;
        self.scope = outer;
        Ok(())
    }

    /// Adds a tree; one without content gives way to one with.
    fn add(&mut self, name: String, list: List) -> Parsed<()> {
        match self.trees.get(&name) {
            Some(present) if !is_empty(present) => {
                if is_empty(&list) {
                    return Ok(());
                }
                self.fail(format!("template: multiple definition of template {}", quoted(&name)))
            }
            _ => {
                self.trees.insert(name, list);
                Ok(())
            }
        }
    }

    /// Nodes up to and with `end` or `else`.
    fn items(&mut self) -> Parsed<(List, Ending)> {
        let mut list = List::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => list.push(node),
                Item::Ending(ending) => return Ok((list, ending)),
            }
        }
        self.fail("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text { pos: token.pos, text: token.text.into_owned() })),
            Kind::LeftDelim => {
                self.scope.action_line = Some(token.line);
                let item = self.action()?;
                self.scope.action_line = None;
                Ok(item)
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let start = self.next;
        let node = match self.next_non_space().kind {
            Kind::Keyword(Keyword::Block) => self.block()?,
            Kind::Keyword(Keyword::Break) => self.loop_control(Node::Break, "{{break}}")?,
            Kind::Keyword(Keyword::Continue) => self.loop_control(Node::Continue, "{{continue}}")?,
            Kind::Keyword(Keyword::Else) => return self.otherwise(),
            Kind::Keyword(Keyword::End) => {
                self.expect_right_delim("end")?;
                return Ok(Item::Ending(Ending::End));
            }
            Kind::Keyword(Keyword::If) => Node::If(self.choice("if", Keyword::If)?),
            Kind::Keyword(Keyword::With) => Node::With(self.choice("with", Keyword::With)?),
            Kind::Keyword(Keyword::Range) => self.range()?,
            Kind::Keyword(Keyword::Template) => self.call()?,
            _ => {
                self.next = start;
                self.skip_space();
                // Variables declared here live until the list ends.
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Item::Node(node))
    }

    fn loop_control(&mut self, node: Node, context: &str) -> Parsed<Node> {
        self.expect_right_delim(context)?;
        if self.scope.ranges == 0 {
            return self.fail(format!("{context} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn otherwise(&mut self) -> Parsed<Item> {
        // `else if` and `else with` go on in `choice`.
        if !matches!(self.peek_non_space().kind, Kind::Keyword(Keyword::If | Keyword::With)) {
            self.expect_right_delim("else")?;
        }
        Ok(Item::Ending(Ending::Else))
    }

    /// `if` or `with`, the first word of which has been read, up to its `end`.
    fn choice(&mut self, context: &'static str, word: Keyword) -> Parsed<Choice> {
        let variables = self.scope.variables.len();
        let mut choice = Choice::default();
        loop {
            let pipe = self.pipeline(context, Kind::RightDelim)?;
            let (list, ending) = self.nested(Self::items)?;
            choice.arms.push(Arm { pipe, list });
            if ending == Ending::End {
                break;
            }
            if self.peek().kind == Kind::Keyword(word) {
                self.advance();
                continue;
            }
            choice.otherwise = self.last_items()?;
            break;
        }
        self.forget_variables(variables);
        Ok(choice)
    }

    fn range(&mut self) -> Parsed<Node> {
        let variables = self.scope.variables.len();
        let pipe = self.pipeline("range", Kind::RightDelim)?;
        self.scope.ranges += 1;
        let (list, ending) = self.nested(Self::items)?;
        self.scope.ranges -= 1;
        let otherwise = if ending == Ending::Else { self.last_items()? } else { List::new() };
        self.forget_variables(variables);
        Ok(Node::Range(Range { pipe, list, otherwise }))
    }

    /// The list behind a plain `else`.
    fn last_items(&mut self) -> Parsed<List> {
        let (list, ending) = self.nested(Self::items)?;
        if ending != Ending::End {
            return self.fail(format!("expected end; found {}", ending.text()));
        }
        Ok(list)
    }

    /// `template "name" pipe`
    fn call(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.tree_name(&token, CONTEXT)?;
        let pipe = if self.peek_non_space().kind == Kind::RightDelim {
            self.advance();
            None
        } else {
            Some(self.pipeline(CONTEXT, Kind::RightDelim)?)
        };
        Ok(Node::Template(Call { pos: token.pos, name, pipe }))
    }

    /// `block "name" pipe}} ... {{end}}`: a definition and its use in one.
    fn block(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.tree_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        let line = self.line();
        let outer = mem::take(&mut self.scope);
        let (list, ending) = self.nested(Self::items)?;
        if ending != Ending::End {
            // Go has not looked beyond the head of the block in the tree around it.
            return Err(ParseError { line, reason: format!("unexpected {} in {CONTEXT}", ending.text()) });
        }
        self.add(name.clone(), list)?;
        self.scope = outer;
        Ok(Node::Template(Call { pos: token.pos, name, pipe: Some(pipe) }))
    }

    fn tree_name(&mut self, token: &Token<'t>, context: &str) -> Parsed<String> {
        if !matches!(token.kind, Kind::Str | Kind::RawStr) {
            return self.unexpected(token, context);
        }
        let bytes = self.unquoted(token)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn unquoted(&self, token: &Token<'t>) -> Parsed<Vec<u8>> {
        unquote(&token.text).map_or_else(|| self.fail("invalid syntax"), Ok)
    }

    fn pipeline(&mut self, context: &'static str, end: Kind) -> Parsed<Pipe> {
        let pos = self.peek_non_space().pos;
        let mut pipe = Pipe { pos, variables: Vec::new(), assigns: false, commands: Vec::new() };
        self.variables(&mut pipe, context)?;
        loop {
            let token = self.peek_non_space();
            if token.kind == end {
                self.advance();
                self.check_pipeline(&pipe, context)?;
                return Ok(pipe);
            }
            if !starts_operand(token.kind) {
                let token = token.clone();
                return self.unexpected(&token, context);
            }
            let command = self.command()?;
            pipe.commands.push(command);
        }
    }

    /// `$x :=`, `$x =` or, in `range`, `$x, $y :=`; anything else is left alone.
    fn variables(&mut self, pipe: &mut Pipe, context: &'static str) -> Parsed<()> {
        loop {
            if self.peek_non_space().kind != Kind::Variable {
                return Ok(());
            }
            let start = self.next;
            let name = self.next_non_space().text.into_owned();
            let sign = self.next_non_space();
            let comma = sign.kind == Kind::Char && sign.text == ",";
            if !comma && !matches!(sign.kind, Kind::Assign | Kind::Declare) {
                // An argument after all.
                self.next = start;
                return Ok(());
            }
            pipe.assigns = sign.kind == Kind::Assign;
            pipe.variables.push(name.clone());
            self.declare(name);
            if !comma {
                return Ok(());
            }
            if context != "range" || pipe.variables.len() > 1 {
                return self.fail(format!("too many declarations in {context}"));
            }
            if !matches!(self.peek_non_space().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                return self.fail("range can only initialize variables");
            }
        }
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        // Only the first command may be something that takes no argument.
        for (stage, command) in (1..).zip(&pipe.commands).skip(1) {
            if matches!(
                command.first.kind,
                OperandKind::Bool(_)
                    | OperandKind::Dot
                    | OperandKind::Nil
                    | OperandKind::Number { .. }
                    | OperandKind::Text { .. }
            ) {
                return self.fail(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(())
    }

    /// Operands up to a pipe sign, which is read, or the end of the pipeline, which is not.
    fn command(&mut self) -> Parsed<Command> {
        let pos = self.peek_non_space().pos;
        let mut first = None;
        let mut arguments = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                match first {
                    None => first = Some(operand),
                    Some(_) => arguments.push(operand),
                }
            }
            let token = self.peek();
            match token.kind {
                Kind::Space => self.advance(),
                Kind::Pipe => {
                    self.advance();
                    break;
                }
                Kind::RightDelim | Kind::RightParen => break,
                _ => {
                    let token = token.clone();
                    return self.unexpected(&token, "operand");
                }
            }
        }
        match first {
            Some(first) => Ok(Command { pos, first, arguments }),
            None => self.fail("empty command"),
        }
    }

    /// A term with the fields behind it. `None`: there is none.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(operand) = self.term()? else {
            return Ok(None);
        };
        let pos = self.peek().pos;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(field_name(self.peek()));
            self.advance();
        }
        if names.is_empty() {
            return Ok(Some(operand));
        }
        let kind = match operand.kind {
            OperandKind::Field(mut first) => {
                first.append(&mut names);
                OperandKind::Field(first)
            }
            OperandKind::Variable(name, _) => OperandKind::Variable(name, names),
            OperandKind::Function(_) | OperandKind::Parenthesized(_) | OperandKind::Chain(..) => {
                OperandKind::Chain(Box::new(operand), names)
            }
            _ => return self.fail(format!("unexpected . after term {}", quoted(&operand.to_string()))),
        };
        Ok(Some(Operand { pos, kind }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        self.skip_space();
        let token = self.peek().clone();
        let kind = match token.kind {
            Kind::Identifier => {
                if !self.is_function(&token.text) {
                    return self.fail(format!("function {} not defined", quoted(&token.text)));
                }
                OperandKind::Function(token.text.into_owned())
            }
            Kind::Keyword(Keyword::Dot) => OperandKind::Dot,
            Kind::Keyword(Keyword::Nil) => OperandKind::Nil,
            Kind::Variable => {
                if !self.is_declared(&token.text) {
                    return self.fail(format!("undefined variable {}", quoted(&token.text)));
                }
                OperandKind::Variable(token.text.into_owned(), Vec::new())
            }
            Kind::Field => OperandKind::Field(vec![field_name(&token)]),
            Kind::Bool => OperandKind::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Complex | Kind::Number => self.number(&token)?,
            Kind::Str | Kind::RawStr => {
                let bytes = self.unquoted(&token)?;
                OperandKind::Text { quoted: token.text.into_owned(), bytes }
            }
            Kind::LeftParen => {
                self.advance();
                let pipe = self.parenthesized()?;
                return Ok(Some(Operand { pos: pipe.pos, kind: OperandKind::Parenthesized(Box::new(pipe)) }));
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Operand { pos: token.pos, kind }))
    }

    fn parenthesized(&mut self) -> Parsed<Pipe> {
        if self.nesting >= MAX_NESTING {
            return self.fail("max expression depth exceeded");
        }
        self.nesting += 1;
        let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
        self.nesting -= 1;
        Ok(pipe)
    }

    fn number(&self, token: &Token<'t>) -> Parsed<OperandKind> {
        let value = match token.kind {
            Kind::CharConstant => unquote_char(&token.text).map(|code| number::Constant::Int(i64::from(code))),
            Kind::Complex => number::parse_complex(&token.text),
            _ => number::parse(&token.text),
        };
        match value {
            Ok(value) => Ok(OperandKind::Number { text: token.text.clone().into_owned(), value }),
            Err(reason) => self.fail(reason),
        }
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= MAX_NESTING {
            return self.fail("max nesting depth exceeded");
        }
        self.nesting += 1;
        let parsed = parse(self)?;
        self.nesting -= 1;
        Ok(parsed)
    }

    fn is_function(&self, name: &str) -> bool {
        self.functions.contains(&name) || Builtin::named(name).is_some()
    }

    fn is_declared(&self, name: &str) -> bool {
        name == "$" || self.scope.declared.get(name).is_some_and(|&count| count > 0)
    }

    fn declare(&mut self, name: String) {
        *self.scope.declared.entry(name.clone()).or_default() += 1;
        self.scope.variables.push(name);
    }

    fn forget_variables(&mut self, keep: usize) {
        for name in self.scope.variables.drain(keep.min(self.scope.variables.len())..) {
            if let Some(count) = self.scope.declared.get_mut(&name) {
                *count = count.saturating_sub(1);
            }
        }
    }

    fn expect_right_delim(&mut self, context: &str) -> Parsed<()> {
        let token = self.next_non_space();
        if token.kind == Kind::RightDelim { Ok(()) } else { self.unexpected(&token, context) }
    }

    fn peek(&mut self) -> &Token<'t> {
        self.seen = self.seen.max(self.next);
        self.token(self.next)
    }

    /// The token at `index`; there is none behind the last.
    fn token(&self, index: usize) -> &Token<'t> {
        static END: Token<'static> =
            Token { kind: Kind::Eof, pos: 0, line: 1, text: std::borrow::Cow::Borrowed("EOF") };
        self.tokens.get(index).or(self.tokens.last()).unwrap_or(&END)
    }

    fn advance(&mut self) {
        self.seen = self.seen.max(self.next);
        if self.next + 1 < self.tokens.len() {
            self.next += 1;
        }
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.advance();
        }
    }

    fn peek_non_space(&mut self) -> &Token<'t> {
        self.skip_space();
        self.peek()
    }

    fn next_non_space(&mut self) -> Token<'t> {
        let token = self.peek_non_space().clone();
        self.advance();
        token
    }

    fn line(&self) -> usize {
        self.token(self.seen).line
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Parsed<T> {
        Err(ParseError { line: self.line(), reason: reason.into() })
    }

    fn unexpected<T>(&self, token: &Token<'t>, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.fail(format!("unexpected {} in {context}", described(token)));
        }
        let place = match self.scope.action_line {
            Some(line) if line != token.line && token.text.ends_with(" action") => {
                format!(" started at {NAME}:{line}")
            }
            Some(line) if line != token.line => format!(" in action started at {NAME}:{line}"),
            _ => String::new(),
        };
        self.fail(format!("{}{place}", token.text))
    }
}

fn starts_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::CharConstant
            | Kind::Complex
            | Kind::Field
            | Kind::Identifier
            | Kind::Number
            | Kind::RawStr
            | Kind::Str
            | Kind::Variable
            | Kind::LeftParen
            | Kind::Keyword(Keyword::Dot | Keyword::Nil)
    )
}

fn field_name(token: &Token<'_>) -> String {
    token.text.trim_start_matches('.').to_owned()
}

/// A token as error texts show it.
fn described(token: &Token<'_>) -> String {
    match token.kind {
        Kind::Eof => "EOF".to_owned(),
        Kind::Keyword(_) => format!("<{}>", token.text),
        _ if token.text.len() > 10 => {
            let start: String = token.text.chars().take(10).collect();
            format!("{}...", quoted(&start))
        }
        _ => quoted(&token.text),
    }
}

/// Whether a tree has nothing but blanks, so that it counts as not defined.
fn is_empty(list: &List) -> bool {
    list.iter().all(|node| matches!(node, Node::Text { text, .. } if text.trim().is_empty()))
}
