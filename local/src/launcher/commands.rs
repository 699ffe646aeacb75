//! How an exec probe's command runs beside a replica that is a process.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;

use tidegate_queue_proxy::probe::RunCommand;
use tokio::process::Command;

use crate::exit::Exit;
use crate::group::ProcessGroup;
use crate::instance::Instance;
use crate::names::INSTANCE_VARIABLE;

/// Runs commands with a replica's environment, in its directory.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    environment: Vec<(String, String)>,
    working_dir: Option<PathBuf>,
}

impl Commands {
    /// They carry the instance's id, as replicas do: whatever is left of them is found.
    pub(crate) fn new(
        instance: &Instance,
        mut environment: Vec<(String, String)>,
        working_dir: Option<PathBuf>,
    ) -> Self {
        environment.push((INSTANCE_VARIABLE.to_owned(), instance.to_string()));
        Self {
            environment,
            working_dir,
        }
    }

    async fn success(&self, words: &[String]) -> Result<(), String> {
        let Some((program, arguments)) = words.split_first() else {
            return Err("is empty".to_owned());
        };
        let mut command = Command::new(program);
        let variables = self.environment.iter().map(|(name, value)| (name, value));
        command
            .args(arguments)
            .env_clear()
            .envs(variables)
            .kill_on_drop(true);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(folder) = &self.working_dir {
            command.current_dir(folder);
        }
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let _group = KillOnDrop(child.id().and_then(ProcessGroup::led_by));
        let status = child.wait().await.map_err(|error| error.to_string())?;
        if status.success() {
            Ok(())
        } else {
            Err(Exit::from(status).to_string())
        }
    }
}

/// Ends a command with all that it has started, also when nobody waits for it any more.
struct KillOnDrop(Option<ProcessGroup>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            group.kill();
        }
    }
}

impl RunCommand for Commands {
    fn run<'a>(
        &'a self,
        command: &'a [String],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(self.success(command))
    }
}
