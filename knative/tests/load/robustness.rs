//! No text makes the reader panic, and what it tells always lies in the file.

use proptest::prelude::*;
use tidegate_knative::{Defaults, load};

const FILES: [&str; 2] = [
    include_str!("files/all.yaml"),
    include_str!("files/from-cluster.yaml"),
];

/// What mutations put in: YAML's own signs, and values that are wrong in many places.
const SCRAPS: [&str; 24] = [
    "\n",
    " ",
    "\t",
    ":",
    ": ",
    "- ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "|",
    "&a ",
    "*a",
    "<<: *a",
    "!x ",
    "---\n",
    "...",
    "null",
    "-1",
    "1e999",
    "\u{0}é\u{2028}",
];

/// Loads a text and checks that every problem points into it.
fn read(text: &str) -> Result<(), TestCaseError> {
    let Err(problems) = load("f", text, &Defaults::default()) else {
        return Ok(());
    };
    prop_assert!(!problems.is_empty());
    let lines = u32::try_from(text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count()).unwrap();
    for problem in problems {
        prop_assert!(
            problem.position.line >= 1 && problem.position.column >= 1,
            "{problem}"
        );
        prop_assert!(problem.position.line <= lines + 1, "{problem} in {lines} lines");
        prop_assert!(!problem.message.is_empty());
    }
    Ok(())
}

fn mutated() -> impl Strategy<Value = String> {
    let edit = (
        any::<prop::sample::Index>(),
        0_usize..12,
        prop::sample::select(SCRAPS.to_vec()),
    );
    (
        prop::sample::select(FILES.to_vec()),
        prop::collection::vec(edit, 1..8),
    )
        .prop_map(|(file, edits)| {
            let mut chars: Vec<char> = file.chars().collect();
            for (at, removed, scrap) in edits {
                let at = at.index(chars.len() + 1);
                let end = (at + removed).min(chars.len());
                chars.splice(at..end, scrap.chars());
            }
            chars.into_iter().collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        read(&text)?;
    }

    #[test]
    fn any_pile_of_yaml_signs_is_read_or_refused(scraps in prop::collection::vec(prop::sample::select(SCRAPS.to_vec()), 0..60)) {
        read(&scraps.concat())?;
    }

    #[test]
    fn any_damage_to_a_sound_file_is_read_or_refused(text in mutated()) {
        read(&text)?;
    }
}
