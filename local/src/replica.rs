//! What is the life of one replica that runs as a process?
//!
//! `launch` → starting → listening → ready → stopping → exited, or from anywhere straight to exited. The process leads
//! a group of its own; the group lives and ends as a pod's container does: with its first process, or, after a request to stop,
//! as soon as all members are gone.

mod launch_error;
mod program;
pub(crate) mod stop;
pub(crate) mod supervisor;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tidegate_proxy::process;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::exit::Exit;
use crate::group::ProcessGroup;
use crate::host::Host;
use crate::names::INSTANCE_VARIABLE;
use crate::output::ReplicaOutput;
use crate::ports::PortLease;
use crate::ports::listening::{self, Owner};
use stop::{StopOrder, StopSender};
use supervisor::Supervisor;

pub use launch_error::LaunchError;

/// Which replica this is. Written as `service/revision/index`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaName {
    /// The Service's name, or the Configuration's where there is no Service.
    pub service: String,
    /// The Revision's name.
    pub revision: String,
    /// The replica's number within the revision, from 1.
    pub index: u32,
}

impl fmt::Display for ReplicaName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.service, self.revision, self.index)
    }
}

/// A program and what it is called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program: a path if it contains a slash, else looked for on `PATH`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl CommandLine {
    /// The first word is the program. `None` if there is none, or it is empty.
    #[must_use]
    pub fn new(words: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty())?;
        Some(Self {
            program,
            arguments: words.collect(),
        })
    }
}

/// All that is needed to start a replica as a process.
#[derive(Debug)]
pub struct Launch {
    /// Which replica it is.
    pub name: ReplicaName,
    /// What to run.
    pub command: CommandLine,
    /// The whole environment: nothing else is handed down, except the instance's id.
    pub environment: Vec<(String, String)>,
    /// Where it runs; relative programs count from here. Default: tidegate's own directory.
    pub working_dir: Option<PathBuf>,
    /// The port it has to listen on, kept until it is gone.
    pub port: PortLease,
}

/// How far a replica's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The process was started.
    Starting,
    /// Its port accepts connections.
    Listening,
    /// Its readiness probe passed.
    Ready,
    /// It was asked to stop.
    Stopping,
    /// It is gone.
    Exited(Exit),
}

impl State {
    /// A life goes one way.
    fn stage(self) -> u8 {
        match self {
            Self::Starting => 0,
            Self::Listening => 1,
            Self::Ready => 2,
            Self::Stopping => 3,
            Self::Exited(_) => 4,
        }
    }

    /// Whether the process is gone.
    #[must_use]
    pub fn exit(self) -> Option<Exit> {
        match self {
            Self::Exited(exit) => Some(exit),
            _ => None,
        }
    }
}

/// A running replica, process or container. Dropped, it is killed at once.
#[derive(Debug)]
pub struct Replica {
    name: ReplicaName,
    /// Its first process; none for a container.
    pid: Option<u32>,
    endpoint: Arc<OnceLock<SocketAddr>>,
    launched: Instant,
    output: ReplicaOutput,
    state: Arc<watch::Sender<State>>,
    stop_by: StopSender,
}

/// The other end of a [`Replica`]: what the task that lives its life works with.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) output: ReplicaOutput,
    pub(crate) state: Arc<watch::Sender<State>>,
    pub(crate) endpoint: Arc<OnceLock<SocketAddr>>,
    pub(crate) stop_order: StopOrder,
}

impl Replica {
    /// Starts a process, and the task that waits for its end.
    ///
    /// # Errors
    /// When the program cannot be started; the error says what to do.
    pub fn launch(launch: Launch, host: &Host) -> Result<Self, LaunchError> {
        let (mut replica, life) = Self::begin(launch.name.clone(), host);
        let child = spawn(&launch, host)?;
        let (pid, group) = child
            .id()
            .and_then(|pid| Some((pid, ProcessGroup::led_by(pid)?)))
            .ok_or(LaunchError::AlreadyGone)?;
        replica.pid = Some(pid);
        let _first = replica.endpoint.set(launch.port.address()).is_ok();
        let supervisor = Supervisor {
            group: group.into(),
            child,
            life,
            _registration: host.guardian.register(group),
            _port: launch.port,
        };
        // The guard keeps the drain open until the task is done; its handle is not needed.
        drop(process::spawn("replica", host.tasks.guard(), supervisor.run()));
        Ok(replica)
    }

