//! What is fuzzed: every reader of foreign bytes, by name, with valid inputs to begin from.
//!
//! A target is pure: what it does follows from its input alone, so that an input that fails once fails always. A panic, a stack that overflows, more than a
//! second and memory without bounds are found outside; a target itself finds broken laws (what is read back differs, what is patched is not what was wanted).

mod canary;
mod decision;
mod documents;
mod lab;
mod laws;
mod objects;
mod outside;
mod texts;
mod trouble;
mod webhooks;

use crate::rng::Rng;
use crate::{mutate, structure};
use serde_json::Value;

/// What a target made of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was read, and all that follows from it was done.
    Read,
    /// It was refused.
    Refused,
}

/// What came of an input, or the law that is broken, in words.
pub type Run = Result<Outcome, String>;

/// How inputs are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As trees mostly, as bytes sometimes.
    Json,
    /// As bytes.
    Bytes,
}

/// One reader.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line, and of its folder in `corpus/`.
    pub name: &'static str,
    /// What is read.
    pub about: &'static str,
    /// How inputs are broken.
    pub form: Form,
    /// Valid inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads one input.
    pub run: fn(&[u8]) -> Run,
}

/// Every reader, by name.
pub static TARGETS: &[Target] = &[
    Target {
        name: "alert-provider",
        about: "AlertProvider, its Secret, answers of receivers",
        form: Form::Json,
        seeds: documents::alert_seeds,
        run: documents::alert,
    },
    Target {
        name: "canary",
        about: "Canary: decoding, validation, all that is derived",
        form: Form::Json,
        seeds: canary::seeds,
        run: canary::run,
    },
    Target {
        name: "configs",
        about: "ConfigMap and Secret: checksums",
        form: Form::Json,
        seeds: objects::config_seeds,
        run: objects::configs,
    },
    Target {
        name: "decision",
        about: "observations of any world: decision and its invariants",
        form: Form::Json,
        seeds: decision::seeds,
        run: decision::run,
    },
    Target {
        name: "diff",
        about: "merge patches: what is patched is what was wanted",
        form: Form::Json,
        seeds: laws::diff_seeds,
        run: laws::diff,
    },
    Target {
        name: "duration",
        about: "Go durations",
        form: Form::Bytes,
        seeds: texts::duration_seeds,
        run: texts::duration,
    },
    Target {
        name: "flags",
        about: "command lines, an argument a line",
        form: Form::Bytes,
        seeds: texts::flag_seeds,
        run: texts::flags,
    },
    Target {
        name: "hook-answer",
        about: "answers of hooks: status, Retry-After, body",
        form: Form::Bytes,
        seeds: outside::hook_seeds,
        run: outside::hook,
    },
    Target {
        name: "lab-protobuf",
        about: "the lab: protobuf bodies",
        form: Form::Bytes,
        seeds: lab::protobuf_seeds,
        run: lab::protobuf,
    },
    Target {
        name: "lab-request",
        about: "the lab: paths, queries, headers, bodies, patches, definitions",
        form: Form::Bytes,
        seeds: lab::request_seeds,
        run: lab::requests,
    },
    Target {
        name: "lab-request-body",
        about: "the lab: bodies broken as trees",
        form: Form::Json,
        seeds: lab::body_seeds,
        run: lab::bodies,
    },
    Target {
        name: "lab-routes",
        about: "the lab: routes, Ingresses and Services, followed by requests",
        form: Form::Json,
        seeds: lab::route_seeds,
        run: lab::routes,
    },
    Target { name: "lab-yaml", about: "the lab: manifests", form: Form::Bytes, seeds: lab::yaml_seeds, run: lab::yaml },
    Target {
        name: "metric-template",
        about: "MetricTemplate, its Secret, the rendered request",
        form: Form::Json,
        seeds: documents::metric_seeds,
        run: documents::metric,
    },
    Target {
        name: "number",
        about: "numbers in texts of events",
        form: Form::Bytes,
        seeds: texts::number_seeds,
        run: texts::number,
    },
    Target {
        name: "objects",
        about: "Canary with its Deployment, HPA, Services, configs and routes: every provider, then the decision",
        form: Form::Json,
        seeds: objects::seeds,
        run: objects::run,
    },
    Target {
        name: "prometheus-answer",
        about: "answers of Prometheus",
        form: Form::Json,
        seeds: outside::prometheus_seeds,
        run: outside::prometheus,
    },
    Target { name: "promql", about: "the lab: queries", form: Form::Bytes, seeds: lab::promql_seeds, run: lab::promql },
    Target {
        name: "quantity",
        about: "resource quantities in pod templates",
        form: Form::Bytes,
        seeds: texts::quantity_seeds,
        run: texts::quantity,
    },
    Target {
        name: "spec-hash",
        about: "pod templates and Service specs: hashes of all generations",
        form: Form::Json,
        seeds: laws::hash_seeds,
        run: laws::hash,
    },
    Target {
        name: "template",
        about: "Go templates: parse and execute",
        form: Form::Bytes,
        seeds: texts::template_seeds,
        run: texts::template,
    },
    Target {
        name: "url",
        about: "addresses of hooks, metric sources, receivers and proxies",
        form: Form::Bytes,
        seeds: outside::url_seeds,
        run: outside::url,
    },
    Target {
        name: "webhook",
        about: "the load tester: payloads, tasks, words of commands",
        form: Form::Json,
        seeds: webhooks::payload_seeds,
        run: webhooks::payload,
    },
];

