//! Compares a server with the recorded answers of the scenarios in `tests/differential`, or records them anew.
//!
//! `cargo run -p lab --example differential -- lab [FILE...]`: the lab. `... -- compare KUBECONFIG [FILE...]`: a real API server, which has our
//! definitions. `... -- record KUBECONFIG [FILE...]`: writes its answers. `... -- masks`: lists what is not compared, and why.
//! `tests/differential/run.py` starts such a server and calls this.

#![allow(missing_docs, unreachable_pub, clippy::indexing_slicing, reason = "a tool for tests")]

mod masks;
mod replay;
mod runner;
mod scenario;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use replay::answers;
use scenario::{Answers, File};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let names = |from: usize| arguments.get(from..).unwrap_or_default().to_vec();
    match words.as_slice() {
        ["lab", ..] => {
            let files = scenario::read(&names(1))?;
            let answers = replay::answers_of_lab(&files).await?;
            report(&files, &answers, true)
        }
        ["compare", kubeconfig, ..] => {
            let files = scenario::read(&names(2))?;
            let answers = answers(&client(kubeconfig).await?, &files).await;
            report(&files, &answers, false)
        }
        ["record", kubeconfig, ..] => {
            let files = scenario::read(&names(2))?;
            for (file, answers) in files.iter().zip(answers(&client(kubeconfig).await?, &files).await) {
                if let Some(broken) = answers.values().flatten().find(|answer| answer.status == 0) {
                    return Err(format!("{}: {}: {}", file.name, broken.to, broken.body).into());
                }
                scenario::write_expected(&file.name, &answers)?;
                println!("recorded {} of {}", replay::count(&[answers]), file.name);
            }
            Ok(())
        }
        ["masks"] => {
            list_masks(&scenario::read(&[])?);
            Ok(())
        }
        _ => {
            Err("differential lab [FILE...] | compare KUBECONFIG [FILE...] | record KUBECONFIG [FILE...] | masks"
                .into())
        }
    }
}

async fn client(kubeconfig: &str) -> Outcome<Client> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    Ok(Client::try_from(config)?)
}

fn report(files: &[File], answers: &[Answers], is_lab: bool) -> Outcome<()> {
    let differences = replay::differences(files, answers, is_lab)?;
    print!("{}", differences.concat());
    println!("{}, {} scenarios differ from the recording", replay::count(answers), differences.len());
    if differences.is_empty() { Ok(()) } else { Err(format!("{} scenarios differ", differences.len()).into()) }
}

fn list_masks(files: &[File]) {
    for scenario in files.iter().flat_map(|file| &file.scenarios) {
        for step in &scenario.steps {
            for (pointer, why) in &step.mask {
                println!("{}: {}: {pointer}: {why}", scenario.name, step.send);
            }
            for why in step.texts.iter().chain(&step.lab) {
                println!("{}: {}: {why}", scenario.name, step.send);
            }
        }
    }
}
