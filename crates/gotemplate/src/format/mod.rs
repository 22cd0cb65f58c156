//! `print`, `println` and `printf`: how values become text.
//!
//! This file walks format strings; `verbs` writes single values, `float` finds the digits of floating-point numbers.
//! Source: <https://pkg.go.dev/fmt> and the behaviour of Go 1.26.

mod float;
mod verbs;

use crate::limits::MAX_OUTPUT;
use crate::value::Val;

/// Larger widths, precisions and argument numbers count as mistakes.
const MAX_NUMBER: i64 = 1_000_000;

/// Text being written, up to `MAX_OUTPUT`; beyond it nothing is kept.
#[derive(Debug)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    full: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), full: false }
    }

    /// The text. `None`: it is longer than the limit.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        (!self.full).then_some(self.bytes)
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.has_room(bytes.len()) {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn text(&mut self, text: &str) {
        self.write(text.as_bytes());
    }

    fn repeat(&mut self, byte: u8, count: usize) {
        if self.has_room(count) {
            self.bytes.resize(self.bytes.len() + count, byte);
        }
    }

    fn has_room(&mut self, count: usize) -> bool {
        self.full |= self.bytes.len().saturating_add(count) > MAX_OUTPUT;
        !self.full
    }
}

/// What stands between `%` and the verb.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%#v`: Go syntax. Taken from `sharp`, which is then off.
    syntax: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// The value by `%v`, for error texts.
pub(crate) fn text(value: &Val<'_>) -> String {
    let mut out = Output::new();
    verbs::write(&mut out, Flags::default(), 'v', value);
    String::from_utf8_lossy(&out.bytes).into_owned()
}

/// `print`: blanks between values of which neither is a string.
pub(crate) fn print(out: &mut Output, values: &[Val<'_>]) {
    let mut after_text = true;
    for value in values {
        let is_text = matches!(value, Val::Text(_));
        if !is_text && !after_text {
            out.text(" ");
        }
        after_text = is_text;
        verbs::write(out, Flags::default(), 'v', value);
    }
}

/// `println`: blanks between all values, a newline behind them.
pub(crate) fn print_line(out: &mut Output, values: &[Val<'_>]) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.text(" ");
        }
        verbs::write(out, Flags::default(), 'v', value);
    }
    out.text("\n");
}

/// `printf`; mistakes in the format are told in the text, as `%!d(string=x)`.
pub(crate) fn printf(out: &mut Output, format: &[u8], values: &[Val<'_>]) {
    let mut printer = Printer { out, values, next: 0, reordered: false, good_index: true };
    // What stands behind the last closing bracket is not searched for one, over and over.
    let tail = format.len() - format.iter().rposition(|&byte| byte == b']').map_or(0, |position| position + 1);
    let mut rest = format;
    while let Some(percent) = rest.iter().position(|&byte| byte == b'%') {
        let (text, directive) = rest.split_at_checked(percent).unwrap_or((rest, b""));
        printer.out.write(text);
        let mut directive = Directive { rest: directive.get(1..).unwrap_or_default(), tail };
        printer.directive(&mut directive);
        rest = directive.rest;
        if printer.out.full {
            return;
        }
    }
    printer.out.write(rest);
    printer.extra_values();
}

struct Printer<'o, 'v, 'a> {
    out: &'o mut Output,
    values: &'v [Val<'a>],
    /// Index of the value to print next.
    next: usize,
    /// Some directive named its value's number, so that unused ones are no mistake.
    reordered: bool,
    /// The current directive named no number, or one that exists.
    good_index: bool,
}

