//! Who brings a container up, reads its output, stops it, and removes it in the end?

use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    KillContainerOptions, LogsOptions, StopContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use tokio::time::sleep;

use super::error::{EngineError, is_not_found};
use super::{ContainerLaunch, create, patient, remove};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::limits::ENGINE_RETRY;
use crate::output::ReplicaOutput;
use crate::replica::Life;
use crate::replica::supervisor::with_output;

/// Owns a container from before it is created until it is removed.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) docker: Docker,
    pub(super) instance: Instance,
    pub(super) container: String,
    pub(super) launch: ContainerLaunch,
    pub(super) life: Life,
}

impl Supervisor {
    /// Runs until the container is removed.
    pub(super) async fn run(mut self) {
        let exit = match self.bring_up().await {
            Ok(true) => self.live().await,
            Ok(false) => {
                self.life.stopping();
                Exit::NotCreated
            }
            Err(error) => {
                self.life.output.line(&format!("({error})"));
                Exit::NotCreated
            }
        };
        remove(&self.docker, &self.container).await;
        self.life.exited(exit);
    }

    /// From the image to a running container. False when it was asked to stop while the image came.
    async fn bring_up(&mut self) -> Result<bool, EngineError> {
        let Self {
            docker,
            instance,
            container,
            launch,
            life,
        } = self;
        let image = create::provide_image(docker, launch, &life.output);
        tokio::select! {
            provided = image => provided?,
            _grace = life.stop_order.asked() => return Ok(false),
        }
        // Not cut midway: a request that the engine still works on would leave a container behind.
        create::start(docker, launch, instance, container).await?;
        Ok(true)
    }

    async fn live(&mut self) -> Exit {
        let already_ended = match self.find_port().await {
            Ok(exit) => exit,
            Err(error) => {
                self.life.output.line(&format!("({error})"));
                return Exit::NotCreated;
            }
        };
        let (docker, container) = (self.docker.clone(), self.container.clone());
        let output = self.life.output.clone();
        let serve = async {
            match already_ended {
                Some(exit) => exit,
                None => self.serve().await,
            }
        };
        with_output(serve, read(&docker, &container, &output)).await
    }

    async fn serve(&mut self) -> Exit {
        tokio::select! {
            exit = ended(&self.docker, &self.container) => exit,
            grace = self.life.stop_order.asked() => self.stop(grace).await,
        }
    }

    /// Notes where the port is published; returns the exit if there is none because the container has ended.
    async fn find_port(&self) -> Result<Option<Exit>, EngineError> {
        let inspected = self.docker.inspect_container(&self.container, None).await;
        let inspected = inspected.map_err(|error| EngineError::refused("a look at the container", error))?;
        if let Some(exit) = exit_of(&inspected) {
            return Ok(Some(exit));
        }
        let address = create::published(inspected.network_settings, self.launch.plan.port);
        let address = address.ok_or_else(|| EngineError::NotPublished(self.container.clone()))?;
        let _first = self.life.endpoint.set(address).is_ok();
        Ok(None)
    }

    async fn stop(&mut self, grace: Duration) -> Exit {
        self.life.stopping();
        let docker = patient(&self.docker, grace);
        let graceful = async {
            let seconds = i32::try_from(grace.as_secs().max(1)).unwrap_or(i32::MAX);
            let options = StopContainerOptions {
                t: Some(seconds),
                ..StopContainerOptions::default()
            };
            if let Err(error) = docker.stop_container(&self.container, Some(options)).await {
                tracing::debug!(container = self.container, %error, "the container was not stopped");
            }
            ended(&self.docker, &self.container).await
        };
        let in_time = tokio::select! {
            exit = graceful => Some(exit),
            () = self.life.stop_order.forced() => None,
        };
        match in_time {
            Some(exit) => exit,
            None => self.kill().await,
        }
    }

    async fn kill(&self) -> Exit {
        let options = KillContainerOptions {
            signal: "KILL".to_owned(),
        };
        match self.docker.kill_container(&self.container, Some(options)).await {
            Ok(()) => ended(&self.docker, &self.container).await,
            Err(error) => {
                // It is removed by force in any case.
                tracing::debug!(container = self.container, %error, "the container was not killed");
                Exit::Unknown
            }
        }
    }
}

/// Resolves when the container has ended, however often the engine has to be asked.
async fn ended(docker: &Docker, container: &str) -> Exit {
    loop {
        let options = WaitContainerOptions {
            condition: "not-running".to_owned(),
        };
        let mut wait = std::pin::pin!(docker.wait_container(container, Some(options)));
        match wait.next().await {
            Some(Ok(answer)) => return Exit::of_container(answer.status_code),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => {
                return Exit::of_container(code);
            }
            Some(Err(error)) if is_not_found(&error) => return Exit::Unknown,
            // The engine was restarted, or does not keep a request open for so long.
            Some(Err(_)) | None => {}
        }
        match docker.inspect_container(container, None).await {
            Ok(inspected) => {
                if let Some(exit) = exit_of(&inspected) {
                    return exit;
                }
            }
            Err(error) if is_not_found(&error) => return Exit::Unknown,
            Err(error) => tracing::debug!(container, %error, "the container engine does not answer"),
        }
        sleep(ENGINE_RETRY).await;
    }
}

fn exit_of(inspected: &ContainerInspectResponse) -> Option<Exit> {
    let state = inspected.state.as_ref()?;
    (state.running == Some(false)).then(|| state.exit_code.map_or(Exit::Unknown, Exit::of_container))
}

/// Follows the container's output to its end.
async fn read(docker: &Docker, container: &str, output: &ReplicaOutput) {
    let options = LogsOptions {
        follow: true,
        stdout: true,
        stderr: true,
        tail: "all".to_owned(),
        ..LogsOptions::default()
    };
    let (mut stdout, mut stderr) = (output.lines(), output.lines());
    let mut logs = std::pin::pin!(docker.logs(container, Some(options)));
    while let Some(piece) = logs.next().await {
        match piece {
            Ok(LogOutput::StdErr { message }) => stderr.feed(&message),
            Ok(piece) => stdout.feed(&piece.into_bytes()),
            Err(error) => {
                tracing::debug!(container, %error, "a container's output broke off");
                break;
            }
        }
    }
    stdout.finish();
    stderr.finish();
}
