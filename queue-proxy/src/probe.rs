//! Is a replica ready?
//!
//! A readiness probe asks once ([`ReadinessProbe::attempt`]) or until it is ([`ReadinessProbe::until_ready`]). It
//! knows nothing of the process: whoever started that also watches for its end.
//!
//! ```no_run
//! # async fn example(probe: &tidegate_knative::object::Probe) -> Result<(), Box<dyn std::error::Error>> {
//! use tidegate_queue_proxy::probe::{Pace, ReadinessProbe, Replica};
//!
//! let probe = ReadinessProbe::new(probe, 8080)?;
//! let replica = Replica::at("127.0.0.1:41234".parse()?);
//! let ready = probe.until_ready(&replica, &Pace::LOCAL, std::time::Duration::from_secs(600)).await?;
//! println!("ready after {} attempts", ready.attempts);
//! # Ok(()) }
//! ```

mod exec;
mod failure;
mod grpc;
mod http;
mod tcp;

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_knative::object::{PortRef, Probe, ProbeHandler};
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub use exec::RunCommand;
pub use failure::{Failure, InvalidProbe, NotReady};

use crate::limits::{
    AGGRESSIVE_ATTEMPT_TIMEOUT, COMMAND_POLL, EAGER_POLL, EAGER_POLL_FOR, POLL, STANDARD_ATTEMPT_TIMEOUT,
};

#[cfg(test)]
mod tests;

/// The readiness probe of a container, checked and ready to run against any of its replicas.
#[derive(Clone, Debug)]
pub struct ReadinessProbe {
    check: Check,
    declared_port: u16,
    attempt_timeout: Duration,
    success_threshold: u32,
}

/// What is done at each attempt.
#[derive(Clone, Debug)]
enum Check {
    Http(Place, Box<http::Get>),
    Tcp(Place),
    Grpc(Place, grpc::Check),
    Exec(Vec<String>),
}

/// Which port of which host, as the probe names it.
#[derive(Clone, Debug)]
struct Place {
    host: Option<String>,
    port: PortRef,
}

/// What a probe asks.
#[derive(Clone, Copy, Debug)]
pub struct Replica<'a> {
    address: SocketAddr,
    commands: Option<&'a (dyn RunCommand + Sync)>,
}

impl<'a> Replica<'a> {
    /// A replica whose user port is `address`. Commands cannot be run in it.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            commands: None,
        }
    }

    /// The same, with a way to run commands in it.
    #[must_use]
    pub fn with_commands(self, commands: &'a (dyn RunCommand + Sync)) -> Self {
        Self {
            commands: Some(commands),
            ..self
        }
    }
}

/// How often a probe is repeated until it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The pause at first, as long as nobody listens.
    pub eager: Duration,
    /// How long that holds.
    pub eager_for: Duration,
    /// The pause otherwise.
    pub patient: Duration,
}

impl Pace {
    /// For replicas on the same machine: connecting in vain costs next to nothing there, so the first second is
    /// polled eagerly.
    pub const LOCAL: Self = Self {
        eager: EAGER_POLL,
        eager_for: EAGER_POLL_FOR,
        patient: POLL,
    };

    /// Knative's own (Knative `pkg/queue/readiness`): the same pause all the time.
    pub const SIDECAR: Self = Self {
        eager: POLL,
        eager_for: Duration::ZERO,
        patient: POLL,
    };

    fn pause_after(&self, failure: Option<&Failure>, elapsed: Duration) -> Duration {
        match failure {
            Some(Failure::Connect { .. }) if elapsed < self.eager_for => self.eager,
            Some(Failure::Command { .. }) => self.patient.max(COMMAND_POLL),
            _ => self.patient,
        }
    }
}

/// A replica that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Attempts that it took.
    pub attempts: u32,
    /// From the first attempt to the last answer.
    pub took: Duration,
}

impl ReadinessProbe {
    /// Checks a probe of a container that declares `declared_port` as its user port.
    ///
    /// With `periodSeconds: 0` an attempt may take 100 ms (Knative's aggressive mode), else `timeoutSeconds`. The
    /// period itself, the initial delay and the threshold of failures are the kubelet's: nobody else heeds them.
    ///
    /// # Errors
    /// A probe that could never succeed here.
    pub fn new(probe: &Probe, declared_port: u16) -> Result<Self, InvalidProbe> {
        let attempt_timeout = match (probe.period_seconds, probe.timeout_seconds) {
            (0, _) => AGGRESSIVE_ATTEMPT_TIMEOUT,
            (_, 0) => STANDARD_ATTEMPT_TIMEOUT,
            (_, seconds) => Duration::from_secs(u64::from(seconds)),
        };
        Ok(Self {
            check: Check::new(&probe.handler)?,
            declared_port,
            attempt_timeout,
            success_threshold: probe.success_threshold.max(1),
        })
    }

