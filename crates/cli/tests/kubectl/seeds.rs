//! What five public documents show at the command line, on the lab; the transcripts are in `seeds.txt`. What happens in a release is tested in simulated
//! time, by the same numbers, in `crates/runtime/tests/seeds`.

use crate::cluster::{Cluster, root};
use controller::version;

const TRANSCRIPTS: &str = "seeds.txt";

/// Runs these parts on a lab of their own.
fn follow(name: &str, arguments: &[&str], parts: &[&str]) {
    let Some(cluster) = Cluster::start(name, arguments) else { return };
    for part in parts {
        cluster.follow_part(TRANSCRIPTS, part);
    }
}

/// Whatever is newer than 1.11 is taken; what is older is refused, with the version in the text. Admission controllers need not be named: every cluster of
/// such an age has them.
#[test]
fn s000_01_clusters_that_are_old_enough() {
    for text in ["v1.11.0", "v1.16.15-eks-ad4801", "v1.18.0", "v1.36.0"] {
        assert!(version::check(text).is_ok(), "{text}");
    }
    let refused = version::check("v1.10.13").unwrap_err().to_string();
    assert_eq!(refused, "Unsupported version of kubernetes detected.  Expected ^1.11.0, got v1.10.13");
}

#[test]
fn s000_06_and_s000_10_a_cluster_from_files_and_a_release() {
    follow("s000-06", &["--controller"], &["S000-06", "S000-10"]);
}

#[test]
fn s000_13_versions_and_fields_of_old() {
    follow("s000-13", &[], &["S000-13"]);
}

/// What a Canary does is in the log, a line for each thing. In a cluster each line is an object with the text in `msg` (`logs deploy/flagger -f | jq .msg`);
/// where somebody reads along, as here, columns. The former is tried with the binary, in `another_process_runs_a_release_too`.
#[test]
fn s000_15_the_log() {
    let Some(cluster) = Cluster::start("s000-15", &["--controller"]) else { return };
    cluster.follow_part(TRANSCRIPTS, "S000-06");
    cluster.follow_part(TRANSCRIPTS, "S000-10");
    let log = cluster.log();
    let ours = log.lines().filter(|line| line.contains(r#"{"canary":"backend.prod""#));
    let messages: Vec<&str> = ours.filter_map(|line| line.split('\t').nth(3)).collect();
    let mut rest = messages.iter();
    for wanted in [
        "backend-primary.prod not ready: waiting for rollout to finish: ",
        "Initialization done! backend.prod",
        "New revision detected! Scaling up backend.prod",
        "canary deployment backend.prod not ready: waiting for rollout to finish: ",
        "Starting canary analysis for backend.prod",
        "Advance backend.prod canary weight 5",
    ] {
        assert!(
            rest.any(|message| message.starts_with(wanted)),
            "{wanted:?} is missing, or out of order, in {messages:#?}"
        );
    }
}

#[test]
fn s000_16_and_s001_15_all_canaries_of_a_cluster() {
    follow("s000-16", &[], &["S000-16"]);
    follow("s001-15", &[], &["S001-15"]);
}

#[test]
fn s001_18_and_s001_16_a_job_that_waits_for_a_release() {
    follow("s001-18", &["--controller"], &["S001-18"]);
}

#[test]
fn s002_01_definitions_by_themselves() {
    follow("s002-01", &[], &["S002-01"]);
}

#[test]
fn s002_09_columns() {
    follow("s002-09", &[], &["S002-09"]);
}

#[test]
fn s003_04_to_s003_10_an_application_by_kustomize_and_its_release() {
    let Some(cluster) = Cluster::start("s003-04", &["--controller"]) else { return };
    cluster.follow_part(TRANSCRIPTS, "S003-04");
    let mut canaries = cluster.watch("kubectl -n catalog get canaries --watch --request-timeout=60s");
    canaries.until(&["catalog", "Initialized", "0"]);
    cluster.follow_part(TRANSCRIPTS, "S003-08");
    canaries.until(&["catalog", "Progressing", "0"]);
}

#[test]
fn s003_15_an_interval_in_the_wrong_place() {
    follow("s003-15", &[], &["S003-15"]);
}

#[test]
fn s004_02_to_s004_05_an_application_by_kustomize_and_six_canaries() {
    follow("s004-02", &["--controller"], &["S004-02"]);
}

/// The numbers that are named by a test, here or in `crates/runtime/tests/seeds`, and those that docs/seeds.md explains: together they are all.
#[test]
fn every_number_has_a_test_or_a_reason() {
    let mut named = String::new();
    for folder in ["crates/runtime/tests/seeds", "crates/cli/tests/kubectl"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                named.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let explained = std::fs::read_to_string(root().join("docs/seeds.md")).unwrap();
    for (document, last) in [(0, 21), (1, 22), (2, 15), (3, 20), (4, 14)] {
        for number in 1..=last {
            let tested = named.contains(&format!("s{document:03}_{number:02}"));
            let row = format!("| S{document:03}-{number:02} ");
            assert!(
                tested || explained.contains(&row),
                "S{document:03}-{number:02} has neither a test nor a row in docs/seeds.md"
            );
        }
    }
}
