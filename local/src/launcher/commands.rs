//! How an exec probe's command runs beside a replica that is a process.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;

use tidegate_queue_proxy::probe::RunCommand;
use tokio::process::Command;

use crate::exit::Exit;

/// Runs commands with a replica's environment, in its directory.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    environment: Vec<(String, String)>,
    working_dir: Option<PathBuf>,
}

impl Commands {
    pub(crate) fn new(environment: Vec<(String, String)>, working_dir: Option<PathBuf>) -> Self {
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
        let status = command.status().await.map_err(|error| error.to_string())?;
        if status.success() {
            Ok(())
        } else {
            Err(Exit::from(status).to_string())
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
