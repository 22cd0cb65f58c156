//! `kubectl-flagger render`: the objects that a Canary produces at given weights, from the user's manifests alone.
//!
//! No cluster and no lab: the providers' own functions are run over the manifests ([`stage`]). Prints what the controller would create or change, whole, in
//! the order in which it would write; values of Secrets are masked, and owner references have no uid, since no Canary has one yet.

mod output;
pub(crate) mod stage;

use crate::given::{self, Given};
use crate::manifests::{self, Manifest, Problem};
use api::{Canary, Rollout, Strategy, derived};
use clap::{Args, ValueEnum};
use output::{Form, Only};
use rollout::{Abilities, Affinity, AffinityAbility, Routes, Weight};
use stage::{Stage, StageError};
use std::path::PathBuf;
use std::process::ExitCode;

/// The objects cannot be rendered.
const IMPOSSIBLE: u8 = 1;
/// The manifests cannot be read, or the command line cannot be followed.
const UNREADABLE: u8 = 2;
/// Stands for the letters that are drawn for each rollout.
const LETTERS: &str = "xxxxxxxxxx";

/// What to render.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// File or folder with manifests, `-` for standard input; may be repeated. A folder with a kustomization is built by kubectl.
    #[arg(short, long = "filename", required = true, value_name = "PATH")]
    filenames: Vec<PathBuf>,
    /// The Canary, as `NAME` or `NAMESPACE/NAME`; needed where there are several.
    #[arg(long, value_name = "NAME")]
    canary: Option<String>,
    /// When: before the first release, in the middle of one, or after it.
    #[arg(long, value_enum, default_value_t = Phase::Step)]
    phase: Phase,
    /// The canary's share of the traffic in percent; by default that of the first step.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    weight: Option<u8>,
    /// As in an A/B test: requests that match `analysis.match` go to the canary.
    #[arg(long = "match", conflicts_with = "weight")]
    matches: bool,
    /// The canary gets copies of the primary's requests.
    #[arg(long)]
    mirror: bool,
    /// The value of the cookies of session affinity; the controller draws ten letters for each rollout.
    #[arg(long, value_name = "LETTERS", default_value = LETTERS)]
    cookie: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Form::Yaml)]
    output: Form,
    /// Print only these, as `KIND` or `KIND/NAME`; may be repeated.
    #[arg(long, value_name = "KIND[/NAME]")]
    only: Vec<Only>,
    /// The provider of Canaries that name none, as the controller's flag `-mesh-provider`.
    #[arg(long, default_value = "istio")]
    provider: String,
    /// The namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Phase {
    /// The primary serves, no release has begun.
    Initialized,
    /// In the middle of a release: both sides run.
    Step,
    /// A release was promoted.
    Promoted,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Failure::Unreadable(problems)) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::from(UNREADABLE)
        }
        Err(Failure::Impossible(problem)) => {
            eprintln!("{problem}");
            ExitCode::from(IMPOSSIBLE)
        }
    }
}

#[derive(Debug)]
enum Failure {
    Unreadable(Vec<Problem>),
    Impossible(Box<Problem>),
}

fn run(options: &Options) -> Result<String, Failure> {
    let manifests = manifests::load(&options.filenames).map_err(Failure::Unreadable)?;
    let given = Given::new(manifests, &options.namespace);
    let unreadable = |problem: Box<Problem>| Failure::Unreadable(vec![*problem]);
    let manifest = chosen(&given, options.canary.as_deref()).map_err(unreadable)?;
    let canary = given.canary(manifest).map_err(unreadable)?;
    let impossible = |error: StageError| {
        let advice = "give all that the Canary needs with -f, or correct it: `kubectl flagger validate` says more";
        Failure::Impossible(Box::new(manifest.problem(error.path, error.text, advice)))
    };
    let stage = staged(options, &given, &canary).map_err(impossible)?;
    for warning in warnings(options, &stage) {
        eprintln!("warning: {warning}");
    }
    output::print(options.output, &stage, &options.only).map_err(|missing| {
        Failure::Unreadable(vec![Problem::about("--only", missing, "`-o names` lists what there is")])
    })
}

