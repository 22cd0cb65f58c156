//! One Canary of a rehearsal: what it asks, whom, and what is answered.

use super::answers::{Answers, Named};
use api::{CanaryMetric, HookType, MetricTemplate, Rollout};
use lab::Lab;
use providers::http::Request;
use providers::{metrics, observers};
use rollout::Check;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longest time that is waited for by itself. Somebody who wants more says so.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Put behind the URL of a hook, so that it is known which one is called: their requests do not say. A fragment is never sent.
const MARK: &str = "#rehearsed-hook-";

/// See the module.
#[derive(Debug)]
pub(super) struct Role {
    /// `NAME.NAMESPACE`.
    pub(super) full_name: String,
    /// The Canary, resolved.
    pub(super) rollout: Rollout,
    /// What is measured.
    pub(super) questions: Vec<Question>,
    /// What is called, in the order of the spec.
    pub(super) hooks: Vec<Hook>,
    /// How often each was asked: by number of question, or of hook.
    asked: Mutex<HashMap<(bool, usize), usize>>,
}

/// A metric of the analysis and its source.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Question {
    /// Name of the metric.
    pub(super) metric: String,
    /// The kind of source, such as `prometheus`.
    pub(super) provider: String,
    /// Its address, without credentials.
    pub(super) address: String,
    /// The rendered query.
    pub(super) query: String,
    /// What passes, in words.
    pub(super) passes: String,
    /// What the source would be asked, if it can be asked at all.
    #[serde(skip)]
    pub(super) url: String,
    #[serde(skip)]
    answers: Answers<Option<f64>>,
    #[serde(skip)]
    bounds: (Option<f64>, Option<f64>),
    /// By what a value is divided for the source: it may count in seconds where the threshold counts in milliseconds.
    #[serde(skip)]
    divisor: f64,
    /// Why the source cannot be asked; then the rollout fails for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// A hook of the analysis.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hook {
    /// Its name.
    pub(super) name: String,
    /// When it is called.
    pub(super) r#type: HookType,
    /// Where, without credentials.
    pub(super) url: String,
    #[serde(skip)]
    answers: Answers<u16>,
}

/// What is asked for on the command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    pub(super) metrics: Vec<Named<Option<f64>>>,
    pub(super) hooks: Vec<Named<u16>>,
}

impl Role {
    /// Reads what the Canary asks; its templates are in the lab.
    pub(super) fn new(rollout: Rollout, lab: &Lab, wishes: &Wishes) -> Self {
        let questions = questions(&rollout, lab, wishes);
        let hooks = rollout.analysis.webhooks.iter().map(|hook| Hook {
            name: hook.name.clone(),
            r#type: hook.kind,
            url: bare(unmarked(&hook.url)),
            answers: wish(&wishes.hooks, &hook.name).unwrap_or_else(|| Answers::InTurn(vec![usual(hook.kind)])),
        });
        let hooks = hooks.collect();
        Self { full_name: rollout.full_name(), rollout, questions, hooks, asked: Mutex::default() }
    }

    /// Twice the time that a release can take by the spec, whatever is answered, but for gates that stay closed: every step, every failed check, both
    /// waits for pods, and ten minutes for the rest; a week at most.
    pub(super) fn patience(&self) -> Duration {
        let rollout = &self.rollout;
        let (mut weight, mut steps) = (0, u64::try_from(rollout.analysis.iterations).unwrap_or_default());
        let most = api::derived::max_weight(&rollout.analysis);
        while weight < most && steps < 1000 {
            weight += api::derived::next_step(&rollout.analysis, weight).max(1);
            steps += 1;
        }
        let back = rollout.analysis.step_weight_promotion;
        let back = if back > 0 { u64::try_from(100 / back).unwrap_or_default() } else { 0 };
        let rounds = steps.saturating_add(back).saturating_add(u64::try_from(rollout.threshold).unwrap_or_default());
        let rounds = u32::try_from(rounds.saturating_add(3)).unwrap_or(u32::MAX);
        let pods = Duration::from_secs(u64::try_from(rollout.progress_deadline_seconds).unwrap_or_default());
        let once = rollout.interval.to_std().saturating_mul(rounds).saturating_add(pods.saturating_mul(2));
        once.saturating_add(Duration::from_secs(600)).saturating_mul(2).min(LONGEST)
    }

