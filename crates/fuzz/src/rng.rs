//! Random numbers that follow from a seed: the same on every machine and in every version of this crate's dependencies.
//!
//! `SplitMix64`; fast, and good enough for choosing what to break. Source: <https://prng.di.unimi.it/splitmix64.c>, written anew.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The stream of one input: it depends on the three and on nothing else, so that every input can be made again alone.
    pub fn of(seed: u64, name: &str, index: u64) -> Self {
        let name = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut rng = Self(seed ^ name.rotate_left(17));
        let start = rng.next() ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(start)
    }

    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "a stream without end is no iterator to its callers")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    /// True in so many of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of the items; `None` of none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// A small number, mostly 1: how many things to break at once.
    pub fn few(&mut self) -> usize {
        1 + usize::try_from(self.next().trailing_ones()).unwrap_or_default().min(7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_follows_from_seed_name_and_index() {
        let numbers = |mut rng: Rng| [rng.next(), rng.next(), rng.next()];
        let first = numbers(Rng::of(1, "canary", 7));
        assert_eq!(first, numbers(Rng::of(1, "canary", 7)));
        for other in [Rng::of(2, "canary", 7), Rng::of(1, "hooks", 7), Rng::of(1, "canary", 8)] {
            assert_ne!(first, numbers(other));
        }
    }
}
