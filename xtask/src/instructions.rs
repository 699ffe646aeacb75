//! How many instructions does an exchange take? Runs the bench that counts them, with what it needs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{command, place};

/// What counts.
const VALGRIND: &str = "valgrind";
/// What runs the bench under it; of the version that `Cargo.lock` has of `gungraun`.
const RUNNER: &str = "gungraun-runner";

/// Counts, and says what has changed since the last time.
///
/// # Errors
/// When a tool cannot be had, or the bench fails.
pub(crate) fn count(arguments: &[&str]) -> anyhow::Result<()> {
    if command::on_path(VALGRIND).is_none() {
        if !command::may_install_packages() {
            bail!(
                "{VALGRIND} is not installed, and only root on Debian may install it: apt-get install {VALGRIND}"
            );
        }
        command::install_packages(&[VALGRIND])?;
    }
    let mut bench = command::cargo(&["bench", "--locked", "--package", "tidegate-bench"])?;
    bench.args(["--features", "instructions", "--bench", "instructions", "--"]);
    // Functions are told apart by their names, which release builds leave out.
    bench.env("CARGO_PROFILE_BENCH_STRIP", "none");
    bench.env("CARGO_PROFILE_BENCH_DEBUG", "line-tables-only");
    command::run(bench.args(arguments).env("GUNGRAUN_RUNNER", runner()?))
}

/// The runner, built once and kept in the cache.
fn runner() -> anyhow::Result<PathBuf> {
    let lock = std::fs::read_to_string(place::workspace()?.join("Cargo.lock"))?;
    let version = version_of(&lock, RUNNER).context("Cargo.lock names the version")?;
    let root = place::cache()?.join("tools").join(format!("{RUNNER}-{version}"));
    let program = root.join("bin").join(RUNNER);
    if !program.is_file() {
        let mut install: Command =
            command::cargo(&["install", "--locked", "--quiet", RUNNER, "--version", version])?;
        install.arg("--root").arg(&root);
        command::run(install.env("CARGO_TARGET_DIR", root.join("target")))?;
        std::fs::remove_dir_all(root.join("target"))?;
    }
    Ok(program)
}

/// The version of a package by a lock file.
fn version_of<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, entry) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    entry.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"a-runner\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"a\"\nversion = \"4.5.6\"\n";
        assert_eq!(version_of(lock, "a"), Some("4.5.6"));
        assert_eq!(version_of(lock, "a-runner"), Some("1.2.3"));
        assert_eq!(version_of(lock, "b"), None);
    }
}
