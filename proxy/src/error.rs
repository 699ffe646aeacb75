//! What can go wrong between a client and an upstream, and what each case means to everybody who looks at it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Request, StatusCode};

use crate::body::Body;

/// An error of a foreign layer, as tower spells it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What happened. Each variant has one row in [`Kind::row`]; there is no catch-all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request breaks a rule that everything behind the edge relies on (RFC 9112 §3.2, RFC 9110 §4.2).
    BadRequest,
    /// The client used CONNECT, which no route allows.
    ConnectRefused,
    /// No virtual host or no route matches the request.
    NoRoute,
    /// The route names a cluster that the snapshot does not have.
    ClusterMissing,
    /// The cluster has no endpoint to send to.
    NoHealthyUpstream,
    /// A bounded waiting queue is full.
    QueueFull,
    /// A circuit breaker of the cluster is open: as much of it is busy as may be. Nothing was sent.
    BreakerOpen,
    /// Waiting is pointless: what the request waits for has said that it will not come.
    CapacityRefused,
    /// The upstream did not accept the connection. Nothing was sent.
    ConnectFailed,
    /// The upstream did not accept the connection in time. Nothing was sent.
    ConnectTimeout,
    /// The upstream closed or reset the connection before its response was complete.
    UpstreamReset,
    /// The upstream broke HTTP.
    UpstreamProtocol,
    /// The client and the upstream port speak protocols that cannot be mapped on each other.
    ProtocolMismatch,
    /// The whole exchange took longer than the route allows.
    RequestTimeout,
    /// The response did not start in the time that the route allows.
    ResponseStartTimeout,
    /// No byte of the response moved for the time that the route allows.
    IdleTimeout,
    /// The request waited for capacity until its deadline.
    CapacityTimeout,
    /// The client went away before it had its response.
    ClientClosed,
    /// A foreign layer failed with an error of its own.
    LayerFailed,
}

/// Who has to act when an error of this kind shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client sent something it must not, or left.
    Client,
    /// The configuration names something that is not there.
    Config,
    /// The upstream failed.
    Upstream,
    /// There was more load than the bounds allow.
    Overload,
}

/// Whether sending the same request again can do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Nothing of the request reached an upstream: safe for every method.
    Safe,
    /// The upstream may have acted on it: safe for idempotent methods only (RFC 9110 §9.2.2).
    Idempotent,
    /// Sending it again would end the same way, or is not ours to decide.
    Never,
}

/// What one [`Kind`] means to clients, operators and the retry logic.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The status that an HTTP client sees.
    pub status: StatusCode,
    /// The code in `grpc-status` that a gRPC client sees.
    pub grpc: u8,
    /// Envoy's response flag in access logs and metrics.
    pub flag: &'static str,
    /// Who has to act.
    pub blame: Blame,
    /// Whether another try is safe.
    pub retry: Retry,
    /// The text of the response where the error has no detail of its own.
    pub text: &'static str,
}

/// gRPC status codes (gRPC core, `statuscodes.md`), as far as the table below needs them.
mod grpc {
    pub(super) const CANCELLED: u8 = 1;
    pub(super) const DEADLINE_EXCEEDED: u8 = 4;
    pub(super) const UNIMPLEMENTED: u8 = 12;
    pub(super) const INTERNAL: u8 = 13;
    pub(super) const UNAVAILABLE: u8 = 14;
}

