//! Do documents say what is so? The paths and tests they name exist, and the bounds are those of the sources.

use std::path::Path;
use std::process::Command;

use super::tree::{files, none, read, root};

/// A path as it stands between backticks or in a link: `a/{b,c}.rs` is two of them.
fn expanded(path: &str) -> Vec<String> {
    match path
        .split_once('{')
        .and_then(|(head, rest)| Some((head, rest.split_once('}')?)))
    {
        Some((head, (names, tail))) => names
            .split(',')
            .flat_map(|name| expanded(&format!("{head}{}{tail}", name.trim())))
            .collect(),
        None => vec![path.to_owned()],
    }
}

/// Whether a word in backticks means a file or folder of the workspace: its first part is one, and it has a second.
fn means_a_path(word: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "/._-{},".contains(letter);
    let Some((first, _)) = word.split_once('/') else {
        return false;
    };
    word.chars().all(fits) && first != "target" && !first.is_empty() && root().join(first).is_dir()
}

/// The words in backticks and the targets of links, outside code blocks.
fn named_paths(text: &str) -> Vec<String> {
    let prose: Vec<_> = text.split("```").step_by(2).collect();
    let prose = prose.join("\n");
    let quoted = prose
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| means_a_path(word));
    let links = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next());
    let links = links.filter(|link| !link.is_empty() && !link.contains(':'));
    quoted.chain(links).flat_map(expanded).collect()
}

#[test]
fn paths_that_documents_name_exist() {
    let mut missing = Vec::new();
    for document in files("md") {
        let folder = document.parent().unwrap_or(Path::new(""));
        for path in named_paths(&read(&document)) {
            if !root().join(&path).exists() && !root().join(folder).join(&path).exists() {
                missing.push(format!("{}: {path}", document.display()));
            }
        }
    }
    none(&missing, "a path in a document exists");
}

/// The tests that a text names, as `path/file.rs::name` between backticks.
fn named_tests(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|word| word.contains(".rs::"))
        .filter_map(|word| word.rsplit_once("::"))
}

#[test]
fn tests_that_documents_name_exist() {
    let mut missing = Vec::new();
    for document in files("md") {
        let text = read(&document);
        for (path, name) in named_tests(&text) {
            let source = std::fs::read_to_string(root().join(path)).unwrap_or_default();
            let is_test = |(before, _): (&str, &str)| {
                let attributes = before.rsplit("\n\n").next().unwrap_or_default();
                attributes.contains("#[test]") || attributes.contains("::test")
            };
            if !source.split_once(&format!("fn {name}(")).is_some_and(is_test) {
                missing.push(format!("{}: {path}::{name}", document.display()));
            }
        }
    }
    none(&missing, "a test that a document names exists");
}

#[test]
fn each_attack_and_fault_has_a_test() {
    let document = read(Path::new("docs/conformance.md"));
    let (_, section) = document
        .split_once("\n## Attacks and faults\n")
        .expect("there is such a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| ") && *line != "| case | behaviour | test |");
    let untested: Vec<_> = rows
        .filter(|row| named_tests(row).next().is_none())
        .map(str::to_owned)
        .collect();
    none(&untested, "a row names the test that holds it");
}

#[test]
fn bounds_and_defaults_are_documented_as_they_are() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["limits", "--check"])
        .output()
        .expect("a chore can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn paths_are_told_from_other_words() {
    let text = "see `xtask/src/{check,fuzz}.rs`, [this](xtask/Cargo.toml#x), not `/metrics`, `ns/rev` or `cargo xtask`
        nor `target/x`\n```\n`xtask/in/code`\n``` [that](https://example.org/x)";
    assert_eq!(
        named_paths(text),
        ["xtask/src/check.rs", "xtask/src/fuzz.rs", "xtask/Cargo.toml"]
    );
}
