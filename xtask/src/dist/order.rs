//! In which order do the functions of a program lie? Those first that its profile has seen run.
//!
//! Memory holds what has run in pages, with whatever lies beside it. A program's start takes a tenth of its functions;
//! spread over all of it they bring most of the rest with them.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::command;

/// What tells where a function of a compilation unit is named: `unit;function`.
const OF_UNIT: char = ';';

/// Writes the functions that a profile has counts of to a file for the linker.
///
/// # Errors
/// When the profile cannot be read, or the file cannot be written.
pub(super) fn write(tool: &Path, profile: &Path, file: &Path) -> anyhow::Result<()> {
    let mut show = Command::new(tool);
    show.args(["show", "--all-functions"]).arg(profile);
    let shown = command::read(&mut show)?;
    std::fs::write(file, functions(&shown).join("\n"))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// The names of the functions in what the tool shows: those that end a line two blanks in.
fn functions(shown: &str) -> Vec<&str> {
    let named = shown.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?.strip_suffix(':')?;
        (!name.starts_with(' ')).then_some(name)
    });
    named.filter_map(|name| name.rsplit(OF_UNIT).next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_known_by_its_name_alone() {
        let shown = "Counters:\n  unit.0123-cgu.0;_ZN3one4main17h01E:\n    Hash: 0x01\n    Counters: 3\n  \
                     _ZN3two4main17h02E:\n    Hash: 0x02\n    Counters: 1\nFunctions shown: 2\n";
        assert_eq!(functions(shown), ["_ZN3one4main17h01E", "_ZN3two4main17h02E"]);
        assert!(functions("Counters:\nFunctions shown: 0\n").is_empty());
    }
}
