//! Files that are no YAML, or YAML that nobody should have to take: each one says where and why.

use tidegate_knative::limits::{DOCUMENTS_MAX, FILE_BYTES_MAX, PROBLEMS_MAX};
use tidegate_knative::{Defaults, load};

fn problems(text: &str) -> Vec<String> {
    match load("f", text, &Defaults::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

const SYNTAX: &str = "(the document is no valid YAML: check indentation, quotes and brackets)";
const SOUND: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";

#[test]
fn a_file_without_an_object_says_so() {
    for text in ["", "\n\n", "# nothing\n", "---\n---\n...\n", "null\n", "\u{feff}"] {
        check(
            text,
            &["f:1:1: the file holds no object (begin with apiVersion and kind, or remove it)"],
        );
    }
}

#[test]
fn broken_yaml_says_where() {
    check(
        "a:\n\tb: 1\n",
        &[&format!(
            "f:2:2: tabs disallowed within this context (block indentation) {SYNTAX}"
        )],
    );
    check("a: \"x", &[&format!("f:1:4: unclosed quote {SYNTAX}")]);
    check(
        "a: *b\n",
        &[&format!(
            "f:1:4: while parsing node, found unknown anchor {SYNTAX}"
        )],
    );
    check(
        "just text\n",
        &["f:1:1: expected a map, found text (indent the fields below it)"],
    );
    check("- a\n", &["f:1:1: expected a map, found a list"]);
}

#[test]
fn one_broken_document_hides_no_problem_of_another() {
    let text = format!("{SOUND}---\na: [1\n---\nkind: Namespace\n");
    let found = problems(&text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("f:5:4: "), "{found:?}");
    assert!(
        found[1].starts_with("f:7:1: apiVersion: missing field(s)"),
        "{found:?}"
    );
}

#[test]
fn keys_stand_once() {
    check(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  name: b\n",
        &["f:5:3: duplicate key \"name\" (it is set in line 4 already)"],
    );
    check(
        "? [a, b]\n: 1\n",
        &["f:1:3: a key has to be text (lists and maps cannot be keys)"],
    );
}

#[test]
fn tags_are_taken_where_they_mean_something() {
    let named = |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
    check(&named("!!str a1"), &[]);
    check(&named("! a1"), &[]);
    check(
        &named("!secret x"),
        &["f:3:26: tag !secret is not known (remove the tag)"],
    );
    check(
        &named("!!map x"),
        &["f:3:24: tag !!map is not known (remove the tag)"],
    );
}

#[test]
fn a_file_cut_off_anywhere_never_loads_as_another() {
    let text = include_str!("files/all.yaml").split("---\n").nth(6).unwrap();
    let whole = load("f", text, &Defaults::default()).unwrap();
    for end in 0..text.trim_end().len() {
        // A name or number that lost its tail is still one; only the last line can hide that it was cut.
        if !text.is_char_boundary(end) || text[end..].starts_with('\n') || text[end..].trim().is_empty() {
            continue;
        }
        let loaded = load("f", &text[..end], &Defaults::default());
        let line = text[..end].lines().last().unwrap_or("").trim();
        let may_be_whole = line.contains(": ") || line.is_empty() || line == "-";
        assert!(
            loaded.is_err() || may_be_whole,
            "cut at {end}, after {line:?}: {whole:?}"
        );
    }
}

#[test]
fn aliases_cannot_blow_a_file_up() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("the file holds more than 200000 values"),
        "{found:?}"
    );

    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(100_000),
        vec!["*a"; 1000].join(", ")
    );
    assert!(problems(&long)[0].contains("the file holds more than 200000 values"));
    check(
        "a: &a [*a]\n",
        &["f:1:8: the alias stands inside what it names (write the value out)"],
    );
}

#[test]
fn depth_is_bounded_however_it_is_written() {
    for text in [
        "[".repeat(5000),
        "- ".repeat(5000),
        format!("{}1", "{a: ".repeat(5000)),
    ] {
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("recursion limit exceeded"), "{found:?}");
    }
    let mut text = "a0: &a0 x\n".to_owned();
    for level in 1..300 {
        text.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(problems(&text)[0].contains("aliases nest deeper than 100 levels"));
}

#[test]
fn size_and_count_are_bounded() {
    let large = format!("# {}\n{SOUND}", "x".repeat(FILE_BYTES_MAX));
    check(
        &large,
        &["f:1:1: the file is longer than 4 MiB (split it into several files)"],
    );
    let many = format!("---\n{SOUND}").repeat(DOCUMENTS_MAX + 1);
    let found = problems(&many);
    assert!(
        found[0].contains("the file holds more than 1000 documents"),
        "{found:?}"
    );
    assert_eq!(
        load(
            "f",
            &format!("---\n{SOUND}").repeat(DOCUMENTS_MAX),
            &Defaults::default()
        )
        .unwrap()
        .len(),
        1000
    );
}

#[test]
fn only_so_many_problems_are_told() {
    let text: String = (0..300).map(|n| format!("field{n}: 1\n")).collect();
    let found = problems(&format!("{SOUND}{text}"));
    assert_eq!(found.len(), PROBLEMS_MAX + 1);
    assert_eq!(
        found.last().map(String::as_str),
        Some("f:103:1: 200 more problems (fix these first)")
    );
}
