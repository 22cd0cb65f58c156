//! Cuts a template into tokens: text outside of `{{ }}`, words and signs inside.
//!
//! Pure and complete in one pass: the result always ends in an `Eof` or in the first `Error` token, whose text is the
//! reason that Go gives. Trim markers (`{{-`, `-}}`) and comments are dealt with here and leave no token.
//! Source: <https://pkg.go.dev/text/template> and the behaviour of Go 1.26.

use std::borrow::Cow;

use crate::quote::unicode_point;

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const LEFT_COMMENT: &str = "/*";
const RIGHT_COMMENT: &str = "*/";

/// First code points of the runs of ten decimal digits beyond ASCII (Unicode category Nd), which may stand in names.
const DIGIT_ZEROS: &[u32] = &[
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
    0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
    0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0,
    0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16a60,
    0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e950, 0x1fbf0,
];

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something that cannot be a token; the token's text is the reason.
    Error,
    Eof,
    /// Text outside of actions.
    Text,
    LeftDelim,
    RightDelim,
    /// One or more blanks inside of an action; they separate arguments.
    Space,
    /// `=`
    Assign,
    /// `:=`
    Declare,
    Pipe,
    LeftParen,
    RightParen,
    /// Any other printable ASCII character, such as the comma.
    Char,
    /// `'x'`, with its quotes.
    CharConstant,
    Complex,
    Number,
    /// `"x"`, with its quotes.
    Str,
    /// A string in backquotes, with them.
    RawStr,
    Bool,
    /// A function's name.
    Identifier,
    /// `.name`
    Field,
    /// `$` or `$name`
    Variable,
    Keyword(Keyword),
}

/// Words with a meaning of their own, and the dot, which Go counts among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Dot,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A piece of the template.
#[derive(Debug, Clone)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind,
    /// Byte offset in the template.
    pub(crate) pos: usize,
    /// Line on which the token begins, from 1.
    pub(crate) line: usize,
    pub(crate) text: Cow<'t, str>,
}

/// Which of the two words that once were ordinary names still are, because a function has that name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Functions {
    pub(crate) has_break: bool,
    pub(crate) has_continue: bool,
}

/// All tokens of `text`; never empty.
pub(crate) fn lex(text: &str, functions: Functions) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, start: 0, pos: 0, line: 1, parens: 0, functions, tokens: Vec::new() };
    let (kind, text) = match lexer.template() {
        Ok(()) => (Kind::Eof, Cow::Borrowed("EOF")),
        Err(reason) => (Kind::Error, reason),
    };
    lexer.tokens.push(Token { kind, pos: lexer.start, line: lexer.line, text });
    lexer.tokens
}

type Lexed = Result<(), Cow<'static, str>>;

