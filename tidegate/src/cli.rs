//! Which commands there are, and how a command line is read.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tidegate_local::instance::Instance;

#[cfg(feature = "xds")]
use crate::{diff, explain};
use crate::{logging, sample, up};

/// Runs Knative Services: as local processes with `up`, scaled from zero and back.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How much to log to standard error: off, error, warn, info, debug, trace, or a filter such as
    /// `info,tidegate_proxy=debug`.
    #[arg(
        long,
        global = true,
        env = "TIDEGATE_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    log: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the Knative Services in YAML files: starts their processes on the first request, stops them after
    /// a quiet while.
    #[command(after_help = up::EXIT_CODES)]
    Up(Box<up::UpArgs>),
    /// Runs one of the small servers that the examples use; it listens on $PORT.
    Sample(sample::SampleArgs),
    /// Says what an ingress would do with a request, and why not something else. Sends nothing.
    #[cfg(feature = "xds")]
    #[command(after_help = explain::EXIT_CODES)]
    Explain(explain::ExplainArgs),
    /// Says what one configuration of an ingress changes of another.
    #[cfg(feature = "xds")]
    #[command(after_help = diff::EXIT_CODES)]
    Diff(diff::DiffArgs),
    /// Ends what a killed `up` left behind. Started by `up`, not by people.
    #[command(name = tidegate_local::names::GUARDIAN_COMMAND, hide = true)]
    Guardian {
        /// The run of `up` that it belongs to.
        instance: Instance,
    },
}

/// Reads the command line and runs what it says.
pub(crate) fn main() -> ExitCode {
    let cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        // Prints help and versions to standard output, errors to standard error; usage errors exit with 2.
        Err(error) => error.exit(),
    };
    match cli.command {
        Command::Guardian { instance } => tidegate_local::guardian::main(&instance),
        Command::Up(args) => match logging::init(&cli.log) {
            Ok(()) => up::main(*args),
            Err(error) => up::usage_error(&error),
        },
        Command::Sample(args) => sample::main(args),
        #[cfg(feature = "xds")]
        Command::Explain(args) => explain::main(&args),
        #[cfg(feature = "xds")]
        Command::Diff(args) => diff::main(&args),
    }
}

fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let command = Cli::command().mut_subcommand("up", up::with_autoscaler_flags);
    let mut matches = command.try_get_matches_from(words)?;
    let autoscaling = matches
        .subcommand_matches("up")
        .map(up::autoscaler_flags)
        .unwrap_or_default();
    let mut cli = Cli::from_arg_matches_mut(&mut matches)?;
    if let Command::Up(args) = &mut cli.command {
        args.autoscaler = autoscaling;
    }
    Ok(cli)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command()
            .mut_subcommand("up", up::with_autoscaler_flags)
            .debug_assert();
    }

    #[test]
    fn every_autoscaler_key_is_a_flag_of_its_name() {
        for key in tidegate_knative::autoscaling::KEYS {
            let line = format!("tidegate up a.yaml --{}={}", key.name, key.default);
            assert!(read(&line).is_ok(), "{line}");
        }
    }

    #[test]
    fn up_needs_a_path() {
        let error = read("tidegate up").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("PATH"), "{error}");
    }
}