/// Targets that fail on some inputs on purpose: by them the tests see that failures are found. Only by name.
pub static TROUBLE: &[Target] = &[
    Target {
        name: "trouble-panic",
        about: "panics on a port of 70000",
        form: Form::Json,
        seeds: trouble::seeds,
        run: trouble::panic,
    },
    Target {
        name: "trouble-law",
        about: "breaks a law where a name is missing",
        form: Form::Json,
        seeds: trouble::seeds,
        run: trouble::law,
    },
    Target {
        name: "trouble-stack",
        about: "recurses for ever on a null",
        form: Form::Json,
        seeds: trouble::seeds,
        run: trouble::stack,
    },
    Target {
        name: "trouble-slow",
        about: "works for ever on an empty list",
        form: Form::Json,
        seeds: trouble::seeds,
        run: trouble::slow,
    },
    Target {
        name: "trouble-memory",
        about: "takes all memory on a negative number",
        form: Form::Json,
        seeds: trouble::seeds,
        run: trouble::memory,
    },
];

/// The target of a name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().chain(TROUBLE).find(|target| target.name == name)
}

/// The inputs of one target: first those that once failed, then the valid ones, then broken ones without end.
#[derive(Debug)]
pub struct Inputs {
    target: &'static Target,
    seed: u64,
    kept: Vec<Vec<u8>>,
    trees: Vec<Value>,
}

impl Inputs {
    /// All inputs that follow from a seed. `corpus`: those that once failed.
    pub fn new(target: &'static Target, seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        let kept: Vec<_> = corpus.into_iter().chain((target.seeds)()).collect();
        let trees = kept.iter().filter_map(|input| serde_json::from_slice(input).ok()).collect();
        Self { target, seed, kept, trees }
    }

    /// How many are not broken at random.
    pub fn kept(&self) -> u64 {
        u64::try_from(self.kept.len()).unwrap_or(u64::MAX)
    }

    /// The input of that number: the same for the same seed and the same kept inputs.
    pub fn get(&self, index: u64) -> Vec<u8> {
        if let Some(input) = usize::try_from(index).ok().and_then(|index| self.kept.get(index)) {
            return input.clone();
        }
        let mut rng = Rng::of(self.seed, self.target.name, index);
        if self.target.form == Form::Json && rng.chance(85) {
            let (seed, other) = (rng.pick(&self.trees), rng.pick(&self.trees));
            return structure::json(&mut rng, seed.unwrap_or(&Value::Null), other.unwrap_or(&Value::Null));
        }
        let (seed, other) = (rng.pick(&self.kept), rng.pick(&self.kept));
        let empty = Vec::new();
        mutate::bytes(&mut rng, seed.unwrap_or(&empty), other.unwrap_or(&empty))
    }
}

/// A broken law, unless the condition holds.
fn law(holds: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text()) }
}

/// What is made of a value does not matter, but it must be made.
fn used<T>(value: T) {
    drop(std::hint::black_box(value));
}

/// The input as JSON, if it is.
fn tree(input: &[u8]) -> Option<Value> {
    serde_json::from_slice(input).ok()
}

/// Documents of a YAML text, each as JSON.
fn documents_of(text: &str) -> Vec<Vec<u8>> {
    values_of(text).iter().map(|value| value.to_string().into_bytes()).collect()
}

/// Documents of a YAML text.
fn values_of(text: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    serde_yaml_ng::Deserializer::from_str(text)
        .filter_map(|document| Value::deserialize(document).ok())
        .filter(|value| !value.is_null())
        .collect()
}

/// The texts as inputs.
fn inputs<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Vec<u8>> {
    texts.into_iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_sorted_and_unique() {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }

    /// Otherwise the fuzzer would only ever see the first check of a reader.
    #[test]
    fn valid_inputs_are_read() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            assert!(seeds.len() >= 2, "{} has too few seeds", target.name);
            for seed in seeds {
                assert_eq!(
                    (target.run)(&seed),
                    Ok(Outcome::Read),
                    "{}: {}",
                    target.name,
                    String::from_utf8_lossy(&seed)
                );
            }
        }
    }

    #[test]
    fn an_input_is_the_same_each_time_and_seeds_come_first() {
        for target in TARGETS {
            let (first, second) =
                (Inputs::new(target, 7, vec![b"once".to_vec()]), Inputs::new(target, 7, vec![b"once".to_vec()]));
            assert_eq!(first.get(0), b"once");
            (0..first.kept() + 50)
                .for_each(|index| assert_eq!(first.get(index), second.get(index), "{} {index}", target.name));
        }
    }
}
