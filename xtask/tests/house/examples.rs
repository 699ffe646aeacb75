//! Does every public module of the library show how it is used? The examples themselves are run as documentation tests.

use std::path::{Path, PathBuf};

use super::tree::{none, read};

/// The files of the modules that a user of the crate can name, from the one whose text declares them on.
fn public_modules(parent: &Path, folder: &Path) -> Vec<PathBuf> {
    let text = read(parent);
    let mut hidden = false;
    let mut found = Vec::new();
    for line in text.lines() {
        let name = line
            .strip_prefix("pub mod ")
            .and_then(|rest| rest.strip_suffix(';'));
        if let Some(name) = name.filter(|_| !hidden) {
            let file = folder.join(format!("{name}.rs"));
            found.extend(public_modules(&file, &folder.join(name)));
            found.push(file);
        }
        hidden = line == "#[doc(hidden)]";
    }
    found
}

/// What begins each code block in a text's documentation: `no_run`, `console`, nothing.
fn code_blocks(text: &str) -> impl Iterator<Item = &str> {
    let documentation = text.lines().map(str::trim_start).filter_map(|line| {
        let rest = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"));
        rest?.trim().strip_prefix("```")
    });
    documentation.step_by(2)
}

fn has_example(text: &str) -> bool {
    code_blocks(text).any(|kind| matches!(kind, "" | "no_run" | "rust"))
}

#[test]
fn each_public_module_of_the_library_has_an_example() {
    let modules = public_modules(Path::new("proxy/src/lib.rs"), Path::new("proxy/src"));
    assert!(modules.contains(&PathBuf::from("proxy/src/cluster/health.rs")));
    let silent = modules.iter().filter(|path| !has_example(&read(path)));
    let silent: Vec<_> = silent.map(|path| path.display().to_string()).collect();
    none(
        &silent,
        "a public module shows in a few lines what it is for, in its `//!` or on an item",
    );
}

#[test]
fn examples_are_told_from_other_blocks() {
    assert!(has_example("//! Text.\n//!\n//! ```\n//! let x = 1;\n//! ```"));
    assert!(has_example("    /// ```no_run\n    /// loop {}\n    /// ```"));
    assert!(!has_example("//! ```console\n//! $ cargo run\n//! ```"));
    assert!(!has_example("let text = \"```\";"));
}
