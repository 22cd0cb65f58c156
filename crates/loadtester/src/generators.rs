//! `hey` and `ghz`: this program is these commands as well, so that they are there whether or not they are installed.
//!
//! A private folder with links to our own file stands first in the `PATH` of every command that a task runs.
//! Where no folder can be made, shells get functions of these names instead (which `xargs`, `timeout` and the like do not see).

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use load::COMMANDS;

/// The command, and its arguments, if this program was started as one: by its own name, or as `loadtester COMMAND ...`.
pub fn called(program: &str, arguments: &[String]) -> Option<(&'static str, Vec<String>)> {
    let name = Path::new(program).file_name()?.to_str()?;
    let known = |name: &str| COMMANDS.iter().copied().find(|command| *command == name);
    if let Some(command) = known(name) {
        return Some((command, arguments.to_vec()));
    }
    let (first, rest) = arguments.split_first()?;
    Some((known(first)?, rest.to_vec()))
}

/// A folder of links that goes when this does.
#[derive(Debug)]
pub struct Links(PathBuf);

impl Links {
    /// Makes the links in the first of `places` where that works.
    pub fn new(places: &[PathBuf], program: &Path) -> io::Result<Self> {
        let mut last = io::Error::other("no place for them");
        for place in places {
            match make(place, program) {
                Ok(folder) => return Ok(Self(folder)),
                Err(error) => last = io::Error::new(error.kind(), format!("{}: {error}", place.display())),
            }
        }
        Err(last)
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Removes them, before the process ends in a hurry.
    pub fn remove(&self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.remove();
    }
}

fn make(place: &Path, program: &Path) -> io::Result<PathBuf> {
    let folder = place.join(format!("loadtester-{}", std::process::id()));
    // One of a former process with the same number (in a container: always the same), that ended in a hurry.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    for command in COMMANDS {
        symlink(program, folder.join(command))?;
    }
    Ok(folder)
}

/// Where links may be made: where temporary files belong, and where containers with a read-only root still have memory.
pub fn places() -> Vec<PathBuf> {
    vec![std::env::temp_dir(), PathBuf::from("/dev/shm")]
}

/// Definitions of functions with the names of the commands, for shells. Empty if `program` is no text.
pub fn functions(program: &Path) -> String {
    let mut text = String::new();
    let Some(program) = program.to_str() else { return text };
    let quoted = program.replace('\'', r"'\''");
    for command in COMMANDS {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{command}() {{ '{quoted}' {command} \"$@\"; }}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(program: &str, arguments: &[&str]) -> Option<(&'static str, Vec<String>)> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        called(program, &arguments)
    }

    #[test]
    fn a_generator_is_called_by_its_name_or_as_the_first_argument() {
        assert_eq!(call("./loadtester", &["-port=8080"]), None);
        assert_eq!(call("loadtester", &["-port", "hey"]), None);
        assert_eq!(call("/somewhere/hey", &["-z", "1m"]), Some(("hey", vec!["-z".into(), "1m".into()])));
        assert_eq!(call("/bin/loadtester", &["ghz", "hey"]), Some(("ghz", vec!["hey".into()])));
    }

    #[test]
    fn links_are_made_where_that_works_and_go() {
        let root = std::env::temp_dir().join(format!("links-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&root).unwrap();
        let places = [root.join("missing"), root.clone()];
        let links = Links::new(&places, Path::new("/opt/it's/loadtester")).unwrap();
        for command in COMMANDS {
            assert_eq!(std::fs::read_link(links.folder().join(command)).unwrap(), Path::new("/opt/it's/loadtester"));
        }
        let folder = links.folder().to_owned();
        drop(links);
        assert!(!folder.exists());
        assert!(Links::new(&places[..1], Path::new("/x")).unwrap_err().to_string().contains("missing"));
        std::fs::remove_dir(&root).unwrap();
    }

    #[test]
    fn functions_stand_in_for_links() {
        let text = functions(Path::new("/opt/it's/loadtester"));
        assert!(text.starts_with("hey() { '/opt/it'\\''s/loadtester' hey \"$@\"; }\n"), "{text}");
    }
}
