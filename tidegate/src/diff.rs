//! `tidegate diff`: its flags, its exit codes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tidegate_ingress::diff::diff;
use tidegate_ingress::resources::Resources;

use crate::inspect::{self, Failure, Output};

/// What `tidegate diff --help` says about exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    there is no difference
  1    there are differences
  2    the command line is wrong
  65   a configuration is wrong; standard error says what and where";

const DIFFERS: u8 = 1;

/// The arguments of `tidegate diff`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DiffArgs {
    /// A bootstrap, a configuration dump in JSON, or a file of resources
    #[arg(value_name = "BEFORE")]
    before: PathBuf,

    /// The same, later
    #[arg(value_name = "AFTER")]
    after: PathBuf,

    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Runs `diff`.
pub(crate) fn main(args: &DiffArgs) -> ExitCode {
    inspect::end(run(args))
}

/// What is printed, and the exit code.
fn run(args: &DiffArgs) -> Result<(String, u8), Failure> {
    let (before, after) = (
        Resources::of_file(&args.before)?,
        Resources::of_file(&args.after)?,
    );
    let found = diff(&before, &after);
    let code = if found.differs { DIFFERS } else { 0 };
    Ok((inspect::print(&found.page, args.output), code))
}

#[cfg(test)]
mod tests;