/// nginx's status for a client that left; only logs and metrics see it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl Kind {
    /// The one table: what a kind means.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one table, with a row for each kind")]
    pub fn row(self) -> Row {
        use Blame::{Client, Config, Overload, Upstream};
        use Retry::{Idempotent, Never, Safe};
        use grpc::{CANCELLED, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, UNIMPLEMENTED};
        let (status, grpc, flag, blame, retry, text) = match self {
            Self::BadRequest => (400, INTERNAL, "DPE", Client, Never, "bad request"),
            Self::ConnectRefused => (
                405,
                UNIMPLEMENTED,
                "DPE",
                Client,
                Never,
                "CONNECT is not allowed here",
            ),
            Self::NoRoute => (
                404,
                UNIMPLEMENTED,
                "NR",
                Client,
                Never,
                "no route matches this host and path",
            ),
            Self::ClusterMissing => (
                503,
                UNAVAILABLE,
                "NC",
                Config,
                Never,
                "the route names a cluster that does not exist",
            ),
            Self::NoHealthyUpstream => (503, UNAVAILABLE, "UH", Upstream, Safe, "no healthy upstream"),
            Self::QueueFull => (
                503,
                UNAVAILABLE,
                "UO",
                Overload,
                Safe,
                "pending request queue full",
            ),
            Self::BreakerOpen => (503, UNAVAILABLE, "UO", Overload, Safe, "upstream overloaded"),
            Self::CapacityRefused => (
                503,
                UNAVAILABLE,
                "UH",
                Upstream,
                Never,
                "the upstream is not coming up",
            ),
            Self::ConnectFailed => (503, UNAVAILABLE, "UF", Upstream, Safe, "upstream connect failed"),
            Self::ConnectTimeout => (
                503,
                UNAVAILABLE,
                "UF",
                Upstream,
                Safe,
                "upstream connect timed out",
            ),
            Self::UpstreamReset => (
                502,
                UNAVAILABLE,
                "UC",
                Upstream,
                Idempotent,
                "upstream closed the connection early",
            ),
            Self::UpstreamProtocol => (
                502,
                UNAVAILABLE,
                "UPE",
                Upstream,
                Never,
                "upstream sent an invalid response",
            ),
            Self::ProtocolMismatch => (
                502,
                UNIMPLEMENTED,
                "UPE",
                Config,
                Never,
                "the upstream port does not speak this protocol",
            ),
            Self::RequestTimeout => (504, DEADLINE_EXCEEDED, "UT", Upstream, Never, "request timeout"),
            Self::ResponseStartTimeout => (
                504,
                DEADLINE_EXCEEDED,
                "UT",
                Upstream,
                Never,
                "response start timeout",
            ),
            Self::IdleTimeout => (504, DEADLINE_EXCEEDED, "SI", Upstream, Never, "idle timeout"),
            Self::CapacityTimeout => (
                504,
                DEADLINE_EXCEEDED,
                "UT",
                Overload,
                Never,
                "timed out waiting for capacity",
            ),
            Self::ClientClosed => (
                CLIENT_CLOSED_REQUEST,
                CANCELLED,
                "DC",
                Client,
                Never,
                "client closed the request",
            ),
            Self::LayerFailed => (500, INTERNAL, "-", Config, Never, "a layer of this route failed"),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Row {
            status,
            grpc,
            flag,
            blame,
            retry,
            text,
        }
    }

    /// The kind's name as the `reason` label of metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::ConnectRefused => "connect_refused",
            Self::NoRoute => "no_route",
            Self::ClusterMissing => "cluster_missing",
            Self::NoHealthyUpstream => "no_healthy_upstream",
            Self::QueueFull => "queue_full",
            Self::BreakerOpen => "breaker_open",
            Self::CapacityRefused => "capacity_refused",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::UpstreamReset => "upstream_reset",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::ProtocolMismatch => "protocol_mismatch",
            Self::RequestTimeout => "request_timeout",
            Self::ResponseStartTimeout => "response_start_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::CapacityTimeout => "capacity_timeout",
            Self::ClientClosed => "client_closed",
            Self::LayerFailed => "layer_failed",
        }
    }
}

/// A failed exchange: what happened, and what is known beyond that.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    source: Option<BoxError>,
    // Errors have to be `Sync`, bodies are not: the mutex is never locked, only taken apart.
    unsent: Option<Box<Mutex<Request<Body>>>>,
}

impl Error {
    /// An error of `kind` with the text of its row.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            detail: None,
            retry_after: None,
            source: None,
            unsent: None,
        }
    }

    /// Replaces the text that the client sees.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds `Retry-After` (RFC 9110 §10.2.3), rounded up to whole seconds.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Keeps what caused it, for logs; a client never sees it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Hands the request on that failed: nothing of it was sent, its body was not touched.
    #[must_use]
    pub(crate) fn with_unsent(mut self, request: Request<Body>) -> Self {
        self.unsent = Some(Box::new(Mutex::new(request)));
        self
    }

    /// The request that failed, whole and with its [`Target`](crate::upstream::Target), where it can be sent again:
    /// nothing of it was sent, or it is idempotent and its connection died before a byte of the response came.
    #[must_use]
    pub fn into_unsent(self) -> Option<Request<Body>> {
        self.unsent
            .map(|request| request.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The request that [`Error::into_unsent`] would give.
    pub(crate) fn unsent_mut(&mut self) -> Option<&mut Request<Body>> {
        let request = self.unsent.as_mut()?;
        Some(request.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The text that the client sees, without a line end.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.kind.row().text)
    }

    /// After how long the client may try again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Finds the `Error` in whatever a stack of layers returned; a foreign error becomes [`Kind::LayerFailed`].
    #[must_use]
    pub fn from_boxed(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => *ours,
            Err(foreign) => Self::new(Kind::LayerFailed).with_source(foreign),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_error_is_a_layer_failure_and_ours_survives_boxing() {
        let ours: BoxError = Box::new(Error::new(Kind::QueueFull).with_retry_after(Duration::from_secs(1)));
        let back = Error::from_boxed(ours);
        assert_eq!(
            (back.kind(), back.retry_after()),
            (Kind::QueueFull, Some(Duration::from_secs(1)))
        );
        let foreign = Error::from_boxed("boom".into());
        assert_eq!(foreign.kind(), Kind::LayerFailed);
        assert_eq!(foreign.to_string(), "a layer of this route failed: boom");
    }

    #[test]
    fn nothing_that_may_have_been_sent_is_safe_to_retry() {
        for kind in [
            Kind::UpstreamReset,
            Kind::RequestTimeout,
            Kind::UpstreamProtocol,
            Kind::IdleTimeout,
        ] {
            assert_ne!(kind.row().retry, Retry::Safe, "{}", kind.name());
        }
    }
}
