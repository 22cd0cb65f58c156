//! `kubectl-flagger validate`: everything that can be told about a user's manifests without a cluster.
//!
//! Each check is a function from the manifests to findings; [`rules`] is the table of what they find. Objects of others are looked at only as far as a
//! Canary refers to them. What a release would do to them is found by rendering it (`render`), so that both say the same.

mod analysis;
mod case;
mod finding;
mod hooks;
mod metrics;
mod output;
mod references;
mod routing;
mod rules;
mod schema;
mod words;
mod workload;

use crate::given::{self, Given};
use crate::manifests::{self, Manifest, Problem};
use case::Case;
use clap::Args;
use finding::{Finding, Report};
use objects::kind::{ALERT_PROVIDER, CANARY, METRIC_TEMPLATE};
use output::Form;
use rules::Level;
use schema::Schemas;
use std::path::PathBuf;
use std::process::ExitCode;

/// There are errors.
const ERRORS: u8 = 1;
/// The manifests cannot be read.
const UNREADABLE: u8 = 2;

/// What to validate.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// File or folder with manifests, `-` for standard input; may be repeated. A folder with a kustomization is built by kubectl.
    #[arg(short, long = "filename", required_unless_present = "rules", value_name = "PATH")]
    filenames: Vec<PathBuf>,
    /// How to print findings.
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// Warnings count as errors in the exit code.
    #[arg(long)]
    strict: bool,
    /// Everything that a Canary needs is among the manifests: what is missing is an error.
    #[arg(long)]
    complete: bool,
    /// Leave a rule out; may be repeated.
    #[arg(long, value_name = "RULE")]
    skip: Vec<String>,
    /// The provider of Canaries that name none, as the controller's flag `-mesh-provider`.
    #[arg(long, default_value = "istio")]
    provider: String,
    /// The namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Print the table of rules.
    #[arg(long)]
    rules: bool,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    if options.rules {
        print!("{}", output::rules());
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = options.skip.iter().find(|id| !rules::ALL.iter().any(|rule| rule.id == **id)) {
        eprintln!("--skip: there is no rule {unknown}; `validate --rules` lists them");
        return ExitCode::from(UNREADABLE);
    }
    let mut report = Report::new(options.complete);
    let count = match manifests::load(&options.filenames) {
        Ok(manifests) => {
            let given = Given::new(manifests, &options.namespace);
            check(&given, &options.provider, &mut report);
            given.all().len()
        }
        Err(problems) => {
            for problem in problems {
                report.add_unreadable(&rules::UNREADABLE_INPUT, problem);
            }
            print!("{}", output::print(options.output, &report));
            return ExitCode::from(UNREADABLE);
        }
    };
    report.findings.retain(|finding| !options.skip.iter().any(|id| id == finding.rule.id));
    report.sort();
    print!("{}", output::print(options.output, &report));
    let (errors, warnings) = (report.count(Level::Error), report.count(Level::Warning));
    eprintln!("{} and {} in {}", number(errors, "error"), number(warnings, "warning"), number(count, "object"));
    if errors > 0 || (options.strict && warnings > 0) { ExitCode::from(ERRORS) } else { ExitCode::SUCCESS }
}

/// Something that was found, for commands that need sound manifests.
#[derive(Debug)]
pub(crate) struct Found {
    /// Whether it will not work as it is; else it works, but hardly as it was meant.
    pub(crate) is_error: bool,
    /// Where, what and what to do; the rule's name is at the end.
    pub(crate) problem: Problem,
}

/// What is found in manifests that must be complete. Gateways may be somebody else's and elsewhere: that they are missing is no error.
pub(crate) fn findings(manifests: Vec<Manifest>, namespace: &str, provider: &str, skip: &[String]) -> Vec<Found> {
    let mut report = Report::new(true);
    check(&Given::new(manifests, namespace), provider, &mut report);
    report.sort();
    let wanted = report.findings.into_iter().filter(|finding| !skip.iter().any(|id| id == finding.rule.id));
    let found = wanted.map(|Finding { rule, level, mut problem, .. }| {
        let last = if problem.advice.is_empty() { &mut problem.message } else { &mut problem.advice };
        last.extend([" [", rule.id, "]"]);
        Found { is_error: level == Level::Error && *rule != rules::MISSING_GATEWAY, problem }
    });
    found.collect()
}

fn number(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Every check over all manifests.
fn check(given: &Given, provider: &str, report: &mut Report) {
    let mut schemas = Schemas::new();
    for manifest in given.all() {
        schemas.check(manifest, report);
    }
    for template in given.of(&METRIC_TEMPLATE) {
        metrics::check_template(given, template, report);
    }
    for provider in given.of(&ALERT_PROVIDER) {
        hooks::check_alert_provider(given, provider, report);
    }
    let settings = given::settings(provider);
    for manifest in given.of(&CANARY) {
        let (canary, problems) = given.canary_in_part(manifest);
        let unreadable: Vec<String> = problems.iter().map(|problem| problem.path.clone()).collect();
        for problem in problems {
            // Where the schema found the same field wrong, it says it better.
            let is_same = |told: &manifests::Problem| told.file == problem.file && told.path == problem.path;
            if !report.findings.iter().any(|finding| is_same(&finding.problem)) {
                report.add(&rules::SCHEMA, manifest, &problem.path, problem.message, problem.advice);
            }
        }
        let Some(canary) = canary else { continue };
        let case = Case::new(given, manifest, canary, &settings);
        let before = report.findings.len();
        references::check(&case, report);
        workload::check(&case, report);
        analysis::check(&case, report);
        metrics::check(&case, report);
        hooks::check(&case, report);
        routing::check(&case, report);
        // What is said of a field that could not be read, or of what holds it, is about its absence.
        let is_told = |path: &str| {
            unreadable
                .iter()
                .any(|field| field.starts_with(path) && !path.is_empty() || path.starts_with(field.as_str()))
        };
        let found = report.findings.split_off(before);
        let is_own = |finding: &Finding| finding.problem.file == manifest.source.file && is_told(&finding.problem.path);
        report.findings.extend(found.into_iter().filter(|finding| !is_own(finding)));
    }
}
