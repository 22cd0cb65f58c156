//! Reading a query.

use super::metrics::METRICS;
use super::{Expression, Matcher, QueryError, Test};
use regex::Regex;
use std::time::Duration;

/// Deepest nesting, and most operators: both are far above what queries need, and evaluation takes stack for each.
const MOST: usize = 200;

pub(super) fn parse(query: &str) -> Result<Expression, QueryError> {
    let mut parser = Parser { rest: query.trim(), depth: 0, operators: 0 };
    let expression = parser.sum()?;
    if parser.rest.is_empty() { Ok(expression) } else { Err(parser.unexpected("the end")) }
}

/// What is left to read.
struct Parser<'a> {
    rest: &'a str,
    depth: usize,
    operators: usize,
}

impl<'a> Parser<'a> {
    fn unexpected(&self, wanted: &str) -> QueryError {
        let shown: String = self.rest.chars().take(20).collect();
        QueryError::Syntax(format!("expected {wanted} at {shown:?}"))
    }

    /// Takes a text and the space behind it, if it is next.
    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn need(&mut self, text: &str) -> Result<(), QueryError> {
        if self.take(text) { Ok(()) } else { Err(self.unexpected(text)) }
    }

    /// Takes characters as long as they fit; perhaps none.
    fn word(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|one: char| !fits(one)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        word
    }

    fn name(&mut self) -> &'a str {
        self.word(|one| one.is_ascii_alphanumeric() || one == '_' || one == ':')
    }

    fn sum(&mut self) -> Result<Expression, QueryError> {
        self.depth += 1;
        if self.depth > MOST {
            return Err(QueryError::Unsupported(format!("nesting of more than {MOST} levels")));
        }
        let mut left = self.product()?;
        while let Some(operator) = self.operator(['+', '-'])? {
            left = Expression::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&mut self, known: [char; 2]) -> Result<Option<char>, QueryError> {
        let Some(operator) = known.into_iter().find(|one| self.rest.starts_with(*one)) else { return Ok(None) };
        self.operators += 1;
        if self.operators > MOST {
            return Err(QueryError::Unsupported(format!("a query with more than {MOST} operators")));
        }
        self.need(&operator.to_string())?;
        Ok(Some(operator))
    }

    fn product(&mut self) -> Result<Expression, QueryError> {
        let mut left = self.atom()?;
        while let Some(operator) = self.operator(['*', '/'])? {
            left = Expression::Binary(operator, Box::new(left), Box::new(self.atom()?));
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Expression, QueryError> {
        if self.take("(") {
            let inner = self.sum()?;
            self.need(")")?;
            return Ok(inner);
        }
        if self.rest.starts_with(|one: char| one.is_ascii_digit() || one == '.') {
            return Ok(Expression::Number(self.number()?));
        }
        match self.name() {
            "" => Err(self.unexpected("an expression")),
            "vector" => {
                self.need("(")?;
                let number = self.number()?;
                self.need(")")?;
                Ok(Expression::Number(number))
            }
            "sum" => self.aggregation(),
            "rate" => {
                self.need("(")?;
                let rate = self.rate()?;
                self.need(")")?;
                Ok(rate)
            }
            "histogram_quantile" => {
                self.need("(")?;
                let rank = self.number()?;
                self.need(",")?;
                let inner = self.sum()?;
                self.need(")")?;
                Ok(Expression::Quantile(rank, Box::new(inner)))
            }
            other if self.rest.starts_with('(') => Err(QueryError::Unsupported(format!("the function {other}"))),
            other => Err(QueryError::Unsupported(format!("the metric {other} outside of rate()"))),
        }
    }

    fn number(&mut self) -> Result<f64, QueryError> {
        let text = self.word(|one| one.is_ascii_digit() || one == '.');
        text.parse().map_err(|_| self.unexpected("a number"))
    }

    /// `sum(x)`, `sum(x) by (le)`, `sum by (le) (x)`.
    fn aggregation(&mut self) -> Result<Expression, QueryError> {
        let before = self.grouping()?;
        self.need("(")?;
        let inner = self.sum()?;
        self.need(")")?;
        let grouped = before || self.grouping()?;
        Ok(Expression::Sum(Box::new(inner), grouped))
    }

    fn grouping(&mut self) -> Result<bool, QueryError> {
        if !self.take("by") {
            return Ok(false);
        }
        self.need("(")?;
        let label = self.word(|one| one != ')');
        self.need(")")?;
        if label.trim() == "le" { Ok(true) } else { Err(QueryError::Unsupported(format!("grouping by {label}"))) }
    }

    fn rate(&mut self) -> Result<Expression, QueryError> {
        let name = self.name();
        let known = METRICS.iter().find(|metric| metric.name == name);
        let metric = known.ok_or_else(|| QueryError::Unsupported(format!("the metric {name:?}")))?;
        let mut matchers = Vec::new();
        if self.take("{") {
            while !self.take("}") {
                matchers.push(self.matcher()?);
                // A comma may also stand before the closing brace.
                if !self.take(",") && !self.rest.starts_with('}') {
                    return Err(self.unexpected("`,` or `}`"));
                }
            }
        }
        self.need("[")?;
        let text = self.word(|one| one != ']');
        self.need("]")?;
        let window = duration(text.trim())
            .ok_or_else(|| QueryError::Syntax(format!("not a valid duration string: {text:?}")))?;
        Ok(Expression::Rate { metric, matchers, window })
    }

    /// A text in double quotes. Backslashes mean themselves.
    fn quoted(&mut self) -> Result<&'a str, QueryError> {
        self.need("\"")?;
        let (text, rest) = self.rest.split_once('"').ok_or_else(|| self.unexpected("a closing quote"))?;
        self.rest = rest.trim_start();
        Ok(text)
    }

    fn matcher(&mut self) -> Result<Matcher, QueryError> {
        let label = self.name().to_owned();
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| self.take(operator));
        let operator = operator.ok_or_else(|| self.unexpected("=, !=, =~ or !~"))?;
        let wanted = self.quoted()?;
        let test = if operator.ends_with('~') {
            let pattern = Regex::new(&format!("^(?:{wanted})$"));
            Test::Pattern(pattern.map_err(|_| QueryError::Syntax(format!("{wanted:?} is no regular expression")))?)
        } else {
            Test::Equal(wanted.to_owned())
        };
        Ok(Matcher { label, negated: operator.starts_with('!'), test })
    }
}

/// `1m`, `1m30s`, `500ms`; more than nothing.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|one: char| !one.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|one: char| one.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(milliseconds)?))?;
        rest = tail;
    }
    (!sum.is_zero()).then_some(sum)
}
