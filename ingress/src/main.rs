//! An Envoy-compatible ingress.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what the command line asks for, and why the program ends, is for whoever called it"
)]

use std::process::ExitCode;

use tidegate_ingress::flags::{Flags, Mode, Request};
use tidegate_ingress::{logging, start, validate};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Flags::parse(std::env::args()) {
        Ok(Request::Print(text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Request::Run(flags)) => run(&flags),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> ExitCode {
    let ended = match flags.mode {
        Mode::Validate => validate(flags).map_err(|report| report.to_string()),
        Mode::Serve => {
            let loggers = logging::install(&flags.log);
            start::serve(flags, loggers).map_err(|error| error.to_string())
        }
    };
    match ended {
        Ok(()) => {
            if flags.mode == Mode::Validate {
                println!("configuration '{}' OK", flags.config_name());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
