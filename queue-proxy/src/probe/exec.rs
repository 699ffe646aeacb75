//! Does a command succeed?

use std::fmt::Debug;
use std::pin::Pin;

use super::Failure;

/// A way to run a command in a replica; whoever started that knows one.
pub trait RunCommand: Debug {
    /// Runs program and arguments to their end. Dropping the future ends the command.
    ///
    /// # Errors
    /// How it ended, if not well: `exit status 1`.
    fn run<'a>(
        &'a self,
        command: &'a [String],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
}

pub(super) async fn run(
    command: &[String],
    commands: Option<&(dyn RunCommand + Sync)>,
) -> Result<(), Failure> {
    let commands = commands.ok_or(Failure::ExecNotSupported)?;
    let failed = |message| Failure::Command {
        command: command.first().cloned().unwrap_or_default(),
        message,
    };
    commands.run(command).await.map_err(failed)
}
