//! Which processes descend from which: what `/proc` says. Elsewhere than on Linux nobody does.
//!
//! Every task's processes carry a mark in their environment, which children inherit; together with parents and process groups it finds those that have left
//! the group, the session or their parents. Reads only; nothing here ends a process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// One process. Its number may be used again after its end, together with `started` it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it was started, in ticks since the system was.
    pub started: u64,
    /// Number of its parent.
    pub parent: i32,
    /// Number of its process group.
    pub group: i32,
    /// It has ended, and its parent was not told yet.
    pub zombie: bool,
}

/// Every process that can be seen.
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| read(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// `pid (name) state parent group ...`; the name may hold anything, the 22nd field is the start.
fn read(pid: i32, stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Process { pid, started: fields.nth(16)?.parse().ok()?, parent, group, zombie })
}

/// All of `processes` that descend from one of `ancestors`, without these.
pub fn of(ancestors: &[i32], processes: &[Process]) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found = BTreeSet::new();
    let mut parents = ancestors.to_vec();
    while let Some(parent) = parents.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if found.insert(*child) {
                parents.push(child.pid);
            }
        }
    }
    found.into_iter().collect()
}

/// Whether a process was started with `mark` (`NAME=value`) in its environment. Not so for those of other users.
pub fn is_marked(pid: i32, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let stat = "7 (a) b (c) S 3 5 5 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(read(7, stat), Some(Process { pid: 7, started: 4711, parent: 3, group: 5, zombie: false }));
        assert_eq!(read(7, "7 (x"), None);
    }

    #[test]
    fn children_of_children_are_found() {
        let process = |pid, parent| Process { pid, started: 0, parent, group: 0, zombie: false };
        let world = [process(2, 1), process(3, 2), process(4, 3), process(5, 1), process(6, 5)];
        let found: Vec<_> = of(&[2, 5], &world).iter().map(|process| process.pid).collect();
        assert_eq!(found, [3, 4, 6]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_there() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(all().iter().any(|process| process.pid == me && !process.zombie));
        let path = format!("PATH={}", std::env::var("PATH").unwrap());
        assert!(is_marked(me, &path) && !is_marked(me, "NO_SUCH_VARIABLE=1"));
    }
}
