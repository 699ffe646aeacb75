//! What may a source file be?

use std::path::Path;

use super::tree::{files, none, read};

/// Lines of a file, at most.
const LINES_MAX: usize = 500;

/// Module names that say nothing.
const NAMES_THAT_SAY_NOTHING: [&str; 5] = ["utils", "common", "helpers", "misc", "prelude"];

/// What must not be left in the code; in two pieces, so that this file has none.
const LEFT_OVERS: [(&str, &str); 5] = [
    ("TO", "DO"),
    ("FIX", "ME"),
    ("XX", "X"),
    ("todo", "!("),
    ("#[ign", "ore"),
];

fn sources(mut wrong: impl FnMut(&Path, &str) -> Option<String>) -> Vec<String> {
    let checked = files("rs").into_iter().filter_map(|path| {
        let why = wrong(&path, &read(&path))?;
        Some(format!("{}: {why}", path.display()))
    });
    checked.collect()
}

#[test]
fn files_are_short() {
    let long = sources(|_, text| {
        let lines = text.lines().count();
        (lines > LINES_MAX).then(|| format!("{lines} lines"))
    });
    none(&long, "a file has at most 500 lines");
}

#[test]
fn files_begin_with_the_question_they_answer() {
    let silent = sources(|path, text| {
        // A `tests.rs` answers whether the file beside it is right.
        let speaks = text.starts_with("//! ") || path.ends_with("tests.rs");
        (!speaks).then(|| "no `//!` in the first line".to_owned())
    });
    none(&silent, "the first line of a file is its documentation");
}

#[test]
fn nothing_is_left_to_do() {
    let left = sources(|_, text| {
        let patterns = LEFT_OVERS.map(|(head, tail)| format!("{head}{tail}"));
        let found = patterns.into_iter().find(|pattern| text.contains(pattern))?;
        Some(format!("contains `{found}`"))
    });
    none(&left, "what is left to do is an issue, not a comment");
}

#[test]
fn modules_have_names_that_say_something() {
    let bad = sources(|path, _| {
        let name = path.file_stem()?.to_str()?;
        // A test program's shared module is the one place where cargo wants a `mod.rs`.
        let is_mod = name == "mod" && path.components().all(|part| part.as_os_str() != "tests");
        (is_mod || NAMES_THAT_SAY_NOTHING.contains(&name)).then(|| "not a module's name here".to_owned())
    });
    none(
        &bad,
        "`foo.rs` stands beside `foo/`, and names say what is inside",
    );
}
