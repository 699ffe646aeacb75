//! How does a container with only an image run? Through the local container engine, where one answers.
//!
//! Docker's API, which Podman speaks too: at `DOCKER_HOST` if that is set, else at the usual sockets. Every container
//! carries the instance's label, so that the guardian and the next start find what a killed tidegate left.

mod create;
mod error;
mod supervisor;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};
use futures_util::future::join_all;
use tidegate_proxy::process;
use tokio::time::timeout;

use crate::host::Host;
use crate::instance::{self, Instance};
use crate::launch::ContainerPlan;
use crate::limits::ENGINE_ANSWER;
use crate::names::{CONTAINER_PREFIX, ENGINE_HOST_VARIABLE, INSTANCE_LABEL};
use crate::replica::{Replica, ReplicaName};
use supervisor::Supervisor;

pub use error::EngineError;

/// Where engines listen on Linux and macOS when nothing else is said: below the root, the home and the runtime directory.
const SYSTEM_SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
const HOME_SOCKET: &str = ".docker/run/docker.sock";
const RUNTIME_SOCKET: &str = "podman/podman.sock";

/// The local container engine. Clones are the same engine.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
}

/// All that is needed to run a replica as a container.
#[derive(Clone, Debug)]
pub struct ContainerLaunch {
    /// Which replica it is.
    pub name: ReplicaName,
    /// What to run.
    pub plan: ContainerPlan,
    /// What the container sees of its environment, and what its arguments may refer to.
    pub environment: BTreeMap<String, String>,
}

impl Engine {
    /// The engine of this machine: the one that `DOCKER_HOST` names, or the first that answers at a usual socket.
    ///
    /// # Errors
    /// When none answers within [`ENGINE_ANSWER`]; the error names both ways out.
    pub async fn connect() -> Result<Self, EngineError> {
        let candidates = match std::env::var(ENGINE_HOST_VARIABLE) {
            Ok(host) if !host.is_empty() => vec![host],
            _ => usual_sockets()
                .into_iter()
                .map(|path| format!("unix://{}", path.display()))
                .collect(),
        };
        let mut tried = Vec::new();
        for host in candidates {
            match Self::connect_to(&host).await {
                Ok(engine) => return Ok(engine),
                Err(error) => tried.push(format!("{host}: {error}")),
            }
        }
        Err(EngineError::NoEngine { tried })
    }

    /// The engine at `unix://PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`.
    ///
    /// # Errors
    /// When it does not answer within [`ENGINE_ANSWER`].
    pub async fn connect_to(host: &str) -> Result<Self, EngineError> {
        let docker =
            Docker::connect_with_host(host).map_err(|error| EngineError::refused("the address", error))?;
        match timeout(ENGINE_ANSWER, docker.ping()).await {
            Ok(Ok(_pong)) => Ok(Self { docker }),
            Ok(Err(error)) => Err(EngineError::refused("a ping", error)),
            Err(_elapsed) => Err(EngineError::Silent),
        }
    }

    /// Begins to run a container; the image is pulled first if the policy says so. What goes wrong on the way stands in
    /// the replica's output, and ends it as [`Exit::NotCreated`](crate::exit::Exit::NotCreated).
    #[must_use]
    pub fn launch(&self, launch: ContainerLaunch, host: &Host) -> Replica {
        let (replica, life) = Replica::begin(launch.name.clone(), host);
        let container = format!(
            "{CONTAINER_PREFIX}{}-{}-{}",
            launch.name.revision,
            launch.name.index,
            instance::unique()
        );
        let supervisor = Supervisor {
            docker: self.docker.clone(),
            instance: host.instance.clone(),
            container,
            launch,
            life,
        };
        // The guard keeps the drain open until the task is done; its handle is not needed.
        drop(process::spawn("container", host.tasks.guard(), supervisor.run()));
        replica
    }

    /// Removes every container of an instance, running or not; returns how many there were.
    ///
    /// # Errors
    /// When the engine does not list its containers. One that cannot be removed is logged and counted.
    pub async fn remove_all(&self, instance: &Instance) -> Result<usize, EngineError> {
        let label = format!("{INSTANCE_LABEL}={instance}");
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
            ..ListContainersOptions::default()
        };
        let listed = self.docker.list_containers(Some(options)).await;
        let found = listed.map_err(|error| EngineError::refused("a list of containers", error))?;
        let ids: Vec<String> = found.into_iter().filter_map(|container| container.id).collect();
        join_all(ids.iter().map(|id| remove(&self.docker, id))).await;
        Ok(ids.len())
    }
}

fn usual_sockets() -> Vec<PathBuf> {
    let below = |variable: &str, path: &str| Some(PathBuf::from(std::env::var_os(variable)?).join(path));
    let own = [
        below("HOME", HOME_SOCKET),
        below("XDG_RUNTIME_DIR", RUNTIME_SOCKET),
    ];
    let all = SYSTEM_SOCKETS
        .into_iter()
        .map(PathBuf::from)
        .chain(own.into_iter().flatten());
    all.collect()
}

/// Ends and removes a container. One that is gone already is as good as removed.
async fn remove(docker: &Docker, container: &str) {
    let options = RemoveContainerOptions {
        v: true,
        force: true,
        ..RemoveContainerOptions::default()
    };
    match docker.remove_container(container, Some(options)).await {
        Ok(()) => {}
        Err(error) if error::is_not_found(&error) => {}
        Err(error) => tracing::warn!(container, %error, "a container cannot be removed: remove it by hand"),
    }
}

/// A client whose requests may take this long beyond the usual.
fn patient(docker: &Docker, patience: Duration) -> Docker {
    let docker = docker.clone();
    let usual = docker.timeout();
    docker.with_timeout(usual + patience)
}

#[cfg(test)]
mod tests;
