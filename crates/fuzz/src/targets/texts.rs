//! Small languages in texts: durations, quantities, numbers, command lines, Go templates.

use super::{Outcome, Run, inputs, law, used};
use api::GoDuration;
use controller::flags::{self, Start};
use gotemplate::{Env, Template, Value};
use objects::hash::{self, Generation};
use serde_json::json;
use std::collections::BTreeMap;

/// What a template may yield at most, with what errors quote of it.
const LONGEST_OUTPUT: usize = 2 << 20;

pub(super) fn duration_seeds() -> Vec<Vec<u8>> {
    inputs(["1m", "1h15m30.918273645s", "-1.5h", "+5s", "0", "1ns2us3µs4μs5ms", "2562047h47m16.854775807s", ".5s"])
}

pub(super) fn duration(input: &[u8]) -> Run {
    let text = String::from_utf8_lossy(input);
    match text.parse::<GoDuration>() {
        Ok(duration) => {
            let shown = duration.to_string();
            law(shown.parse() == Ok(duration), || format!("{text:?} is shown as {shown}, which is another duration"))?;
            used((duration.to_std(), duration.to_signed(), duration.as_secs(), duration.as_millis()));
            Ok(Outcome::Read)
        }
        Err(error) => {
            law(error.to_string().len() <= 100 + text.len() * 8, || {
                format!("{} bytes of error", error.to_string().len())
            })?;
            Ok(Outcome::Refused)
        }
    }
}

pub(super) fn quantity_seeds() -> Vec<Vec<u8>> {
    let known = include_str!("../../../objects/tests/vectors/quantities.jsonl").lines().filter_map(|line| {
        let pair: Vec<String> = serde_json::from_str(line).ok()?;
        pair.into_iter().next()
    });
    known.step_by(7).map(String::into_bytes).collect()
}

pub(super) fn quantity(input: &[u8]) -> Run {
    let text = String::from_utf8_lossy(input);
    let limits = json!({"cpu": text, "memory": text, text.as_ref(): "1"});
    let volume = json!({"name": "a", "emptyDir": {"sizeLimit": text}});
    let template =
        json!({"spec": {"containers": [{"name": "a", "resources": {"limits": limits}}], "volumes": [volume]}});
    // One generation after the other would be slow: which one it is follows from the input.
    let generation = Generation::ALL.get(input.len() % Generation::ALL.len()).copied().unwrap_or(Generation::CURRENT);
    let first = hash::pod_template(&template, generation);
    law(first == hash::pod_template(&template, generation), || "another hash the second time".to_owned())?;
    let dump = hash::dump_pod_template(&template, Generation::CURRENT);
    law(dump.len() <= 20_000 + input.len() * 20, || format!("a dump of {} bytes", dump.len()))?;
    Ok(Outcome::Read)
}

pub(super) fn number_seeds() -> Vec<Vec<u8>> {
    inputs(["99", "0.1", "1e21", "-1e-7", "NaN", "inf", "123456789.123456789"])
}

/// The number that the text is, else the one that its first eight bytes are.
pub(super) fn number(input: &[u8]) -> Run {
    let read = std::str::from_utf8(input).ok().and_then(|text| text.parse().ok());
    let raw = input.first_chunk::<8>().map(|bytes| f64::from_bits(u64::from_le_bytes(*bytes)));
    let Some(number) = read.or(raw) else { return Ok(Outcome::Refused) };
    let shown = api::number::shortest(number);
    let same = shown.parse() == Ok(number) || !number.is_finite();
    law(same, || format!("{number:?} is shown as {shown}"))?;
    used(api::number::two_decimals(number));
    used(providers::metrics::gauge_value(rollout::Check::Duration, number));
    Ok(Outcome::Read)
}

pub(super) fn flag_seeds() -> Vec<Vec<u8>> {
    let every: Vec<String> = flags::FLAGS.iter().map(|flag| format!("-{}=1", flag.name)).collect();
    let every = every.join("\n");
    inputs([
        "-log-level=info\n-mesh-provider=istio\n-metrics-server=http://prometheus:9090\n-enable-leader-election=true",
        "--kubeconfig-qps\n100\n--control-loop-interval\n10s\n-selector-labels=app,name\n-threadiness=2",
        "-version",
        "-help",
        "-v=4\n-stderrthreshold=ERROR\n-namespace=test\nrest\n-of=it",
        every.as_str(),
    ])
}

pub(super) fn flags(input: &[u8]) -> Run {
    let text = String::from_utf8_lossy(input);
    let arguments: Vec<String> = text.split('\n').map(str::to_owned).collect();
    match flags::read("flagger", &arguments, |_| Some(text.clone().into_owned())) {
        Start::Run { options, ignored } => {
            law(options.control_loop_interval > GoDuration::ZERO, || "no interval".to_owned())?;
            law(ignored.len() <= arguments.len(), || "more arguments than were given".to_owned())?;
            used((options.settings(true), options.settings(false), options.lease_namespace().to_owned()));
        }
        Start::Print(text) => law(!text.is_empty(), || "nothing to print".to_owned())?,
        Start::Leave { text, code } => law(!text.is_empty() && code <= 2, || format!("left with {code}"))?,
    }
    Ok(Outcome::Read)
}

pub(super) fn template_seeds() -> Vec<Vec<u8>> {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../../gotemplate/tests/golden.json")).unwrap_or_default();
    let cases = golden.get("cases").and_then(serde_json::Value::as_array).into_iter().flatten();
    cases.filter_map(|case| Some(case.get("template")?.as_str()?.as_bytes().to_vec())).collect()
}

pub(super) fn template(input: &[u8]) -> Run {
    let text = String::from_utf8_lossy(input);
    let variables = [("direction", "inbound"), ("my-key", "dashed"), ("empty", ""), ("ünï", "grüße 世界")];
    let variables: BTreeMap<_, _> = variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let env = Env::new()
        .with("name", "podinfo")
        .with("namespace", "test")
        .with("target", "podinfo-app")
        .with("service", "podinfo-svc")
        .with("ingress", "podinfo-ing")
        .with("route", "podinfo-00001")
        .with("interval", "1m")
        .with("variables", Value::Map(variables))
        .with("nothing", Value::NilMap)
        .with("vacant", Value::Map(BTreeMap::new()));
    let length = match Template::parse(&text, &env.names()) {
        Ok(template) => template.execute(&env).map_or_else(|error| error.to_string().len(), |output| output.len()),
        Err(error) => error.to_string().len(),
    };
    law(length <= LONGEST_OUTPUT, || format!("{length} bytes of output"))?;
    Ok(Outcome::Read)
}
