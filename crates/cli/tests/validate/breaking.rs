//! Manifests with something broken in a copy of them, and the program run on it: the examples, and `catalog` beside this file, which is broken in most of
//! the ways and so need not change when an example does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The examples of the repository.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// Changes to an example.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    files: Vec<(String, String)>,
}

impl Broken {
    /// The manifests of an example or of `catalog`, nothing broken yet.
    pub(crate) fn of(example: &str) -> Self {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/validate").join(example);
        let folder = if own.is_dir() { own } else { examples().join(example) };
        let paths = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let paths = paths.map(|entry| entry.unwrap().path());
        let manifests = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        let mut files: Vec<(String, String)> = manifests
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
            .collect();
        files.sort();
        Self { files }
    }

    /// The manifests of an example with one of its Canaries as `canary.yaml`.
    pub(crate) fn with_app(example: &str, canary: &str) -> Self {
        let content = fs::read_to_string(examples().join(example).join(canary)).unwrap();
        Self::of(&format!("{example}/app")).add("canary.yaml", &content)
    }

    /// No file yet.
    pub(crate) fn nothing() -> Self {
        Self { files: Vec::new() }
    }

    /// The contents of all files.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(_, content)| content.as_str())
    }

    /// Every occurrence of a text in a file; there must be one.
    pub(crate) fn replace(mut self, file: &str, from: &str, to: &str) -> Self {
        let (_, content) = self.files.iter_mut().find(|(name, _)| name == file).expect("the file is in the example");
        assert!(content.contains(from), "{file} has no `{from}`");
        *content = content.replace(from, to);
        self
    }

    /// One more file.
    pub(crate) fn add(mut self, file: &str, content: &str) -> Self {
        self.files.push((file.to_owned(), content.to_owned()));
        self
    }

    /// The same file again under another name.
    pub(crate) fn copy(self, file: &str, name: &str) -> Self {
        let content = self.files.iter().find(|(own, _)| own == file).expect("the file is in the example").1.clone();
        self.add(name, &content)
    }

    fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (name, content) in &self.files {
            fs::write(folder.join(name), content).unwrap();
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code.
    pub(crate) code: i32,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it said besides.
    pub(crate) stderr: String,
}

/// Runs a command of `kubectl-flagger` in a folder.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Outcome {
    let output =
        Command::new(env!("CARGO_BIN_EXE_kubectl-flagger")).args(arguments).current_dir(folder).output().unwrap();
    Outcome {
        code: output.status.code().expect("it ended by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Validates broken manifests, in a folder of their own that is gone afterwards.
pub(crate) fn validate(broken: &Broken, arguments: &[&str]) -> Outcome {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broken-{}-{number}", std::process::id()));
    broken.write(&folder);
    let outcome = run(&folder, &[&["validate", "-f", "."], arguments].concat());
    fs::remove_dir_all(&folder).unwrap();
    outcome
}