    /// The same probe, which over HTTP finds out at each attempt whether HTTP/2 is spoken without TLS, and prefers it.
    #[must_use]
    pub fn detecting_http2(self) -> Self {
        let check = match self.check {
            Check::Http(place, get) => Check::Http(place, Box::new(get.detecting())),
            other => other,
        };
        Self { check, ..self }
    }

    /// Successful attempts in a row that make a replica ready; at least 1.
    #[must_use]
    pub fn success_threshold(&self) -> u32 {
        self.success_threshold
    }

    /// Asks once.
    ///
    /// Cancel-safe: dropping the future closes the connection.
    ///
    /// # Errors
    /// Why the replica does not count as ready.
    pub async fn attempt(&self, replica: &Replica<'_>) -> Result<(), Failure> {
        match timeout(self.attempt_timeout, self.run(replica)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Failure::Timeout {
                after: self.attempt_timeout,
            }),
        }
    }

    /// Asks until the replica is ready, at most for `limit`.
    ///
    /// Cancel-safe, but what was counted so far is lost.
    ///
    /// # Errors
    /// The last failure, when the limit has passed.
    pub async fn until_ready(
        &self,
        replica: &Replica<'_>,
        pace: &Pace,
        limit: Duration,
    ) -> Result<Ready, NotReady> {
        let started = Instant::now();
        let mut tries = Tries::default();
        let polling = async {
            loop {
                tries.attempts += 1;
                let failure = self.attempt(replica).await.err();
                tries.successes = if failure.is_some() { 0 } else { tries.successes + 1 };
                if tries.successes >= self.success_threshold {
                    return;
                }
                let pause = pace.pause_after(failure.as_ref(), started.elapsed());
                tries.last_failure = failure.or(tries.last_failure.take());
                sleep(pause).await;
            }
        };
        let deadline = started.checked_add(limit);
        let is_ready = match deadline {
            Some(deadline) => timeout_at(deadline, polling).await.is_ok(),
            None => {
                polling.await;
                true
            }
        };
        let took = started.elapsed();
        match is_ready {
            true => Ok(Ready {
                attempts: tries.attempts,
                took,
            }),
            false => Err(NotReady {
                attempts: tries.attempts,
                took,
                last: tries.last_failure,
            }),
        }
    }

    async fn run(&self, replica: &Replica<'_>) -> Result<(), Failure> {
        match &self.check {
            Check::Tcp(place) => tcp::connect(&self.authority(place, replica)).await.map(drop),
            Check::Http(place, get) => get.send(&self.authority(place, replica)).await,
            Check::Grpc(place, check) => check.call(&self.authority(place, replica)).await,
            Check::Exec(command) => exec::run(command, replica.commands).await,
        }
    }

    /// Where to connect: the declared port stands for whichever port the replica was given.
    fn authority(&self, place: &Place, replica: &Replica<'_>) -> Authority {
        let port = match place.port.resolve(self.declared_port) {
            port if port == self.declared_port => replica.address.port(),
            other => other,
        };
        match &place.host {
            Some(host) => Authority {
                host: host.clone(),
                port,
            },
            None => Authority {
                host: replica.address.ip().to_string(),
                port,
            },
        }
    }
}

/// What happened so far.
#[derive(Debug, Default)]
struct Tries {
    attempts: u32,
    successes: u32,
    last_failure: Option<Failure>,
}

/// A host, by name or address, and a port.
#[derive(Clone, Debug)]
struct Authority {
    host: String,
    port: u16,
}

impl Authority {
    /// Whether its host is this one, or below it.
    fn is_within(&self, host: &str) -> bool {
        let (ours, host) = (self.host.to_ascii_lowercase(), host.to_ascii_lowercase());
        let below = ours.strip_suffix(&host);
        below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    }
}

impl std::fmt::Display for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Check {
    fn new(handler: &ProbeHandler) -> Result<Self, InvalidProbe> {
        let place = |host: &Option<String>, port: &PortRef| Place {
            host: host.clone().filter(|host| !host.is_empty()),
            port: port.clone(),
        };
        match handler {
            ProbeHandler::HttpGet {
                path,
                port,
                host,
                scheme,
                http_headers,
            } => Ok(Self::Http(
                place(host, port),
                Box::new(http::Get::new(path, *scheme, http_headers)?),
            )),
            ProbeHandler::TcpSocket { port, host } => Ok(Self::Tcp(place(host, port))),
            ProbeHandler::Grpc { port, service } => {
                Ok(Self::Grpc(place(&None, port), grpc::Check::new(service)))
            }
            ProbeHandler::Exec { command } if command.is_empty() => Err(InvalidProbe::EmptyCommand),
            ProbeHandler::Exec { command } => Ok(Self::Exec(command.clone())),
        }
    }
}
