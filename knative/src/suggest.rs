//! What the author of an unknown word probably meant.

/// How many known words are listed when none is near.
const LISTED_MAX: usize = 40;

/// A hint for the unknown `word`: the nearest of the known ones, or all of them.
pub(crate) fn among<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, &known) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "none is known here".to_owned(),
        None if known.len() > LISTED_MAX => "see Knative's documentation for the known ones".to_owned(),
        None => format!("known: {}", known.join(", ")),
    }
}

/// The known word that is at most a third of its length away from `word`, nearest first.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let folded = fold(word);
    known
        .iter()
        .map(|known| (distance(&folded, &fold(known)), *known))
        .filter(|(distance, known)| *distance <= 1 + known.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Case and dashes are what people mix up most; they cost nothing.
fn fold(word: &str) -> Vec<char> {
    // Longer words are no typos of ours; the bound keeps the table below small.
    word.chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

/// Edits between two words: insertion, deletion, replacement, swap of neighbours (optimal string alignment).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX);
            let mut best = (at(&last, j) + usize::from(a != b))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped = j > 0 && i > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (from, to, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("imgae", "image", 1),
            ("abc", "abc", 0),
        ] {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            assert_eq!(distance(&chars(from), &chars(to)), expected, "{from} {to}");
        }
    }

    #[test]
    fn near_words_are_suggested_and_others_listed() {
        let known = ["containerConcurrency", "timeoutSeconds", "env", "image"];
        for (word, expected) in [
            ("contanerConcurency", "did you mean containerConcurrency?"),
            ("container-concurrency", "did you mean containerConcurrency?"),
            ("imgae", "did you mean image?"),
            ("ENV", "did you mean env?"),
            (
                "replicas",
                "known: containerConcurrency, timeoutSeconds, env, image",
            ),
        ] {
            assert_eq!(among(word, known), expected);
        }
    }
}
