//! Forms of output, switches, and exit codes.

use super::breaking::{Broken, Outcome, examples, run, validate};
use serde_json::{Value, json};

/// One error and one warning.
fn broken() -> Broken {
    Broken::of("kubernetes-blue-green").replace("canary.yaml", "threshold: 2", "threshold: 0").replace(
        "canary.yaml",
        "http://approvals.ledger/releases/ledger",
        "approvals.ledger/50%,\\nsure",
    )
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {}", outcome.stdout))
}

#[test]
fn machines_get_every_part_of_a_finding() {
    let found = json(&validate(&broken(), &["-o", "json"]));
    assert_eq!(found["summary"], json!({"errors": 1, "warnings": 1}));
    assert_eq!(
        found["findings"][0],
        json!({
            "rule": "threshold-zero",
            "level": "warning",
            "file": "./canary.yaml",
            "line": 19,
            "column": 5,
            "object": "Canary ledger/ledger",
            "path": "spec.analysis.threshold",
            "message": "0 counts as 1: the first failed check ends the release",
            "advice": "write the number of failed checks that ends it",
        })
    );
}

#[test]
fn github_gets_annotations() {
    let outcome = validate(&broken(), &["-o", "github"]);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "::warning file=./canary.yaml,line=19,col=5,title=threshold-zero::spec.analysis.threshold: 0 counts as 1: \
         the first failed check ends the release; write the number of failed checks that ends it"
    );
    assert!(lines[1].starts_with("::error file=./canary.yaml,line=38,col=7,title=hook-request::"), "{}", lines[1]);
    assert_eq!(lines.len(), 2);
}

/// What GitHub's code scanning asks for: the version, a name, rules with texts, and for each result its rule, a message and a region with all four numbers.
#[test]
fn code_scanning_gets_sarif() {
    let sarif = json(&validate(&broken(), &["-o", "sarif"]));
    assert_eq!(sarif["version"], "2.1.0");
    let (run, driver) = (&sarif["runs"][0], &sarif["runs"][0]["tool"]["driver"]);
    assert_eq!(driver["name"], "kubectl-flagger validate");
    for rule in driver["rules"].as_array().unwrap() {
        for text in ["/id", "/shortDescription/text", "/fullDescription/text", "/help/text"] {
            assert!(rule.pointer(text).is_some_and(|text| !text.as_str().unwrap().is_empty()), "{rule}");
        }
        assert!(rule["fullDescription"]["text"].as_str().unwrap().len() <= 1024, "{rule}");
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
        assert!(result["message"]["text"].is_string());
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "canary.yaml", "relative, without ./");
        for number in ["startLine", "startColumn", "endLine", "endColumn"] {
            assert!(place["region"][number].as_u64().is_some_and(|number| number > 0), "{place}");
        }
        assert!(result["partialFingerprints"]["primaryLocationLineHash"].is_string());
    }
    assert_eq!(results[0]["level"], "warning");
    assert_eq!(results[0]["locations"][0]["physicalLocation"]["region"]["startLine"], 19);
}

/// Code scanning tells by the fingerprint that a finding is the same when lines above it change.
#[test]
fn a_finding_that_moves_keeps_its_fingerprint() {
    let fingerprint = |broken: &Broken| {
        let sarif = json(&validate(broken, &["-o", "sarif"]));
        let result = sarif["runs"][0]["results"][0].clone();
        (result["partialFingerprints"].clone(), result["locations"][0]["physicalLocation"]["region"].clone())
    };
    let moved = broken().replace("canary.yaml", "apiVersion: flagger", "# A line more.\napiVersion: flagger");
    let (one, other) = (fingerprint(&broken()), fingerprint(&moved));
    assert_eq!(one.0, other.0);
    assert_ne!(one.1, other.1);
}

#[test]
fn input_that_cannot_be_read_is_a_finding_in_every_form() {
    let unreadable = Broken::of("kubernetes-blue-green").add("z.yaml", "a: [1\n");
    let found = validate(&unreadable, &["-o", "json"]);
    assert_eq!(found.code, 2);
    let finding = json(&found)["findings"][0].clone();
    assert_eq!((finding["rule"].as_str(), finding["file"].as_str()), (Some("unreadable-input"), Some("./z.yaml")));
    let sarif = json(&validate(&unreadable, &["-o", "sarif"]));
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "unreadable-input");
    assert!(validate(&unreadable, &["-o", "github"]).stdout.starts_with("::error file=./z.yaml"));
}

#[test]
fn warnings_end_with_0_unless_they_count() {
    let warning = Broken::of("kubernetes-blue-green").replace("canary.yaml", "threshold: 2", "threshold: 0");
    assert_eq!(validate(&warning, &[]).code, 0);
    assert_eq!(validate(&warning, &["--strict"]).code, 1);
    let skipped = validate(&warning, &["--strict", "--skip", "threshold-zero"]);
    assert_eq!((skipped.code, skipped.stdout.as_str()), (0, ""));
    let unknown = validate(&warning, &["--skip", "treshold"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("there is no rule treshold"), "{}", unknown.stderr);
}

#[test]
fn what_is_missing_is_an_error_where_everything_is_given() {
    let missing =
        Broken::of("catalog").replace("canary.yaml", "        name: latency\n    w", "        name: slow\n    w");
    assert_eq!(validate(&missing, &[]).code, 0);
    let complete = validate(&missing, &["--complete"]);
    assert_eq!(complete.code, 1);
    assert!(complete.stdout.contains(": error: spec.analysis.metrics[1].templateRef.name: "), "{}", complete.stdout);
}

/// `docs/validate.md` has the table that the program prints.
#[test]
fn the_documentation_lists_the_rules() {
    let rules = run(&examples(), &["validate", "--rules"]);
    assert_eq!(rules.code, 0);
    let page = std::fs::read_to_string(examples().join("../docs/validate.md")).unwrap();
    assert!(
        page.contains(&rules.stdout),
        "docs/validate.md is stale: replace its table by what `kubectl-flagger validate --rules` prints"
    );
}

/// A rule that no test finds may be one that finds nothing.
#[test]
fn every_rule_is_found_by_a_test() {
    let sources = [
        include_str!("analysis.rs"),
        include_str!("references.rs"),
        include_str!("schema.rs"),
        include_str!("world.rs"),
    ]
    .concat();
    let rules = run(&examples(), &["validate", "--rules"]).stdout;
    let ids = rules.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(id, _)| id);
    let untested: Vec<&str> = ids.filter(|id| !sources.contains(&format!("[{id}]"))).collect();
    assert_eq!(untested, [""; 0]);
}
