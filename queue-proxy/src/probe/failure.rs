//! Why does a replica not count as ready?

use std::io;
use std::time::Duration;

use thiserror::Error;

/// Why one attempt failed.
#[derive(Debug, Error)]
pub enum Failure {
    /// Nobody listens there yet, or the host has no address.
    #[error("connect to {address}: {source}")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The attempt took too long.
    #[error("no answer within {after:?}")]
    Timeout {
        /// The limit.
        after: Duration,
    },
    /// The answer is not a success.
    #[error("GET {path} answered {status}, not 200 to 399")]
    Status {
        /// What was asked for.
        path: String,
        /// What came.
        status: u16,
    },
    /// The connection ended early, or what came is not the protocol.
    #[error("{protocol}: {message}")]
    Protocol {
        /// What was spoken.
        protocol: &'static str,
        /// What went wrong.
        message: String,
    },
    /// The call of the health service failed, or its answer is not `SERVING`.
    #[error("the gRPC health service {answer}")]
    Health {
        /// What it answered.
        answer: String,
    },
    /// The command failed.
    #[error("command {command:?}: {message}")]
    Command {
        /// The program.
        command: String,
        /// How it ended.
        message: String,
    },
    /// There is no way to run a command in this replica.
    #[error("exec probe not supported")]
    ExecNotSupported,
}

/// Why a probe could never succeed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidProbe {
    /// The path cannot stand in a request.
    #[error("httpGet.path {0:?} is not a path: write it percent-encoded")]
    Path(String),
    /// A header cannot stand in a request.
    #[error("httpGet.httpHeaders: {0:?} is not a header")]
    Header(String),
    /// There is no command.
    #[error("exec.command is empty: name a program and its arguments")]
    EmptyCommand,
}

/// A replica that was not ready in time.
#[derive(Debug, Error)]
#[error("not ready after {attempts} attempts in {took:?}{}", .last.as_ref().map(|last| format!(": {last}")).unwrap_or_default())]
pub struct NotReady {
    /// Attempts made.
    pub attempts: u32,
    /// How long they took.
    pub took: Duration,
    /// Why the last failed attempt failed; none if the first one did not come to an end.
    pub last: Option<Failure>,
}

impl Failure {
    pub(super) fn protocol(protocol: &'static str, error: impl std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Self::Protocol { protocol, message }
    }

    pub(super) fn health(answer: impl Into<String>) -> Self {
        Self::Health {
            answer: answer.into(),
        }
    }
}