impl Printer<'_, '_, '_> {
    fn directive(&mut self, directive: &mut Directive<'_>) {
        self.good_index = true;
        let mut flags = directive.flags();
        let mut after_index = self.index(directive);
        after_index = self.width(directive, &mut flags, after_index);
        after_index = self.precision(directive, &mut flags, after_index);
        if !after_index {
            self.index(directive);
        }
        let Some(verb) = directive.verb() else {
            return self.out.text("%!(NOVERB)");
        };
        if verb == '%' {
            return self.out.text("%");
        }
        if !self.good_index {
            return self.mistake(verb, "(BADINDEX)");
        }
        let Some(value) = self.values.get(self.next) else {
            return self.mistake(verb, "(MISSING)");
        };
        self.next += 1;
        // `%w`, for errors only, fits no value here but takes its flags like `%v`.
        if matches!(verb, 'v' | 'w') {
            flags.syntax = std::mem::take(&mut flags.sharp);
            flags.plus = false;
        }
        verbs::write(self.out, flags, verb, value);
    }

    fn mistake(&mut self, verb: char, what: &str) {
        self.out.text("%!");
        self.out.text(verb.encode_utf8(&mut [0; 4]));
        self.out.text(what);
    }

    /// `[2]`, the number of the value to use. Returns whether there was a well-formed one.
    fn index(&mut self, directive: &mut Directive<'_>) -> bool {
        if directive.rest.first() != Some(&b'[') {
            return false;
        }
        self.reordered = true;
        let number = directive.index();
        match number.map(|number| number.checked_sub(1).filter(|&index| index < self.values.len())) {
            Some(Some(index)) => self.next = index,
            _ => self.good_index = false,
        }
        number.is_some()
    }

    fn width(&mut self, directive: &mut Directive<'_>, flags: &mut Flags, after_index: bool) -> bool {
        if !directive.accept(b'*') {
            flags.width = directive.number();
            // `%[3]2d`: the number of the value belongs right before the verb.
            self.good_index &= !(after_index && flags.width.is_some());
            return after_index;
        }
        match self.number_value() {
            Some(width) => {
                flags.width = Some(usize::try_from(width.unsigned_abs()).unwrap_or(0));
                if width < 0 {
                    flags.minus = true;
                    flags.zero = false;
                }
            }
            None => self.out.text("%!(BADWIDTH)"),
        }
        false
    }

    fn precision(&mut self, directive: &mut Directive<'_>, flags: &mut Flags, after_index: bool) -> bool {
        // A point at the very end is taken for the verb.
        if directive.rest.len() < 2 || !directive.accept(b'.') {
            return after_index;
        }
        if after_index {
            self.good_index = false;
        }
        let after_index = self.index(directive);
        if !directive.accept(b'*') {
            flags.precision = Some(directive.number().unwrap_or(0));
            return after_index;
        }
        match self.number_value().map(usize::try_from) {
            Some(Ok(precision)) => flags.precision = Some(precision),
            // A negative precision is none at all, and told as a bad one.
            _ => self.out.text("%!(BADPREC)"),
        }
        false
    }

    /// The next value as width or precision. `None`: no integer, or too large a one.
    fn number_value(&mut self) -> Option<i64> {
        let number = match self.values.get(self.next)? {
            Val::Int(number) => Some(*number),
            Val::Byte(number) => Some(i64::from(*number)),
            _ => None,
        };
        self.next += 1;
        number.filter(|number| (-MAX_NUMBER..=MAX_NUMBER).contains(number))
    }

    fn extra_values(&mut self) {
        let extra = self.values.get(self.next..).unwrap_or_default();
        if self.reordered || extra.is_empty() {
            return;
        }
        self.out.text("%!(EXTRA ");
        for (index, value) in extra.iter().enumerate() {
            if index > 0 {
                self.out.text(", ");
            }
            verbs::write_typed(self.out, Flags::default(), value);
        }
        self.out.text(")");
    }
}

/// The part of a format behind a `%`.
struct Directive<'f> {
    /// All of the format that has not been read.
    rest: &'f [u8],
    /// How much of it, at the end, has no closing bracket.
    tail: usize,
}

impl Directive<'_> {
    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        loop {
            match self.rest.first() {
                Some(b'#') => flags.sharp = true,
                Some(b'0') => flags.zero = true,
                Some(b'+') => flags.plus = true,
                Some(b'-') => flags.minus = true,
                Some(b' ') => flags.space = true,
                _ => return flags,
            }
            self.skip(1);
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        let accepted = self.rest.first() == Some(&byte);
        if accepted {
            self.skip(1);
        }
        accepted
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Digits. `None`: there are none, or so many that the rest of the format is given up.
    fn number(&mut self) -> Option<usize> {
        match digits(self.rest) {
            Number::None => None,
            Number::TooLarge => {
                self.rest = &[];
                None
            }
            Number::Is(number, length) => {
                self.skip(length);
                Some(number)
            }
        }
    }

    /// The number in brackets. `None`: what is in the brackets is none, or they are not closed.
    fn index(&mut self) -> Option<usize> {
        let searched = self.rest.len() > self.tail && self.rest.len() >= 3;
        let close = if searched { self.rest.iter().position(|&byte| byte == b']') } else { None };
        let Some(close) = close else {
            self.skip(1);
            return None;
        };
        let inside = self.rest.get(1..close).unwrap_or_default();
        self.skip(close + 1);
        match digits(inside) {
            Number::Is(number, length) if length == inside.len() => Some(number),
            _ => None,
        }
    }

    fn verb(&mut self) -> Option<char> {
        let first = self.rest.get(..4).unwrap_or(self.rest);
        let (verb, length) = match first.utf8_chunks().next()?.valid().chars().next() {
            Some(verb) => (verb, verb.len_utf8()),
            None => (char::REPLACEMENT_CHARACTER, 1),
        };
        self.skip(length);
        Some(verb)
    }
}

/// What digits at the start of a text are.
enum Number {
    None,
    TooLarge,
    /// The number and how many digits it has.
    Is(usize, usize),
}

fn digits(text: &[u8]) -> Number {
    let mut number = 0;
    let mut length = 0;
    for digit in text.iter().take_while(|byte| byte.is_ascii_digit()) {
        if number > MAX_NUMBER {
            return Number::TooLarge;
        }
        number = number * 10 + i64::from(digit - b'0');
        length += 1;
    }
    if length == 0 { Number::None } else { usize::try_from(number).map_or(Number::TooLarge, |n| Number::Is(n, length)) }
}
