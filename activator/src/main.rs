//! How does the activator start as a program of its own?

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "nothing else is there to say it")]
fn main() -> ExitCode {
    eprintln!("tidegate-activator: the program is not built yet");
    ExitCode::FAILURE
}
