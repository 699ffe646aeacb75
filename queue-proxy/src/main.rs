//! How does the sidecar start as a program of its own?

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate_queue_proxy::program::run()
}
