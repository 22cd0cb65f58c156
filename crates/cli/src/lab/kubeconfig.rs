//! The kubeconfig of a lab: a file that is there as long as the lab is, and never somebody else's.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The first line of every file that is written here.
const MARK: &str = "# Written by kubectl-flagger lab; removed when the lab ends.\n";

/// The file; dropping it removes it, unless another lab has written it anew.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// Writes the file, to `path` or to a temporary one with the port in its name. The error is for people.
    pub(super) fn write(path: Option<&Path>, port: u16, config: &str) -> Result<Self, String> {
        let text = format!("{MARK}{config}");
        let temporary = || std::env::temp_dir().join(format!("kubectl-flagger-lab-{}-{port}.yaml", std::process::id()));
        let path = path.map_or_else(temporary, |path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        let file = Self { path, text };
        file.save().map_err(|why| format!("cannot write the kubeconfig {}: {why}", file.path.display()))?;
        Ok(file)
    }

    fn save(&self) -> Result<(), String> {
        match std::fs::read_to_string(&self.path) {
            Ok(present) if !present.starts_with(MARK) => {
                return Err("it is there already, and no lab has written it; name another file".to_owned());
            }
            Ok(_) => std::fs::remove_file(&self.path).map_err(|error| error.to_string())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.to_string()),
        }
        // `create_new` follows no link that somebody else put there.
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&self.path).map_err(|error| error.to_string())?;
        file.write_all(self.text.as_bytes()).map_err(|error| error.to_string())
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if std::fs::read_to_string(&self.path).is_ok_and(|present| present == self.text) {
            // Who cannot remove it leaves a file that names a port where nobody listens.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_somebody_else_is_left_alone() {
        let path = std::env::temp_dir().join(format!("kubeconfig-test-{}", std::process::id()));
        std::fs::write(&path, "apiVersion: v1\n").unwrap();
        let told = File::write(Some(&path), 1, "a").unwrap_err();
        assert!(told.contains("name another file"), "{told}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "apiVersion: v1\n");
        std::fs::remove_file(&path).unwrap();
        let first = File::write(Some(&path), 1, "a").unwrap();
        let second = File::write(Some(&path), 2, "b").unwrap();
        drop(first);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{MARK}b"), "the second lab's");
        drop(second);
        assert!(!path.exists());
    }
}
