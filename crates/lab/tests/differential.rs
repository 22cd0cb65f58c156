//! The lab answers as a real API server did: the scenarios of `tests/differential` are replayed and compared with the recorded answers.
//!
//! That the recordings are true is shown by `.ci/run`, which sends the same requests to a real API server. `tests/differential/README.md` says how to
//! add a scenario.

#![allow(missing_docs, dead_code, unreachable_pub, clippy::indexing_slicing, reason = "shared with a tool for tests")]

#[path = "../examples/differential/masks.rs"]
mod masks;
#[path = "../examples/differential/replay.rs"]
mod replay;
#[path = "../examples/differential/runner.rs"]
mod runner;
#[path = "../examples/differential/scenario.rs"]
mod scenario;

#[tokio::test(start_paused = true)]
async fn the_lab_answers_as_the_real_server() {
    let files = scenario::read(&[]).unwrap();
    let answers = replay::answers_of_lab(&files).await.unwrap();
    let differences = replay::differences(&files, &answers, true).unwrap();
    assert!(differences.is_empty(), "{}", differences.concat());
}

#[test]
fn every_recording_has_its_scenario() {
    for file in scenario::read(&[]).unwrap() {
        let recorded: Vec<String> = scenario::expected(&file.name).unwrap().into_keys().collect();
        let mut names: Vec<String> = file.scenarios.iter().map(|one| one.name.clone()).collect();
        names.sort_unstable();
        assert_eq!(recorded, names, "{}", file.name);
    }
}