struct Lexer<'t> {
    text: &'t str,
    /// Where the current token begins, and the line of that place.
    start: usize,
    line: usize,
    /// How far we have read.
    pos: usize,
    /// Open parentheses in the current action.
    parens: usize,
    functions: Functions,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t> {
    fn template(&mut self) -> Lexed {
        while let Some(offset) = self.rest().find(LEFT) {
            self.pos += offset;
            let inside = self.text.get(self.pos + LEFT.len()..).unwrap_or_default();
            let trims = has_left_trim_marker(inside);
            self.text_token(trims);
            let marker = if trims { 2 } else { 0 };
            if inside.get(marker..).is_some_and(|rest| rest.starts_with(LEFT_COMMENT)) {
                self.pos += LEFT.len() + marker;
                self.skip();
                self.comment()?;
            } else {
                self.pos += LEFT.len();
                self.emit(Kind::LeftDelim);
                self.pos += marker;
                self.skip();
                self.action()?;
            }
        }
        self.pos = self.text.len();
        self.text_token(false);
        Ok(())
    }

    /// The text read so far, without its trailing blanks if a trim marker follows; empty text is no token.
    fn text_token(&mut self, trims: bool) {
        let text = self.current();
        let kept = if trims { text.trim_end_matches(is_space) } else { text };
        if !kept.is_empty() {
            self.tokens.push(Token { kind: Kind::Text, pos: self.start, line: self.line, text: Cow::Borrowed(kept) });
        }
        self.skip();
    }

    fn comment(&mut self) -> Lexed {
        self.pos += LEFT_COMMENT.len();
        let Some(offset) = self.rest().find(RIGHT_COMMENT) else {
            return Err("unclosed comment".into());
        };
        self.pos += offset + RIGHT_COMMENT.len();
        if !self.at_right_delim() {
            return Err("comment ends before closing delimiter".into());
        }
        self.pass_right_delim(None);
        Ok(())
    }

    fn action(&mut self) -> Lexed {
        self.parens = 0;
        loop {
            if self.at_right_delim() {
                if self.parens > 0 {
                    return Err("unclosed left paren".into());
                }
                self.pass_right_delim(Some(Kind::RightDelim));
                return Ok(());
            }
            let Some(first) = self.next() else {
                return Err("unclosed action".into());
            };
            self.inside(first)?;
        }
    }

    /// One token that begins with `first`, which has been read.
    fn inside(&mut self, first: char) -> Lexed {
        match first {
            _ if is_space(first) => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return Err("expected :=".into());
                }
                self.emit(Kind::Declare);
            }
            '|' => self.emit(Kind::Pipe),
            '"' => return self.quoted('"', Kind::Str, "unterminated quoted string"),
            '\'' => return self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => return self.raw_quoted(),
            '$' => return self.field_or_variable(Kind::Variable, Kind::Variable),
            // A dot before a digit begins a number, and so does one at the very end.
            '.' if self.peek().is_some_and(|next| !next.is_ascii_digit()) => {
                return self.field_or_variable(Kind::Keyword(Keyword::Dot), Kind::Field);
            }
            '.' | '+' | '-' | '0'..='9' => return self.number(),
            '(' => {
                self.parens += 1;
                self.emit(Kind::LeftParen);
            }
            ')' => {
                let Some(parens) = self.parens.checked_sub(1) else {
                    return Err("unexpected right paren".into());
                };
                self.parens = parens;
                self.emit(Kind::RightParen);
            }
            _ if is_alphanumeric(first) => return self.identifier(),
            ' '..='~' => self.emit(Kind::Char),
            _ => return Err(format!("unrecognized character in action: {}", unicode_point(first)).into()),
        }
        Ok(())
    }

    fn space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.next();
        }
        // The last blank may belong to a closing delimiter with a trim marker.
        if self.rest().strip_prefix('-').is_some_and(|rest| rest.starts_with(RIGHT)) {
            self.pos -= 1;
        }
        self.emit(Kind::Space);
    }

    /// A string or character constant up to the closing `quote`, which may not be on another line.
    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &'static str) -> Lexed {
        loop {
            let next = match self.next() {
                Some('\\') => self.next().filter(|&escaped| escaped != '\n').map(|_| '\\'),
                next => next.filter(|&next| next != '\n'),
            };
            match next {
                None => return Err(unterminated.into()),
                Some(next) if next == quote => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn raw_quoted(&mut self) -> Lexed {
        let Some(offset) = self.rest().find('`') else {
            return Err("unterminated raw quoted string".into());
        };
        self.pos += offset + 1;
        self.emit(Kind::RawStr);
        Ok(())
    }

    /// What follows `.` or `$`: nothing (`bare`) or a name (`named`).
    fn field_or_variable(&mut self, bare: Kind, named: Kind) -> Lexed {
        if self.at_terminator() {
            self.emit(bare);
            return Ok(());
        }
        self.name()?;
        self.emit(named);
        Ok(())
    }

    fn identifier(&mut self) -> Lexed {
        self.name()?;
        let kind = match self.current() {
            "true" | "false" => Kind::Bool,
            "break" if self.functions.has_break => Kind::Identifier,
            "continue" if self.functions.has_continue => Kind::Identifier,
            word => keyword(word).map_or(Kind::Identifier, Kind::Keyword),
        };
        self.emit(kind);
        Ok(())
    }

    /// The rest of a name, and a look at what comes behind it.
    fn name(&mut self) -> Lexed {
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
        match self.peek() {
            Some(next) if !self.at_terminator() => Err(format!("bad character {}", unicode_point(next)).into()),
            _ => Ok(()),
        }
    }

    fn number(&mut self) -> Lexed {
        self.pos = self.start;
        let mut good = self.scan_number();
        let mut kind = Kind::Number;
        if good && matches!(self.peek(), Some('+' | '-')) {
            // A complex number has no blanks and must end in `i`.
            kind = Kind::Complex;
            good = self.scan_number() && self.current().ends_with('i');
        }
        if good {
            self.emit(kind);
            Ok(())
        } else {
            Err(format!("bad number syntax: {}", crate::quote::quoted(self.current())).into())
        }
    }

    /// Reads what looks like a number; whether it is one is for the parser to find out.
    fn scan_number(&mut self) -> bool {
        const DECIMAL: &str = "0123456789_";
        self.accept("+-");
        let (digits, exponent) = if !self.accept("0") {
            (DECIMAL, "eE")
        } else if self.accept("xX") {
            ("0123456789abcdefABCDEF_", "pP")
        } else if self.accept("oO") {
            ("01234567_", "")
        } else if self.accept("bB") {
            ("01_", "")
        } else {
            (DECIMAL, "eE")
        };
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if self.accept(exponent) {
            self.accept("+-");
            self.accept_run(DECIMAL);
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            // Part of the reason, so that the user sees what is wrong.
            self.next();
            return false;
        }
        true
    }

    fn accept(&mut self, valid: &str) -> bool {
        let accepted = self.peek().is_some_and(|next| valid.contains(next));
        if accepted {
            self.next();
        }
        accepted
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    /// Whether a name may end here.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(next) => is_space(next) || self.rest().starts_with(RIGHT),
        }
    }

    fn at_right_delim(&self) -> bool {
        self.rest().starts_with(RIGHT) || self.trims_right()
    }

    fn trims_right(&self) -> bool {
        let mut rest = self.rest().chars();
        rest.next().is_some_and(is_space) && rest.next() == Some('-') && rest.as_str().starts_with(RIGHT)
    }

    /// Passes `}}` or ` -}}` and, for the latter, the blanks behind it. `kind`: emit it as such.
    fn pass_right_delim(&mut self, kind: Option<Kind>) {
        let trims = self.trims_right();
        if trims {
            self.pos += 2;
        }
        self.skip();
        self.pos += RIGHT.len();
        if let Some(kind) = kind {
            self.emit(kind);
        }
        if trims {
            let rest = self.rest();
            self.pos += rest.len() - rest.trim_start_matches(is_space).len();
        }
        self.skip();
    }

    fn emit(&mut self, kind: Kind) {
        self.tokens.push(Token { kind, pos: self.start, line: self.line, text: Cow::Borrowed(self.current()) });
        self.skip();
    }

    /// The next token begins where we are.
    fn skip(&mut self) {
        self.line += self.current().matches('\n').count();
        self.start = self.pos;
    }

    fn current(&self) -> &'t str {
        self.text.get(self.start..self.pos).unwrap_or_default()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.pos += next.len_utf8();
        Some(next)
    }
}

fn has_left_trim_marker(inside: &str) -> bool {
    inside.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Letters, digits and the underscore. Wider than Go by the vowel signs that some scripts write as marks, by letters in
/// circles, and by what Unicode has added since: those are names here and a "bad character" there.
fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric() || (!c.is_ascii() && (is_letter(c) || is_digit(c)))
}

fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !c.is_numeric()
}

fn is_digit(c: char) -> bool {
    let code = u32::from(c);
    DIGIT_ZEROS.iter().any(|&zero| (zero..zero + 10).contains(&code))
}

fn keyword(word: &str) -> Option<Keyword> {
    Some(match word {
        "block" => Keyword::Block,
        "break" => Keyword::Break,
        "continue" => Keyword::Continue,
        "define" => Keyword::Define,
        "else" => Keyword::Else,
        "end" => Keyword::End,
        "if" => Keyword::If,
        "nil" => Keyword::Nil,
        "range" => Keyword::Range,
        "template" => Keyword::Template,
        "with" => Keyword::With,
        _ => return None,
    })
}
