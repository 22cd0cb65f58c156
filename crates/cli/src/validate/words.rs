//! Words that resemble each other, for advice.

/// The candidate that a misspelt word was most likely meant to be.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = 1 + word.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove or replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in (1..).zip(one.chars()) {
        let mut next = vec![index];
        for (column, (theirs, around)) in other.iter().zip(row.windows(2)).enumerate() {
            let [diagonal, above] = around else { continue };
            let left = next.get(column).copied().unwrap_or_default();
            let replaced = diagonal + usize::from(letter != *theirs);
            next.push(replaced.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// `a, b and c`.
pub(super) fn enumeration<'c>(words: impl IntoIterator<Item = &'c str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_words_are_recognised_and_others_are_not() {
        let fields = ["stepWeight", "stepWeights", "threshold", "interval"];
        assert_eq!(nearest("stepwieght", fields), Some("stepWeight"));
        assert_eq!(nearest("treshold", fields), Some("threshold"));
        assert_eq!(nearest("webhooks", fields), None);
    }

    #[test]
    fn words_are_enumerated() {
        assert_eq!(enumeration(["a", "b", "c"]), "a, b and c");
        assert_eq!(enumeration(["a"]), "a");
    }
}
