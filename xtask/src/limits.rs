//! What stands in `docs/limits.md`? A table of every constant in every `limits.rs`, so that nobody keeps it by hand.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::place;

mod value;

/// Where the table stands.
const DOCUMENT: &str = "docs/limits.md";

/// What stands above it.
const INTRODUCTION: &str = "\
# Bounds and defaults

Every bound that Tidegate keeps and every default it uses, by package. What a caller can set says so in its own
documentation; the rest is fixed. Generated from the `limits.rs` files by `cargo xtask limits`: change a value there.
";

/// Writes the document anew.
///
/// # Errors
/// When a file cannot be read or written, or a `limits.rs` is not understood.
pub(crate) fn write() -> anyhow::Result<()> {
    let path = place::workspace()?.join(DOCUMENT);
    std::fs::write(&path, document()?).with_context(|| format!("cannot write {}", path.display()))?;
    println!("written: {DOCUMENT}");
    Ok(())
}

/// Compares the document with what the sources say.
///
/// # Errors
/// When they differ, and as [`write()`].
pub(crate) fn check() -> anyhow::Result<()> {
    let path = place::workspace()?.join(DOCUMENT);
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = document()?;
    if written == expected {
        return Ok(());
    }
    let known: Vec<&str> = written.lines().collect();
    let first = expected.lines().find(|line| !known.contains(line));
    bail!(
        "{DOCUMENT} is not what the `limits.rs` files say (first new line: {}): run `cargo xtask limits`",
        first.unwrap_or("none, but some are gone or moved")
    );
}

fn document() -> anyhow::Result<String> {
    let root = place::workspace()?;
    let mut text = INTRODUCTION.to_owned();
    for path in sources(&root)? {
        let source = std::fs::read_to_string(root.join(&path))
            .with_context(|| format!("cannot read {}", path.display()))?;
        let limits = parse(&source).with_context(|| format!("{} is not understood", path.display()))?;
        let package = path.iter().next().unwrap_or_default().to_string_lossy();
        let title = if path.ends_with("sample/limits.rs") {
            format!("`{package} sample`")
        } else {
            format!("`{package}`")
        };
        // Writing to a string cannot fail; the error is passed on all the same.
        write!(text, "\n## {title}\n\n`{}`\n\n", path.display())?;
        text.push_str("| name | value | what |\n|---|---|---|\n");
        for Limit { name, value, what } in limits {
            writeln!(text, "| `{name}` | {value} | {what} |")?;
        }
    }
    Ok(text)
}

/// Every `limits.rs` below a package's `src`, the proxy's first.
fn sources(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let packages = root.read_dir().context("cannot read the workspace")?;
    let mut folders: Vec<PathBuf> = packages.flatten().map(|entry| entry.path().join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("limits.rs") && !path.starts_with(root.join("xtask")) {
                found.push(path.strip_prefix(root)?.to_owned());
            }
        }
    }
    found.sort_by_key(|path| (!path.starts_with("proxy"), path.clone()));
    Ok(found)
}

#[derive(Debug, PartialEq, Eq)]
struct Limit {
    name: String,
    value: String,
    what: String,
}

/// The constants of a source file with their documentation.
fn parse(source: &str) -> anyhow::Result<Vec<Limit>> {
    let mut limits = Vec::new();
    let mut what = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            what.push(text.trim());
            continue;
        }
        let Some(item) = constant(line) else {
            if !line.starts_with("#[") {
                what.clear();
            }
            continue;
        };
        let mut item = item.to_owned();
        while !item.ends_with(';') {
            let next = lines.next().with_context(|| format!("`{item}` has no end"))?;
            item = format!("{item} {}", next.trim());
        }
        let parts = item.trim_end_matches(';').split_once('=');
        let (declared, expression) = parts.with_context(|| format!("`{item}` has no value"))?;
        let (name, kind) = declared
            .split_once(':')
            .with_context(|| format!("`{item}` has no type"))?;
        if what.is_empty() {
            bail!("`{name}` has no documentation");
        }
        limits.push(Limit {
            name: name.trim().to_owned(),
            value: value::shown(name.trim(), kind.trim(), expression.trim()),
            what: cell(&what.join(" ")),
        });
        what.clear();
    }
    Ok(limits)
}

/// What follows `const`, with any visibility.
fn constant(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub").unwrap_or(line);
    let rest = match rest.strip_prefix('(') {
        Some(inner) => inner.split_once(')')?.1,
        None => rest,
    };
    rest.trim_start().strip_prefix("const ")
}

/// Documentation as a cell of a table: of a link within the code only its word stays.
fn cell(text: &str) -> String {
    let mut parts = text.split("[`");
    let mut cell = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (word, rest) = part.split_once("`]").unwrap_or((part, ""));
        let rest = match rest.strip_prefix('(') {
            Some(target) => target.split_once(')').map_or("", |(_, rest)| rest),
            None => rest,
        };
        cell.push_str(&format!("`{word}`{rest}"));
    }
    cell.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_read_with_their_documentation() {
        let source = "//! Bounds.\n\n/// Not this.\nuse x;\n/// One | two,\n/// of [`that`], [`x::y`](crate::x::y) too.\n\
            #[expect(x)]\npub(crate) const A_BYTES_MAX: usize =\n    4 * 1024;\nconst B: &str = \"b\";";
        let error = parse(source).unwrap_err().to_string();
        assert_eq!(error, "`B` has no documentation");
        let source = source.replace("const B", "/// B.\nconst B");
        let [a, b] = parse(&source).unwrap().try_into().unwrap();
        assert_eq!((a.name.as_str(), a.value.as_str()), ("A_BYTES_MAX", "4 KiB"));
        assert_eq!(a.what, "One \\| two, of `that`, `x::y` too.");
        assert_eq!((b.name.as_str(), b.value.as_str()), ("B", "`\"b\"`"));
    }
}