/// The Canary that is meant.
fn chosen<'g>(given: &'g Given, wanted: Option<&str>) -> Result<&'g Manifest, Box<Problem>> {
    let all: Vec<&Manifest> = given.of(&objects::kind::CANARY).collect();
    let full = |manifest: &Manifest| format!("{}/{}", given.namespace_of(manifest), manifest.name());
    let fits = |manifest: &&Manifest| wanted.is_none_or(|name| manifest.name() == name || full(manifest) == name);
    let fitting: Vec<&Manifest> = all.iter().copied().filter(fits).collect();
    let names = |list: &[&Manifest]| list.iter().map(|manifest| full(manifest)).collect::<Vec<_>>().join(", ");
    let wrong = |flag: &str, what: String, advice: String| Err(Box::new(Problem::about(flag, what, advice)));
    match fitting.as_slice() {
        [one] => Ok(one),
        [] if all.is_empty() => {
            wrong("-f", "there is no Canary among the manifests".to_owned(), "name its file or folder too".to_owned())
        }
        [] => wrong(
            "--canary",
            "there is no such Canary among the manifests".to_owned(),
            format!("there is {}", names(&all)),
        ),
        many => wrong("--canary", format!("{} Canaries are meant", many.len()), format!("name one of {}", names(many))),
    }
}

fn staged(options: &Options, given: &Given, canary: &Canary) -> Result<Stage, StageError> {
    let mut stage = Stage::new(given, canary, &given::settings(&options.provider))?;
    stage.initialize()?;
    if options.phase == Phase::Initialized {
        return Ok(stage);
    }
    let routes = routes(options, &stage.rollout, &stage.abilities());
    let cookie = routes.affinity.as_ref().and_then(|affinity| affinity.canary.clone());
    stage.scale_up()?;
    stage.route(&routes)?;
    if options.phase == Phase::Promoted {
        stage.promote(cookie)?;
    }
    Ok(stage)
}

/// Where traffic goes: as told, else as in the first step of the Canary's strategy.
fn routes(options: &Options, rollout: &Rollout, abilities: &Abilities) -> Routes {
    let told = options.weight.is_some() || options.matches || options.mirror;
    let analysis = &rollout.analysis;
    let first = match rollout.strategy {
        Strategy::Weighted if analysis.mirror && abilities.mirrors => Routes::mirror(),
        Strategy::Weighted => Routes::weighted(Weight::clipped(derived::next_step(analysis, 0))),
        Strategy::AbTesting if abilities.matches => Routes::weighted(Weight::FULL),
        Strategy::AbTesting | Strategy::BlueGreen if analysis.mirror && abilities.mirrors => Routes::mirror(),
        Strategy::AbTesting | Strategy::BlueGreen => Routes::to_primary(),
    };
    let canary = if options.matches { Weight::FULL } else { Weight::clipped(options.weight.unwrap_or(0).into()) };
    let routes = if told { Routes { canary, mirrored: options.mirror, affinity: None } } else { first };
    Routes { affinity: affinity(options, rollout, abilities).filter(|_| !routes.canary.is_zero()), ..routes }
}

fn affinity(options: &Options, rollout: &Rollout, abilities: &Abilities) -> Option<Affinity> {
    let asked = rollout.analysis.session_affinity.as_ref().filter(|_| abilities.affinity != AffinityAbility::None)?;
    let cookie = |name: &str| Some(format!("{name}={}", options.cookie)).filter(|_| !name.is_empty());
    let primary = asked.primary_cookie_name.as_deref().filter(|_| abilities.affinity == AffinityAbility::Both);
    Some(Affinity { canary: cookie(&asked.cookie_name), primary: primary.and_then(cookie), expired: None })
}

/// What was asked for in vain, by the Canary and by the command line.
fn warnings(options: &Options, stage: &Stage) -> Vec<String> {
    let (abilities, provider) = (stage.abilities(), &stage.rollout.provider);
    let vain = |asked: bool, able: bool, text: &str| {
        (asked && !able).then(|| format!("{text} has no effect: provider {provider} cannot do it"))
    };
    let asked = [
        vain(options.weight.is_some_and(|weight| weight > 0), abilities.shifts, "--weight"),
        vain(options.matches, abilities.matches, "--match"),
        vain(options.mirror, abilities.mirrors, "--mirror"),
    ];
    let no_match = options.matches && stage.rollout.analysis.matches.is_empty();
    let no_match = no_match.then(|| "--match: the Canary has no analysis.match, so all requests match".to_owned());
    abilities.warnings().map(str::to_owned).chain(asked.into_iter().flatten()).chain(no_match).collect()
}
