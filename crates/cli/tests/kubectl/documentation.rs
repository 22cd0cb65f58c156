//! What the documentation says is done: its commands are run on the lab, its manifests are validated.
//!
//! Blocks ```` ```sh ```` are commands. Each page has a lab of its own, with the controller, and its commands are run there in order, in the root of the repository; each must
//! end well, or with 1 where it says `# rolled back`. Those that cannot be run are told by [`ELSEWHERE`]. Blocks ```` ```yaml ```` with objects of ours are
//! validated. Blocks without a language are output, or have something in CAPITALS to be put in.

use crate::cluster::{Cluster, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Pages with commands that are not tried here, and why.
const PAGES_ELSEWHERE: &[(&str, &str)] = &[
    ("lab.md", "starts labs itself; its commands are those of the other tests in this folder"),
    ("load-generator.md", "belongs to the load tester, and is tried with it"),
    ("load-testing.md", "belongs to the load tester, and is tried with it"),
    ("performance.md", "hours of measurements"),
    ("install.md", "belongs to the charts, and is tried with them on a real API server"),
];

/// Commands that are not run here, by what is in them, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("helm ", "charts are tried with helm, on a real API server"),
    ("flux ", "needs Flux and a git server"),
    ("port-forward", "the lab runs no containers"),
    (" logs ", "the lab runs no containers"),
    ("--watch", "does not end; kubectl's watch of a release is another test"),
    ("for=condition=promoted", "minutes of real time, and a load tester; the rehearsals beside it take both"),
    ("cargo ", "builds the program"),
    ("docker ", "needs a container engine; what the Dockerfiles describe is run by tests/images"),
];

fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let of = |path: PathBuf| if path.is_dir() { pages(&path) } else { vec![path] };
    paths.into_iter().flat_map(of).filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The blocks of a language, with the numbers of the lines on which they begin.
fn blocks(page: &Path, language: &str) -> Vec<(usize, String)> {
    let (text, fence) = (fs::read_to_string(page).unwrap(), format!("```{language}"));
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if line.trim_start() == fence {
            let block: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim_start() != "```").collect();
            blocks.push((number, block.join("\n")));
        } else if line.trim_start().starts_with("```") {
            lines.by_ref().find(|(_, line)| line.trim_start() == "```");
        }
    }
    blocks
}

/// The commands of a page, lines that end with a backslash joined.
fn commands(page: &Path) -> Vec<String> {
    let text: Vec<String> = blocks(page, "sh").into_iter().map(|(_, block)| block.replace("\\\n", " ")).collect();
    let lines = text.iter().flat_map(|block| block.lines()).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Runs the commands of a page; what goes wrong is the answer.
fn follow(page: &Path, number: usize) -> Vec<String> {
    let tried: Vec<String> = commands(page)
        .into_iter()
        .filter(|command| !ELSEWHERE.iter().any(|(part, _)| command.contains(part)))
        .collect();
    if tried.is_empty() {
        return Vec::new();
    }
    let Some(cluster) = Cluster::start(&format!("page-{number}"), &["--controller"]) else { return Vec::new() };
    let mut failures = Vec::new();
    for line in tried {
        let (command, wanted) = if line.ends_with("# rolled back") { (line.as_str(), 1) } else { (line.as_str(), 0) };
        let (shown, code) = cluster.run(&format!("cd \"$ROOT\"; {command}"));
        if code != wanted {
            failures.push(format!("{}: {command}\nends with {code}:\n{shown}", page.display()));
        }
    }
    failures
}

#[test]
fn what_the_pages_say_is_done() {
    let is_tried = |page: &PathBuf| !PAGES_ELSEWHERE.iter().any(|(name, _)| page.ends_with(name));
    let pages: Vec<PathBuf> = pages(&root().join("docs")).into_iter().filter(is_tried).collect();
    assert!(pages.iter().filter(|page| !commands(page).is_empty()).count() >= 9, "{pages:?}");
    let queue = std::sync::Mutex::new(pages.into_iter().enumerate().collect::<Vec<_>>());
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some((number, page)) = queue.lock().unwrap().pop() else { return };
                    let found = follow(&page, number);
                    failures.lock().unwrap().extend(found);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn manifests_in_the_pages_are_valid() {
    let mut tried = 0;
    for page in pages(&root().join("docs")) {
        for (line, block) in blocks(&page, "yaml") {
            if !block.contains("apiVersion: flagger.app/") {
                continue;
            }
            tried += 1;
            let file = std::env::temp_dir().join(format!("page-{}-{line}-{tried}.yaml", std::process::id()));
            fs::write(&file, &block).unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_kubectl-flagger"))
                .args(["validate", "-f"])
                .arg(&file)
                .output()
                .unwrap();
            fs::remove_file(&file).unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{}:{line}: {said}", page.display());
        }
    }
    assert!(tried >= 4, "{tried}");
}

/// What a page or a README links to, and the examples that it names, are there.
#[test]
fn links_lead_somewhere() {
    let root = root();
    let mut texts = [pages(&root.join("docs")), pages(&root.join("examples"))].concat();
    texts.extend([root.join("README.md"), root.join("ARCHITECTURE.md")]);
    let mut followed = 0;
    for page in texts {
        let text = fs::read_to_string(&page).unwrap();
        // What stands in code is no link.
        let prose: String = text.split('`').step_by(2).collect();
        for part in prose.split("](").skip(1) {
            let target = part.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            assert!(page.parent().unwrap().join(target).exists(), "{}: {target}", page.display());
            followed += 1;
        }
    }
    assert!(followed >= 100, "only {followed} links were found");
}
