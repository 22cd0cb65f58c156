//! Gates: switches that people and scripts set, and Canaries ask. In memory; closed until opened; they stay as they are until somebody changes them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Gates that are remembered.
pub const MOST: usize = 10_000;

/// There are too many open gates to remember another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MOST} gates are open, which is the limit: close some")]
pub struct Full;

/// All gates by key.
#[derive(Debug, Default)]
pub struct Gates(Mutex<BTreeMap<String, bool>>);

impl Gates {
    /// Opens a gate.
    pub fn open(&self, key: &str) -> Result<(), Full> {
        let mut states = self.states();
        if states.len() >= MOST && !states.contains_key(key) {
            // Closed is what all others are anyway.
            states.retain(|_, open| *open);
            if states.len() >= MOST {
                return Err(Full);
            }
        }
        states.insert(key.to_owned(), true);
        Ok(())
    }

    /// Closes a gate.
    pub fn close(&self, key: &str) {
        let mut states = self.states();
        if states.len() < MOST || states.contains_key(key) {
            states.insert(key.to_owned(), false);
        }
    }

    /// Whether a gate is open.
    pub fn is_open(&self, key: &str) -> bool {
        self.states().get(key).copied().unwrap_or_default()
    }

    /// Every gate that was ever set.
    pub fn all(&self) -> BTreeMap<String, bool> {
        self.states().clone()
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_closed_until_opened_and_stay_open() {
        let gates = Gates::default();
        assert!(!gates.is_open("a.b"));
        gates.open("a.b").unwrap();
        assert!(gates.is_open("a.b") && gates.is_open("a.b") && !gates.is_open("rollback.a.b"));
        gates.close("a.b");
        assert!(!gates.is_open("a.b"));
    }

    #[test]
    fn their_number_is_bounded_and_closed_ones_make_room() {
        let gates = Gates::default();
        for number in 0..MOST {
            gates.open(&number.to_string()).unwrap();
        }
        assert_eq!(gates.open("one more"), Err(Full));
        assert_eq!(gates.open("7"), Ok(()), "it is there already");
        gates.close("8");
        gates.close("never opened");
        assert_eq!(gates.open("one more"), Ok(()));
        assert!(gates.is_open("7") && !gates.is_open("8") && gates.all().len() == MOST);
    }
}
