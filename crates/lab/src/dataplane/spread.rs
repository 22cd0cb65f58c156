//! Spreading by weight, without dice: of any hundred requests in a row that see the weights 90 and 10, ten go to the second.
//!
//! Smooth weighted round robin: each turn everybody gains its weight, the richest is taken and pays the sum of all.

use std::collections::HashMap;

/// Whose turn it is, for every place where requests part.
#[derive(Debug, Default)]
pub struct Spread {
    places: HashMap<String, Place>,
}

#[derive(Debug)]
struct Place {
    weights: Vec<i64>,
    credit: Vec<i64>,
}

impl Spread {
    /// The index of the one whose turn it is at `place`. `None` if no weight is above 0. Other weights than the last time start a new count.
    pub fn next(&mut self, place: &str, weights: &[i64]) -> Option<usize> {
        let weights: Vec<i64> = weights.iter().map(|weight| (*weight).clamp(0, 1_000_000)).collect();
        let total: i64 = weights.iter().sum();
        if total == 0 {
            return None;
        }
        if !self.places.contains_key(place) {
            self.places.insert(place.to_owned(), Place { weights: Vec::new(), credit: Vec::new() });
        }
        let state = self.places.get_mut(place)?;
        if state.weights != weights {
            *state = Place { credit: vec![0; weights.len()], weights };
        }
        for (credit, weight) in state.credit.iter_mut().zip(&state.weights) {
            *credit += weight;
        }
        // The first of equals, so that the order of the list decides.
        let richest = state.credit.iter().copied().max()?;
        let taken = state.credit.iter().position(|credit| *credit == richest)?;
        *state.credit.get_mut(taken)? -= total;
        Some(taken)
    }

    /// Whether this one is among the `percent` in a hundred.
    pub fn chance(&mut self, place: &str, percent: i64) -> bool {
        self.next(place, &[percent, 100 - percent]) == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(weights: &[i64], turns: usize) -> Vec<usize> {
        let mut spread = Spread::default();
        let mut counts = vec![0; weights.len()];
        for _ in 0..turns {
            counts[spread.next("here", weights).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn ten_percent_are_ten_of_a_hundred() {
        assert_eq!(counts(&[90, 10], 100), [90, 10]);
        assert_eq!(counts(&[95, 5], 40), [38, 2]);
        assert_eq!(counts(&[1, 1, 1], 30), [10, 10, 10]);
        assert_eq!(counts(&[0, 7], 9), [0, 9]);
    }

    #[test]
    fn the_smaller_share_is_spread_out() {
        let mut spread = Spread::default();
        let turns: Vec<usize> = (0..20).map(|_| spread.next("here", &[90, 10]).unwrap()).collect();
        assert_eq!(turns.iter().filter(|turn| **turn == 1).count(), 2);
        assert_ne!(turns[0..10].iter().position(|turn| *turn == 1), None, "{turns:?}");
    }

    #[test]
    fn nobody_is_taken_without_weight() {
        let mut spread = Spread::default();
        assert_eq!(spread.next("here", &[0, 0]), None);
        assert_eq!(spread.next("here", &[]), None);
        assert!(spread.chance("there", 100) && !spread.chance("there", 0));
    }

    #[test]
    fn places_do_not_disturb_each_other() {
        let mut spread = Spread::default();
        let ours: Vec<_> = (0..4)
            .map(|_| {
                spread.next("other", &[1, 99]);
                spread.next("here", &[50, 50]).unwrap()
            })
            .collect();
        assert_eq!(ours, [0, 1, 0, 1]);
    }
}
