//! How a replica that was launched becomes ready, or why it does not.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_activator::Timeline;
use tidegate_queue_proxy::probe::{self, Pace, ReadinessProbe};
use tokio::net::TcpStream;

use super::starts::Failed;
use crate::launcher::commands::Commands;
use crate::limits::{PORT_CHECK_INTERVAL, SLOW_START_NOTICE, WRONG_PORT_PATIENCE};
use crate::ports::listening::Owner;
use crate::replica::Replica;

/// A replica that is to become ready.
pub(super) struct Candidate {
    pub(super) replica: Arc<Replica>,
    pub(super) probe: ReadinessProbe,
    pub(super) commands: Option<Commands>,
    /// How long it may take.
    pub(super) deadline: Duration,
}

/// A replica that is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(super) address: SocketAddr,
    pub(super) timeline: Timeline,
}

impl Ready {
    pub(super) fn took(self) -> Duration {
        self.timeline.ready.duration_since(self.timeline.launched)
    }
}

impl Candidate {
    /// Waits until the replica is ready, has ended, or plainly does something else. `notice` is told what a
    /// developer should look at while it goes on.
    pub(super) async fn bring_up(&self, notice: impl Fn(&str)) -> Result<Ready, Failed> {
        tokio::select! {
            biased;
            exit = self.replica.exited() => {
                let message = format!("it {exit} before it was ready{}", last_words(&self.replica));
                Err(Failed::perhaps(message))
            }
            ready = self.become_ready() => ready,
            failed = self.watch_ports(&notice) => Err(failed),
        }
    }

    async fn become_ready(&self) -> Result<Ready, Failed> {
        let launched = self.replica.launched();
        let Ok(address) = tokio::time::timeout(self.deadline, self.accepts()).await else {
            return Err(self.too_late("its port never opened"));
        };
        let listening = Instant::now();
        self.replica.mark_listening();
        let asked = probe::Replica::at(address);
        let asked = match &self.commands {
            Some(commands) => asked.with_commands(commands),
            None => asked,
        };
        let left = self.deadline.saturating_sub(launched.elapsed());
        match self.probe.until_ready(&asked, &Pace::LOCAL, left).await {
            Ok(_ready) => Ok(Ready {
                address,
                timeline: Timeline {
                    launched,
                    listening,
                    ready: Instant::now(),
                },
            }),
            Err(not_ready) => Err(self.too_late(&not_ready.to_string())),
        }
    }

    fn too_late(&self, why: &str) -> Failed {
        let (seconds, last_words) = (self.deadline.as_secs(), last_words(&self.replica));
        Failed::surely(format!("it was not ready within {seconds} s: {why}{last_words}"))
    }

    /// Resolves with the replica's address when it accepts connections there: the replica itself, not another
    /// program that has taken the port.
    async fn accepts(&self) -> SocketAddr {
        let pace = Pace::LOCAL;
        loop {
            let is_young = self.replica.launched().elapsed() < pace.eager_for;
            let mut pause = if is_young { pace.eager } else { pace.patient };
            if let Some(address) = self.replica.endpoint()
                && TcpStream::connect(address).await.is_ok()
            {
                if matches!(self.replica.port_owner(), Owner::Replica | Owner::Unknown) {
                    return address;
                }
                // Looking for the owner costs more than connecting.
                pause = pace.patient;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Resolves when the replica plainly listens elsewhere, or somebody else listens in its place, and neither changes.
    /// A developer is told at once; some programs open another port first, for a debugger say.
    async fn watch_ports(&self, notice: &impl Fn(&str)) -> Failed {
        let mut stray_since: Option<Instant> = None;
        let mut is_silent = true;
        loop {
            tokio::time::sleep(PORT_CHECK_INTERVAL).await;
            match (self.stray(), stray_since) {
                (Some(message), Some(since)) if since.elapsed() >= WRONG_PORT_PATIENCE => {
                    return Failed::surely(message);
                }
                (Some(message), None) => {
                    notice(&format!("is not ready: {message}"));
                    stray_since = Some(Instant::now());
                }
                (None, Some(_)) => stray_since = None,
                (Some(_), Some(_)) | (None, None) => {}
            }
            if is_silent && self.replica.launched().elapsed() >= SLOW_START_NOTICE {
                is_silent = false;
                let seconds = SLOW_START_NOTICE.as_secs();
                notice(&format!(
                    "is not ready after {seconds} s: does it listen on $PORT and pass its probe?"
                ));
            }
        }
    }

    /// What is wrong about who listens where, if anything.
    fn stray(&self) -> Option<String> {
        if self.replica.port_owner() == Owner::Stranger {
            let port = self.replica.endpoint().map_or(0, |address| address.port());
            return Some(format!(
                "$PORT ({port}) is held by a process that is not the replica's own: does it start its server through a \
                 daemon?"
            ));
        }
        self.replica.port_advice()
    }
}

/// The last lines of its output, introduced; empty when it said nothing.
pub(super) fn last_words(replica: &Replica) -> String {
    let tail = replica.tail();
    let mut words = String::new();
    if !tail.is_empty() {
        words.push_str("; its last lines:");
    }
    for line in tail {
        // Writing to a string cannot fail.
        let _infallible = write!(words, "\n  {line}").is_ok();
    }
    words
}
