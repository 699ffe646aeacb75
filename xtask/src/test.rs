//! How are all tests run and added up?

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ExitCode, Stdio};

use anyhow::Context as _;

use crate::{command, peers};

/// The programs that tests speak with. The load comparison is not a test: see `cargo xtask peers`.
const PEERS_OF_TESTS: &[peers::Peer] = &[peers::Peer::Python, peers::Peer::Envoy];

/// What is off by default and tested all the same.
pub(crate) const FEATURES: &str =
    "tidegate/xds,tidegate-activator/kubernetes,tidegate-chain/kubernetes,tidegate-bench/instructions";

/// Runs unit, behaviour, program and doc tests of the whole workspace, and ends with one line that adds them up; nothing is
/// said after it. Failure when a test failed, or none ran.
///
/// # Errors
/// When what the tests need cannot be had.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<ExitCode> {
    peers::install(PEERS_OF_TESTS)?;
    let mut cargo = command::cargo(&[
        "test",
        "--workspace",
        "--locked",
        "--no-fail-fast",
        "--features",
        FEATURES,
    ])?;
    let mut child = cargo
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read the tests' output")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            tally.add(&line);
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() && tally.failed == 0 {
        eprintln!("xtask: cargo test ended with {status} before every test had its result: see above");
        tally.failed = 1;
    }
    println!("{tally}");
    std::io::stdout().flush().context("cannot write the result")?;
    let all_passed = tally.failed == 0 && tally.passed > 0;
    Ok(if all_passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Results so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// Adds one line of cargo's, if it is a result.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(formatter, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: &str) {
        let mut tally = Tally::default();
        for line in lines {
            tally.add(line);
        }
        assert_eq!(tally.to_string(), expected, "{lines:?}");
    }

    #[test]
    fn results_of_all_programs_are_added_up() {
        let fine =
            "test result: ok. 22 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.11s";
        let bad = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 2.00s";
        check(&[], "0 passed, 0 failed");
        check(&["running 22 tests", fine, "", fine], "44 passed, 0 failed");
        check(&[fine, bad], "25 passed, 2 failed, 1 skipped");
        check(
            &["test test_result ... ok", "test result: nonsense"],
            "0 passed, 0 failed",
        );
    }
}