    fn asked(&self, key: (bool, usize)) -> usize {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied().unwrap_or_default()
    }

    fn count(&self, key: (bool, usize)) -> usize {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = asked.entry(key).or_default();
        *count += 1;
        *count - 1
    }

    /// The numbers of the questions that a request may ask, each with how often it was asked.
    pub(super) fn may_ask(&self, request: &Request) -> Vec<(usize, usize)> {
        let url = bare(request.url.reveal());
        let same = self.questions.iter().enumerate().filter(|(_, question)| question.url == url);
        same.map(|(index, _)| (index, self.asked((true, index)))).collect()
    }

    /// The question with that number is asked: what is answered (in the unit of the threshold), and whether that passes.
    pub(super) fn measured(&self, index: usize, elapsed: Duration) -> Option<(&Question, Option<f64>, bool)> {
        let question = self.questions.get(index)?;
        let value = question.answers.at(self.count((true, index)), elapsed).flatten();
        Some((question, value, value.is_some_and(|value| question.passes(value))))
    }

    /// The hook with that number, and its answer.
    pub(super) fn called(&self, index: usize, elapsed: Duration) -> Option<(&Hook, u16)> {
        let hook = self.hooks.get(index)?;
        Some((hook, hook.answers.at(self.count((false, index)), elapsed).unwrap_or(200)))
    }
}

impl Question {
    fn passes(&self, value: f64) -> bool {
        self.bounds.0.is_none_or(|least| value >= least) && self.bounds.1.is_none_or(|most| value <= most)
    }

    /// The value as the source tells it.
    pub(super) fn on_the_wire(&self, value: f64) -> f64 {
        value / self.divisor
    }
}

/// What a hook answers if nobody says otherwise: yes, and no where a yes would roll back.
fn usual(kind: HookType) -> u16 {
    if kind == HookType::Rollback { 403 } else { 200 }
}

fn wish<T: Clone>(wishes: &[Named<T>], name: &str) -> Option<Answers<T>> {
    wishes.iter().rev().find(|wish| wish.name == name).map(|wish| wish.answers.clone())
}

/// Marks the URLs of all hooks of a Canary object with numbers.
pub(super) fn mark_hooks(canary: &mut serde_json::Value) {
    for block in ["analysis", "canaryAnalysis"] {
        let hooks = canary.pointer_mut(&format!("/spec/{block}/webhooks")).and_then(serde_json::Value::as_array_mut);
        for (index, hook) in hooks.into_iter().flatten().enumerate() {
            if let Some(serde_json::Value::String(url)) = hook.get_mut("url") {
                url.extend([MARK, &index.to_string()]);
            }
        }
    }
}

/// The number that a URL is marked with.
pub(super) fn mark_of(url: &str) -> Option<usize> {
    url.rsplit_once(MARK)?.1.parse().ok()
}

fn unmarked(url: &str) -> &str {
    url.rsplit_once(MARK).map_or(url, |(url, _)| url)
}

/// A text without marks.
pub(super) fn without_marks(text: &str) -> String {
    let mut parts = text.split(MARK);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| clean.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit())));
    clean
}

