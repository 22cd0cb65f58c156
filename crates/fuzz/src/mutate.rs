//! Breaking bytes: texts and whatever is no JSON.
//!
//! Does not know what the bytes mean, except for the lists of odd values. Lengths stay below [`LONGEST`].

use crate::odd;
use crate::rng::Rng;

/// No input is longer: what is longer never gets through an API server or the HTTP client.
pub const LONGEST: usize = 1 << 20;

/// The same bytes, broken in one to eight places. `other`: another valid input, from which pieces are taken.
pub fn bytes(rng: &mut Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..rng.few() {
        once(rng, &mut bytes, other);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn once(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = rng.below(bytes.len() + 1);
    match rng.below(12) {
        0 => flip(rng, bytes),
        1 => {
            let byte = u8::try_from(rng.below(256)).unwrap_or_default();
            bytes.insert(at, byte);
        }
        2 => drop(bytes.drain(range(rng, bytes.len(), 8))),
        3 => drop(bytes.drain(range(rng, bytes.len(), usize::MAX))),
        4 | 5 => insert(bytes, at, rng.pick(odd::TEXTS).copied().unwrap_or_default().as_bytes()),
        6 => insert(bytes, at, rng.pick(odd::BYTES).copied().unwrap_or_default()),
        7 => {
            let number = rng.pick(odd::INTEGERS).copied().unwrap_or_default().to_string();
            insert(bytes, at, number.as_bytes());
        }
        8 => {
            let piece = bytes.get(range(rng, bytes.len(), 64)).unwrap_or_default().to_vec();
            insert(bytes, at, &piece);
        }
        9 => {
            let piece = other.get(range(rng, other.len(), usize::MAX)).unwrap_or_default();
            insert(bytes, at, piece);
        }
        10 if rng.chance(10) => repeat(rng, bytes, at),
        10 => swap(rng, bytes),
        _ => replace(rng, bytes),
    }
}

fn flip(rng: &mut Rng, bytes: &mut [u8]) {
    let at = rng.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
}

/// A piece many times over: nesting, long names, many items.
fn repeat(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let piece = match rng.below(3) {
        0 => bytes.get(range(rng, bytes.len(), 16)).unwrap_or_default().to_vec(),
        1 => rng
            .pick(&["(", "[", "{", "{\"a\":", "{{", "{{ if 1 }}", "((", "a", "0", "9", "-", "&", "%", "a,", "\u{e9}"])
            .copied()
            .unwrap_or_default()
            .into(),
        _ => rng.pick(odd::TEXTS).copied().unwrap_or_default().into(),
    };
    let times = rng.pick(&[10, 100, 1000, 10_000, 100_000]).copied().unwrap_or_default();
    let times = times.min(LONGEST / piece.len().max(1));
    insert(bytes, at, &piece.repeat(times));
}

fn swap(rng: &mut Rng, bytes: &mut [u8]) {
    let (left, right) = (rng.below(bytes.len()), rng.below(bytes.len()));
    if left < bytes.len() && right < bytes.len() {
        bytes.swap(left, right);
    }
}

/// A run of digits or of letters becomes something else of the same kind or of another.
fn replace(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.below(bytes.len());
    let alike = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let start = bytes.iter().take(at).rposition(|byte| !alike(byte)).map_or(0, |before| before + 1);
    let end = bytes.iter().skip(at).position(|byte| !alike(byte)).map_or(bytes.len(), |more| at + more).max(start);
    let text = match rng.below(3) {
        0 => rng.pick(odd::INTEGERS).copied().unwrap_or_default().to_string(),
        1 => rng.pick(odd::FRACTIONS).copied().unwrap_or_default().to_string(),
        _ => rng.pick(odd::TEXTS).copied().unwrap_or_default().to_owned(),
    };
    bytes.splice(start..end, text.into_bytes());
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let at = at.min(bytes.len());
    bytes.splice(at..at, piece.iter().copied());
}

fn range(rng: &mut Rng, length: usize, longest: usize) -> std::ops::Range<usize> {
    let start = rng.below(length);
    let end = start + rng.below((length - start).min(longest).saturating_add(1));
    start..end.min(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_broken_in_many_ways_and_the_same_way_for_the_same_seed() {
        let broken = |index| bytes(&mut Rng::of(1, "t", index), b"sum(rate(x[1m]))", b"other");
        let all: std::collections::BTreeSet<_> = (0..1000).map(broken).collect();
        assert!(all.len() > 800, "{}", all.len());
        assert_eq!(broken(5), broken(5));
        assert!(all.iter().any(|input| std::str::from_utf8(input).is_err()));
        assert!(all.iter().all(|input| input.len() <= LONGEST));
    }

    #[test]
    fn nothing_can_be_broken_too() {
        (0..1000).for_each(|index| drop(bytes(&mut Rng::of(1, "t", index), b"", b"")));
    }
}