    /// A replica that is about to start, and its life.
    pub(crate) fn begin(name: ReplicaName, host: &Host) -> (Self, Life) {
        let output = host.terminal.replica(&name);
        let state = Arc::new(watch::Sender::new(State::Starting));
        let endpoint = Arc::new(OnceLock::new());
        let (stop_by, stop_order) = stop::order();
        let life = Life {
            output: output.clone(),
            state: Arc::clone(&state),
            endpoint: Arc::clone(&endpoint),
            stop_order,
        };
        let launched = Instant::now();
        (
            Self {
                name,
                pid: None,
                endpoint,
                launched,
                output,
                state,
                stop_by,
            },
            life,
        )
    }

    /// Which replica it is.
    #[must_use]
    pub fn name(&self) -> &ReplicaName {
        &self.name
    }

    /// The process id of its first process; `None` for a container.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Where it is reached once it listens. A container has no address until the engine has published its port.
    #[must_use]
    pub fn endpoint(&self) -> Option<SocketAddr> {
        self.endpoint.get().copied()
    }

    /// When it was started.
    #[must_use]
    pub fn launched(&self) -> Instant {
        self.launched
    }

    /// The last lines of its output, oldest first.
    #[must_use]
    pub fn tail(&self) -> Vec<String> {
        self.output.tail()
    }

    /// Who listens on its port. `Unknown` for a container: its ports are the engine's.
    #[must_use]
    pub fn port_owner(&self) -> Owner {
        match (self.endpoint(), self.pid) {
            (Some(endpoint), Some(pid)) => listening::owner(endpoint.port(), pid),
            _ => Owner::Unknown,
        }
    }

    /// What to tell the developer if a process opened another port than the one it was given.
    #[must_use]
    pub fn port_advice(&self) -> Option<String> {
        let (endpoint, pid) = (self.endpoint()?, self.pid?);
        listening::advice(
            &self.name.service,
            endpoint.port(),
            &listening::listening_ports(pid),
        )
    }

    /// How far its life has come; the receiver sees every later change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Notes that its port accepts connections. Nothing happens if its life has already come further.
    pub fn mark_listening(&self) {
        advance(&self.state, State::Listening);
    }

    /// Notes that its readiness probe passed. Nothing happens if its life has already come further.
    pub fn mark_ready(&self) {
        advance(&self.state, State::Ready);
    }

    /// Resolves when it is gone: all processes of its group, and its output read. Safe to drop.
    pub fn exited(&self) -> impl Future<Output = Exit> + Send + use<> {
        exited(self.state.subscribe())
    }

    /// Asks it to stop (SIGTERM to the group) and resolves when it is gone. What is left after `grace` is killed. A
    /// second call may shorten the grace, not lengthen it. The stop goes on if the future is dropped.
    pub fn stop(&self, grace: Duration) -> impl Future<Output = Exit> + Send + use<> {
        self.stop_by.within(grace);
        self.exited()
    }
}

async fn exited(mut state: watch::Receiver<State>) -> Exit {
    match state.wait_for(|state| state.exit().is_some()).await {
        Ok(state) => state.exit().unwrap_or(Exit::Unknown),
        // The supervisor broke off with its runtime, and has killed the group.
        Err(_closed) => Exit::Unknown,
    }
}

impl Life {
    /// Notes that the replica is asked to stop.
    pub(crate) fn stopping(&self) {
        advance(&self.state, State::Stopping);
    }

    /// Notes the end, the last thing in a life.
    pub(crate) fn exited(&self, exit: Exit) {
        advance(&self.state, State::Exited(exit));
    }
}

fn advance(state: &watch::Sender<State>, next: State) {
    state.send_if_modified(|state| {
        let forward = next.stage() > state.stage();
        if forward {
            *state = next;
        }
        forward
    });
}

fn spawn(launch: &Launch, host: &Host) -> Result<Child, LaunchError> {
    if let Some(missing) = launch
        .working_dir
        .as_deref()
        .filter(|directory| !directory.is_dir())
    {
        return Err(LaunchError::WorkingDirMissing(missing.to_owned()));
    }
    let program = program::find(launch)?;
    let mut command = Command::new(&program);
    command
        .arg0(&launch.command.program)
        .args(&launch.command.arguments)
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .env(INSTANCE_VARIABLE, host.instance.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(directory) = &launch.working_dir {
        command.current_dir(directory);
    }
    command
        .spawn()
        .map_err(|error| LaunchError::explain(launch, &program, error))
}

#[cfg(test)]
mod tests;
