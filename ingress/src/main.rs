//! An Envoy-compatible ingress.

use std::io::{self, Write};
use std::process::ExitCode;

use tidegate_ingress::flags::{Flags, Mode, Request};
use tidegate_ingress::{logging, start, validate};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Flags::parse(std::env::args()) {
        Ok(Request::Print(text)) => {
            say(io::stdout(), &text);
            ExitCode::SUCCESS
        }
        Ok(Request::Run(flags)) => run(&flags),
        Err(error) => {
            say(io::stderr(), &error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Writes a line, to whoever still reads: nobody to read it is no failure of the program.
fn say(mut to: impl Write, line: &str) {
    _ = writeln!(to, "{line}").and_then(|()| to.flush());
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
                say(
                    io::stdout(),
                    &format!("configuration '{}' OK", flags.config_name()),
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(io::stderr(), &error);
            ExitCode::FAILURE
        }
    }
}
