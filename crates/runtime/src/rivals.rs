//! Whether somebody else writes the status of a Canary: another installation that looks after the same namespaces, most likely.
//!
//! Our own writes are known by their answers, which come into the world before the watch brings them. A status that differs from the last one known, while no
//! write of ours is under way, was written by somebody else. One such change is a person with an editor, or an earlier life of this program; more are a rival.

/// Changes that are no coincidence any more.
const ENOUGH: u8 = 3;

/// What one Canary's status has shown.
#[derive(Debug, Default)]
pub(crate) struct Rivals {
    /// A write of ours is under way: a change may be its echo.
    writing: bool,
    /// The answer to our last write was lost: the same, also for the write after it.
    lost: bool,
    changes: u8,
    told: bool,
}

impl Rivals {
    /// A write of ours begins.
    pub(crate) fn write(&mut self) {
        self.writing = true;
    }

    /// It has ended, and what it made is known. `known`: with an answer.
    pub(crate) fn wrote(&mut self, known: bool) {
        (self.writing, self.lost) = (false, !known);
    }

    /// The watch brings another status than the last one known.
    pub(crate) fn change(&mut self) {
        if !self.writing {
            self.conflict();
        }
    }

    /// Our write was refused, because the status had become another one.
    pub(crate) fn conflict(&mut self) {
        if !self.lost {
            self.changes = self.changes.saturating_add(1);
        }
    }

    /// Whether there is a rival that was not told of yet.
    pub(crate) fn news(&mut self) -> bool {
        let news = self.changes >= ENOUGH && !self.told;
        self.told |= news;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_may_be_ours_do_not_count() {
        let mut rivals = Rivals::default();
        for _ in 0..ENOUGH {
            rivals.write();
            rivals.change();
            rivals.wrote(true);
        }
        rivals.write();
        rivals.wrote(false);
        rivals.change();
        rivals.write();
        rivals.conflict();
        rivals.wrote(true);
        assert_eq!(rivals.changes, 0, "each can be the echo of a write of ours");
        for _ in 1..ENOUGH {
            rivals.change();
        }
        assert!(!rivals.news(), "too few");
        rivals.write();
        rivals.conflict();
        rivals.wrote(true);
        assert!(rivals.news());
        assert!(!rivals.news(), "told once");
    }
}
