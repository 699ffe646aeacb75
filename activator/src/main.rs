//! How does the activator start as a program of its own?

use std::process::ExitCode;

use tidegate_activator::program::run::run;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match run(|key| std::env::var(key).ok()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the activator ends");
            ExitCode::FAILURE
        }
    }
}
