//! All scenarios against one server, and what differs from the recordings.

use crate::runner;
use crate::scenario::{self, Answer, Answers, File, Scenario};
use futures::stream::StreamExt;
use kube::Client;
use lab::{Lab, Options};

/// The answers of a new lab without nodes, which has our definitions.
pub async fn answers_of_lab(files: &[File]) -> Result<Vec<Answers>, lab::Failure> {
    let lab = Lab::new(Options { nodes: None, ..Options::default() });
    lab.apply_yaml(include_str!("../../../../artifacts/flagger/crd.yaml"))?;
    Ok(answers(&Client::new(lab.service(), "default"), files).await)
}

/// The answers to all scenarios, by file; several at once, but those about definitions after the others: controllers pause when kinds come and go.
pub async fn answers(client: &Client, files: &[File]) -> Vec<Answers> {
    // Namespaces of this run only: it may be repeated on the same server.
    let run = format!("{:x}", std::process::id());
    let mut answers: Vec<Answers> = files.iter().map(|_| Answers::new()).collect();
    for definitions in [false, true] {
        let numbered = files.iter().enumerate().filter(|(_, file)| (file.name == "definitions") == definitions);
        let scenarios: Vec<(usize, &Scenario)> =
            numbered.flat_map(|(at, file)| file.scenarios.iter().map(move |one| (at, one))).collect();
        let run = &run;
        let some: Vec<(usize, String, Vec<Answer>)> = futures::stream::iter(scenarios)
            .map(|(at, one)| async move {
                let namespace = format!("{}-{run}", one.name);
                (at, one.name.clone(), runner::run(client, one, &namespace).await)
            })
            .buffer_unordered(8)
            .collect()
            .await;
        for (at, name, got) in some {
            answers[at].insert(name, got);
        }
    }
    answers
}

/// What differs from the recordings, one text per scenario.
pub fn differences(files: &[File], answers: &[Answers], is_lab: bool) -> Result<Vec<String>, String> {
    let mut differences = Vec::new();
    for (file, answers) in files.iter().zip(answers) {
        let expected = scenario::expected(&file.name)?;
        for one in &file.scenarios {
            let of = |answers: &Answers| answers.get(&one.name).cloned().unwrap_or_default();
            let got = of(answers);
            let wanted = if is_lab { scenario::lab_expected(one, &of(&expected), &got) } else { of(&expected) };
            differences.push(scenario::difference(&one.name, &wanted, &got));
        }
    }
    differences.retain(|text| !text.is_empty());
    Ok(differences)
}

/// How much there is.
pub fn count(answers: &[Answers]) -> String {
    let scenarios: usize = answers.iter().map(Answers::len).sum();
    let requests: usize = answers.iter().flat_map(Answers::values).map(Vec::len).sum();
    format!("{scenarios} scenarios, {requests} requests")
}