/// A URL without user and password.
pub(super) fn bare(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn questions(rollout: &Rollout, lab: &Lab, wishes: &Wishes) -> Vec<Question> {
    let checks = |metric: &CanaryMetric| {
        let built_in = match metric.name.as_str() {
            "request-success-rate" => Some(Check::SuccessRate),
            "request-duration" => Some(Check::Duration),
            _ => None,
        };
        let inline = metric.query.as_deref().is_some_and(|query| !query.is_empty()).then_some(Check::Inline);
        let template = metric.template_ref.is_some().then_some(Check::Template);
        built_in.into_iter().chain(inline).chain(template)
    };
    let metrics = &rollout.analysis.metrics;
    metrics
        .iter()
        .flat_map(|metric| checks(metric).map(move |check| (metric, check)))
        .map(|(metric, check)| question(rollout, metric, check, lab, wishes))
        .collect()
}

fn question(rollout: &Rollout, metric: &CanaryMetric, check: Check, lab: &Lab, wishes: &Wishes) -> Question {
    let bounds = bounds(metric);
    let (provider, request) = request(rollout, metric, check, lab);
    let (url, problem) = match request {
        Ok(request) => (bare(request.url.reveal()), None),
        Err(problem) => (String::new(), Some(problem)),
    };
    let (address, query) = url.split_once("/api/v1/query?query=").unwrap_or((&url, ""));
    let template = metric.template_ref.as_ref().map(|reference| reference.name.as_str());
    let answers = wish(&wishes.metrics, &metric.name).or_else(|| wish(&wishes.metrics, template?));
    let in_seconds = check == Check::Duration && observers::observer(rollout).duration_in_seconds();
    Question {
        metric: metric.name.clone(),
        provider,
        address: address.to_owned(),
        query: decoded(query),
        passes: in_words(bounds),
        answers: answers.unwrap_or_else(|| Answers::InTurn(vec![Some(passing(check, bounds))])),
        bounds,
        divisor: if in_seconds { 1000.0 } else { 1.0 },
        url,
        problem,
    }
}

fn request(rollout: &Rollout, metric: &CanaryMetric, check: Check, lab: &Lab) -> (String, Result<Request, String>) {
    let text = |trouble| match trouble {
        rollout::MetricTrouble::NoValues(text)
        | rollout::MetricTrouble::Failed(text)
        | rollout::MetricTrouble::Setup(text) => text,
    };
    let Some(reference) = metric.template_ref.as_ref().filter(|_| check == Check::Template) else {
        return ("prometheus".to_owned(), metrics::builtin(rollout, metric, check, None).map_err(text));
    };
    let namespace = reference.namespace_or(&rollout.namespace);
    let found = lab.get("metrictemplates.flagger.app", namespace, &reference.name);
    let template = found.and_then(|object| serde_json::from_value::<MetricTemplate>((*object).clone()).ok());
    let Some(template) = template else {
        return (
            String::new(),
            Err(format!("MetricTemplate {}.{namespace} is not among the manifests", reference.name)),
        );
    };
    // Credentials are headers; whom and what is asked does not depend on them.
    let request = metrics::template_request(rollout, metric, &template, None, None).map_err(text);
    (template.spec.provider.kind.clone(), request)
}

/// What passes: the range, or where there is none the threshold, which is a lower bound for the success rate and an upper one otherwise.
fn bounds(metric: &CanaryMetric) -> (Option<f64>, Option<f64>) {
    match &metric.threshold_range {
        Some(range) => (range.min, range.max),
        None if metric.name == "request-success-rate" => (Some(metric.threshold), None),
        None => (None, Some(metric.threshold)),
    }
}

fn in_words(bounds: (Option<f64>, Option<f64>)) -> String {
    match bounds {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("{least} or more"),
        (None, Some(most)) => format!("{most} or less"),
        (None, None) => "anything".to_owned(),
    }
}

/// A value that passes.
fn passing(check: Check, bounds: (Option<f64>, Option<f64>)) -> f64 {
    match bounds {
        (Some(least), _) if check == Check::SuccessRate && least <= 100.0 => bounds.1.unwrap_or(100.0).min(100.0),
        (Some(least), Some(most)) => f64::midpoint(least, most),
        (Some(least), None) => least + least.abs() / 10.0,
        (None, Some(most)) => most - most.abs() / 2.0,
        (None, None) => 1.0,
    }
}

/// A form-encoded text, decoded; what is no UTF-8 is replaced.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or(b'?'),
                _ => b'?',
            },
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
