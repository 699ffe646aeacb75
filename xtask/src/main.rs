//! Which chores has the project? `cargo xtask` and one of the words below; `.ci/run` calls nothing else.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the person who typed it"
)]

use std::process::ExitCode;

mod check;
mod command;
mod descriptors;
mod dist;
mod fuzz;
mod instructions;
mod limits;
mod metadata;
mod peers;
mod place;
mod test;

const USAGE: &str = "\
usage: cargo xtask test [ARGUMENTS OF CARGO TEST]   every test, with the set-up it needs
       cargo xtask check [STAGE…]                   fmt, descriptors, clippy, doc, deny, house, package; all without a word
       cargo xtask fuzz --smoke                     each fuzz target for a bounded number of runs
       cargo xtask limits [--check]                 writes docs/limits.md from the `limits.rs` files, or compares it
       cargo xtask descriptors [--check]            writes Envoy's descriptors anew, or compares them
       cargo xtask instructions                     counts the instructions of warm exchanges, with valgrind
       cargo xtask dist [PROGRAM…]                  builds what is shipped, by the profiles of its load
       cargo xtask profile [PROGRAM…]               takes those profiles anew
       cargo xtask peers [NAME…]                    installs what tests and the load comparison run beside us

TIDEGATE_REQUIRE_PEERS=1 makes a program that cannot be had a failure, instead of a line `not run: X, because Y`";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test", arguments @ ..] => test::run(arguments),
        ["check", stages @ ..] => check::run(stages).map(|()| ExitCode::SUCCESS),
        ["fuzz", "--smoke"] => fuzz::smoke().map(|()| ExitCode::SUCCESS),
        ["limits"] => limits::write().map(|()| ExitCode::SUCCESS),
        ["limits", "--check"] => limits::check().map(|()| ExitCode::SUCCESS),
        ["descriptors"] => descriptors::write().map(|()| ExitCode::SUCCESS),
        ["descriptors", "--check"] => descriptors::check().map(|()| ExitCode::SUCCESS),
        ["instructions", arguments @ ..] => instructions::count(arguments).map(|()| ExitCode::SUCCESS),
        ["profile", names @ ..] => dist::profile(names).map(|()| ExitCode::SUCCESS),
        ["dist", names @ ..] => dist::build(names).map(|()| ExitCode::SUCCESS),
        ["peers", names @ ..] => peers::install_named(names).map(|()| ExitCode::SUCCESS),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
