//! Do the fuzz targets still build and run? Each for a bounded number of runs, on the stable toolchain.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::{command, metadata, peers, place};

const PACKAGE: &str = "tidegate-fuzz";

/// Runs of each target, unless the time is over before.
const RUNS: u32 = 50_000;

/// Seconds of each target.
const SECONDS: u32 = 20;

/// Where the random choices of a smoke run begin: a run that fails can be repeated. Searching is for longer runs, by hand.
const SEED: u32 = 1;

/// The longest input, in bytes.
const INPUT_BYTES_MAX: u32 = 4096;

/// Seconds that one input may take.
const INPUT_SECONDS_MAX: u32 = 10;

/// What tells libFuzzer which code an input reached.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// Builds every fuzz target and runs it on its corpus and on inputs grown from it.
///
/// # Errors
/// When one does not build, or finds something: the input then lies under `target/fuzz/artifacts/`.
pub(crate) fn smoke() -> anyhow::Result<()> {
    if !command::works("c++", "--version") {
        return peers::lacking("fuzz", "libFuzzer is C++ and there is no C++ compiler (`c++`)");
    }
    let folder = place::target()?.join("fuzz");
    let host = host()?;
    let mut build = command::cargo(&[
        "build",
        "--locked",
        "--package",
        PACKAGE,
        "--features",
        "libfuzzer",
        "--bins",
    ])?;
    // With a target named, the flags reach the programs only, not build scripts and macros.
    build.args(["--target", &host, "--target-dir"]).arg(&folder);
    command::run(build.env("RUSTFLAGS", COVERAGE.join(" ")))?;
    let programs = folder.join(&host).join("debug");
    for target in metadata::programs(PACKAGE)? {
        run(&programs.join(&target), &target, &folder)?;
    }
    Ok(())
}

fn run(program: &Path, target: &str, folder: &Path) -> anyhow::Result<()> {
    let grown = folder.join("corpus").join(target);
    let artifacts = folder.join("artifacts").join(target);
    for needed in [&grown, &artifacts] {
        std::fs::create_dir_all(needed).with_context(|| format!("cannot make {}", needed.display()))?;
    }
    let mut fuzz = Command::new(program);
    fuzz.arg(format!("-runs={RUNS}"))
        .arg(format!("-seed={SEED}"))
        .arg(format!("-max_total_time={SECONDS}"));
    fuzz.arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"));
    fuzz.arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        .arg("-verbosity=0");
    // What is new goes into the first folder; the committed corpus is only read.
    fuzz.arg(&grown)
        .arg(place::workspace()?.join("fuzz").join("corpus").join(target));
    let report = command::report(&mut fuzz)?;
    let runs = report
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!(
        "fuzz target {target}: {} runs, nothing found",
        runs.context("libFuzzer counts its runs")?.trim()
    );
    Ok(())
}

fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = command::read(Command::new(rustc).arg("-vV").current_dir(place::workspace()?))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names the host")?.to_owned())
}
