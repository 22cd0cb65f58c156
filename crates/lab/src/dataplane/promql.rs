//! As much of PromQL as the built-in queries of meshes need, over the samples of this data plane.
//!
//! Numbers, `+ - * /`, parentheses, `vector(n)`, `sum(..)` (also `by (le)`), `rate(metric{matchers}[window])` and `histogram_quantile(q, ..)`; everything
//! else is refused in words. Unlike Prometheus, rates are not extrapolated, quantiles are exact (nearest rank) instead of read off buckets, and a division
//! by zero yields no result. As there, a series exists from its first sample: matchers that have never met one yield no result.
//! Source: <https://prometheus.io/docs/prometheus/latest/querying/basics/>

mod metrics;
mod parse;

use super::Samples;
use metrics::{Metric, Shape};
use regex::Regex;
use std::time::Duration;
use tokio::time::Instant;

/// Why a query cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Not written as PromQL is, or with something that is not understood here.
    #[error("parse error: {0}")]
    Syntax(String),
    /// A function that does not go with what it is given.
    #[error("{0} is not supported by the lab")]
    Unsupported(String),
}

/// Evaluates a query at this moment. `None`: there is nothing to tell.
pub fn evaluate(query: &str, samples: &Samples) -> Result<Option<f64>, QueryError> {
    match value(&parse::parse(query)?, samples, Instant::now())? {
        Value::Number(number) => Ok(number.filter(|number| number.is_finite())),
        Value::Histogram(_) => Err(QueryError::Unsupported("a histogram as the result".to_owned())),
    }
}

/// A query, read.
#[derive(Debug, Clone)]
enum Expression {
    Number(f64),
    /// `rate(metric{matchers}[window])`.
    Rate {
        metric: &'static Metric,
        matchers: Vec<Matcher>,
        window: Duration,
    },
    /// `sum(..)`; true: `by (le)`.
    Sum(Box<Expression>, bool),
    Quantile(f64, Box<Expression>),
    Binary(char, Box<Expression>, Box<Expression>),
}

#[derive(Debug, Clone)]
struct Matcher {
    label: String,
    negated: bool,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Equal(String),
    Pattern(Regex),
}

impl Matcher {
    /// A label that is not there counts as empty.
    fn holds(&self, labels: &[(&'static str, String)]) -> bool {
        let seen = labels.iter().find(|(name, _)| *name == self.label).map_or("", |(_, value)| value.as_str());
        let met = match &self.test {
            Test::Equal(wanted) => seen == wanted,
            Test::Pattern(pattern) => pattern.is_match(seen),
        };
        met != self.negated
    }
}

enum Value {
    Number(Option<f64>),
    /// Latencies in the metric's unit, sorted.
    Histogram(Vec<f64>),
}

fn value(expression: &Expression, samples: &Samples, now: Instant) -> Result<Value, QueryError> {
    let number = |expression: &Expression| match value(expression, samples, now)? {
        Value::Number(number) => Ok(number),
        Value::Histogram(_) => Err(QueryError::Unsupported("arithmetic with histograms".to_owned())),
    };
    Ok(match expression {
        Expression::Number(constant) => Value::Number(Some(*constant)),
        Expression::Rate { metric, matchers, window } => rate(metric, matchers, *window, samples, now),
        Expression::Sum(inner, by_bucket) => match (value(inner, samples, now)?, by_bucket) {
            (Value::Histogram(_), false) => return Err(QueryError::Unsupported("the sum over all buckets".to_owned())),
            (found, _) => found,
        },
        Expression::Quantile(rank, inner) => match value(inner, samples, now)? {
            Value::Histogram(latencies) => Value::Number(quantile(*rank, &latencies)),
            Value::Number(_) => {
                return Err(QueryError::Unsupported("histogram_quantile of what is no histogram".to_owned()));
            }
        },
        Expression::Binary(operator, left, right) => {
            let (left, right) = (number(left)?, number(right)?);
            Value::Number(left.zip(right).map(|(left, right)| match operator {
                '+' => left + right,
                '-' => left - right,
                '*' => left * right,
                _ => left / right,
            }))
        }
    })
}

fn rate(metric: &Metric, matchers: &[Matcher], window: Duration, samples: &Samples, now: Instant) -> Value {
    let (mut exists, mut latencies) = (false, Vec::new());
    samples.visit(|sample| {
        let labels = (metric.labels)(sample);
        if !labels.is_empty() && matchers.iter().all(|matcher| matcher.holds(&labels)) {
            exists = true;
            if now.duration_since(sample.at) <= window {
                latencies.push(sample.latency.as_secs_f64() * metric.per_second);
            }
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let count = latencies.len() as f64;
    let per_second = |number: f64| Value::Number(exists.then(|| number / window.as_secs_f64()));
    match metric.shape {
        Shape::Count => per_second(count),
        Shape::Sum => per_second(latencies.iter().sum()),
        Shape::Histogram => {
            latencies.sort_by(f64::total_cmp);
            Value::Histogram(latencies)
        }
    }
}

/// The nearest rank; `None` of nothing.
fn quantile(rank: f64, sorted: &[f64]) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a count of requests"
    )]
    let place = (rank.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests;
