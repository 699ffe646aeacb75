//! How does the activator start as a program of its own?

use std::process::ExitCode;

use tidegate_activator::program::{log, run::run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let get = |key: &str| std::env::var(key).ok();
    let levels = log::install(&get("POD_NAME").unwrap_or_default());
    match run(get, &levels) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the activator ends");
            ExitCode::FAILURE
        }
    }
}
