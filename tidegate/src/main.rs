//! The one command a person types.

use std::process::ExitCode;

mod cli;
#[cfg(feature = "xds")]
mod diff;
#[cfg(feature = "xds")]
mod explain;
#[cfg(feature = "xds")]
mod inspect;
mod logging;
mod sample;
mod up;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
