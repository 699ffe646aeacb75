//! How does the sidecar start as a program of its own?

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "nothing else is there to say it")]
fn main() -> ExitCode {
    eprintln!("tidegate-queue-proxy: the program is not built yet");
    ExitCode::FAILURE
}
