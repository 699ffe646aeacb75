//! What can go wrong between a client and an upstream, and what each case means to everybody who looks at it.
//!
//! ```
//! use tidegate_proxy::Error;
//! use tidegate_proxy::error::{Blame, Kind, Retry};
//!
//! let error = Error::new(Kind::ConnectFailed).with_detail("10.0.0.1:80 refused the connection");
//! let row = error.kind().row();
//! assert_eq!((row.status.as_u16(), row.flag), (503, "UF"));
//! assert_eq!((row.blame, row.retry), (Blame::Upstream, Retry::Safe));
//! // Each kind has its row.
//! assert!(Kind::ALL.iter().all(|kind| kind.row().status.as_u16() >= 400));
//! ```

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Request, StatusCode};

use crate::body::Body;
use crate::upstream::Retried;

/// An error of a foreign layer, as tower spells it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Declares [`Kind`] and what each kind means, in one table: a kind without a complete row does not compile.
///
/// name = label: status, gRPC code, flag, response code details, blame, retry, text
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal:
        $status:expr, $grpc:ident, $flag:literal, $details:literal, $blame:ident, $retry:ident, $text:literal;)+) => {
        /// What happened. Each variant has one row in the table; there is no catch-all.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// Every kind, in the order of the table; [`Kind::index`] is the place in it.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// What a kind means.
            #[must_use]
            pub fn row(self) -> Row {
                let (status, grpc, flag, details, blame, retry, text) = match self {
                    $(Self::$kind =>
                        ($status, grpc::$grpc, $flag, $details, Blame::$blame, Retry::$retry, $text),)+
                };
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Row { status, grpc, flag, details, blame, retry, text }
            }

            /// The kind's name as the `reason` label of metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// The request breaks a rule that everything behind the edge relies on (RFC 9112 §3.2, RFC 9110 §4.2).
    BadRequest = "bad_request":
        400, INTERNAL, "DPE", "bad_request", Client, Never, "bad request";
    /// The request's head has more bytes or fields than a head may have (RFC 6585 §5).
    HeadTooLarge = "head_too_large":
        431, INTERNAL, "DPE", "request_headers_too_large", Client, Never, "request header fields too large";
    /// The request target is longer than one may be (RFC 9110 §15.5.15).
    TargetTooLong = "target_too_long":
        414, INTERNAL, "DPE", "path_too_long", Client, Never, "request target too long";
    /// The request's body is coded in a way that is not known here (RFC 9112 §6.1).
    CodingUnknown = "coding_unknown":
        501, UNIMPLEMENTED, "DPE", "http1.invalid_transfer_encoding", Client, Never, "unknown transfer coding";
    /// The request is of a version of HTTP that is not spoken here (RFC 9110 §15.6.6).
    VersionUnsupported = "version_unsupported":
        505, INTERNAL, "DPE", "http1.codec_error", Client, Never, "this version of HTTP is not spoken here";
    /// The request is of HTTP/1.0, which the listener does not accept (RFC 9110 §15.5.22).
    VersionRefused = "version_refused":
        426, INTERNAL, "DPE", "low_version", Client, Never, "HTTP/1.0 is not accepted here: use HTTP/1.1";
    /// The client expects something other than `100-continue` (RFC 9110 §10.1.1).
    ExpectationFailed = "expectation_failed":
        417, INTERNAL, "DPE", "expectation_failed", Client, Never, "unknown expectation";
    /// The client took too long to send its request whole, its body included (RFC 9110 §15.5.9).
    RequestIncomplete = "request_incomplete":
        408, DEADLINE_EXCEEDED, "DPE", "request_overall_timeout", Client, Never, "the request did not arrive in time";
    /// The request's body has more bytes than its route takes (RFC 9110 §15.5.14).
    BodyTooLarge = "body_too_large":
        413, RESOURCE_EXHAUSTED, "DPE", "request_payload_too_large", Client, Never, "request body too large";
    /// The request asks for an upgrade that its route does not allow.
    UpgradeRefused = "upgrade_refused":
        403, PERMISSION_DENIED, "-", "upgrade_failed", Client, Never, "this upgrade is not allowed here";
    /// What the route makes of the request's path or URL is none.
    RewriteFailed = "rewrite_failed":
        500, INTERNAL, "-", "rewrite_failed", Config, Never, "the route's rewrite of this path gives none";
    /// The request is for another host than its TLS connection was made for (RFC 9110 §15.5.20).
    Misdirected = "misdirected":
        421, INTERNAL, "DPE", "misdirected_request", Client, Never, "this connection is not for this host";
    /// More requests came than the route lets pass in a time (RFC 6585 §4).
    RateLimited = "rate_limited":
        429, UNAVAILABLE, "RL", "local_rate_limited", Overload, Safe, "too many requests";
    /// The authorization service that the route asks did not say whether the request may pass.
    AuthorizationFailed = "authorization_failed":
        403, PERMISSION_DENIED, "UAEX", "ext_authz_error", Upstream, Never, "authorization failed";
    /// The route needs a filter that is not there, and that no request may go without.
    FilterMissing = "filter_missing":
        503, UNAVAILABLE, "-", "filter_missing", Config, Never, "a filter that this route needs is not there";
    /// The client used CONNECT, which no route allows.
    ConnectRefused = "connect_refused":
        405, UNIMPLEMENTED, "DPE", "connect_refused", Client, Never, "CONNECT is not allowed here";
    /// The process holds as much as it may: the request was turned away before anything was done for it.
    Overloaded = "overloaded":
        503, UNAVAILABLE, "OM", "overload", Overload, Safe, "overloaded";
    /// No virtual host or no route matches the request.
    NoRoute = "no_route":
        404, UNIMPLEMENTED, "NR", "route_not_found", Client, Never, "no route matches this host and path";
    /// The route names a cluster that the snapshot does not have.
    ClusterMissing = "cluster_missing":
        503, UNAVAILABLE, "NC", "cluster_not_found", Config, Never, "the route names a cluster that does not exist";
    /// The cluster has no endpoint to send to.
    NoHealthyUpstream = "no_healthy_upstream":
        503, UNAVAILABLE, "UH", "no_healthy_upstream", Upstream, Safe, "no healthy upstream";
    /// A bounded waiting queue is full.
    QueueFull = "queue_full":
        503, UNAVAILABLE, "UO", "upstream_reset_before_response_started{overflow}", Overload, Safe,
        "pending request queue full";
    /// A circuit breaker of the cluster is open: as much of it is busy as may be. Nothing was sent.
    BreakerOpen = "breaker_open":
        503, UNAVAILABLE, "UO", "upstream_reset_before_response_started{overflow}", Overload, Safe,
        "upstream overloaded";
    /// Waiting is pointless: what the request waits for has said that it will not come.
    CapacityRefused = "capacity_refused":
        503, UNAVAILABLE, "UH", "capacity_refused", Upstream, Never, "the upstream is not coming up";
    /// The upstream did not accept the connection. Nothing was sent.
    ConnectFailed = "connect_failed":
        503, UNAVAILABLE, "UF", "upstream_reset_before_response_started{remote_connection_failure}", Upstream, Safe,
        "upstream connect failed";
    /// The upstream did not accept the connection in time. Nothing was sent.
    ConnectTimeout = "connect_timeout":
        503, UNAVAILABLE, "UF", "upstream_reset_before_response_started{connection_timeout}", Upstream, Safe,
        "upstream connect timed out";
    /// The TLS handshake with the upstream failed; its detail says of what. Nothing was sent.
    UpstreamTls = "upstream_tls":
        503, UNAVAILABLE, "UF", "upstream_reset_before_response_started{remote_connection_failure,TLS_error}", Upstream,
        Safe, "TLS handshake with the upstream failed";
    /// The upstream refused the stream without having looked at the request (RFC 9113 §8.7).
    StreamRefused = "stream_refused":
        503, UNAVAILABLE, "UR", "upstream_reset_before_response_started{remote_refused_stream_reset}", Upstream, Safe,
        "upstream refused the request";
    /// The upstream closed or reset the connection before its response was complete.
    UpstreamReset = "upstream_reset":
        502, UNAVAILABLE, "UC", "upstream_reset_before_response_started{connection_termination}", Upstream, Idempotent,
        "upstream closed the connection early";
    /// The upstream broke HTTP.
    UpstreamProtocol = "upstream_protocol":
        502, UNAVAILABLE, "UPE", "upstream_reset_before_response_started{protocol_error}", Upstream, Never,
        "upstream sent an invalid response";
    /// The client and the upstream port speak protocols that cannot be mapped on each other.
    ProtocolMismatch = "protocol_mismatch":
        502, UNIMPLEMENTED, "UPE", "protocol_mismatch", Config, Never, "the upstream port does not speak this protocol";
    /// The whole exchange took longer than the route allows.
    RequestTimeout = "request_timeout":
        504, DEADLINE_EXCEEDED, "UT", "response_timeout", Upstream, Never, "request timeout";
    /// One try took longer than the route's retry policy allows, and there was no further one.
    PerTryTimeout = "per_try_timeout":
        504, DEADLINE_EXCEEDED, "UT", "upstream_per_try_timeout", Upstream, Idempotent, "upstream per try timeout";
    /// The request and its response took longer than the route or the listener allows any to last.
    StreamTooLong = "stream_too_long":
        504, DEADLINE_EXCEEDED, "-", "max_duration_timeout", Upstream, Never, "stream duration timeout";
    /// The response did not start in the time that the route allows.
    ResponseStartTimeout = "response_start_timeout":
        504, DEADLINE_EXCEEDED, "UT", "response_start_timeout", Upstream, Never, "response start timeout";
    /// No byte of the request or its response moved for the time that the route or the listener allows.
    IdleTimeout = "idle_timeout":
        504, DEADLINE_EXCEEDED, "SI", "stream_idle_timeout", Upstream, Never, "idle timeout";
    /// The request waited for capacity until its deadline.
    CapacityTimeout = "capacity_timeout":
        504, DEADLINE_EXCEEDED, "UT", "capacity_timeout", Overload, Never, "timed out waiting for capacity";
    /// The client went away before it had its response. Its status is nginx's; only logs and metrics see it.
    ClientClosed = "client_closed":
        499, CANCELLED, "DC", "downstream_remote_disconnect", Client, Never, "client closed the request";
    /// The client took too little of its response for too long: it was cut (slow read). Its status is never sent.
    ClientStalled = "client_stalled":
        408, DEADLINE_EXCEEDED, "SI", "stream_idle_timeout", Client, Never, "the client does not read its response";
    /// The stop's grace period, or that of an old connection, was over while the request was still under way.
    DrainCut = "drain_cut":
        503, UNAVAILABLE, "DC", "downstream_local_disconnect", Overload, Never, "cut at the end of the drain";
    /// A foreign layer failed with an error of its own.
    LayerFailed = "layer_failed":
        500, INTERNAL, "-", "layer_failed", Config, Never, "a layer of this route failed";
}

impl Kind {
    /// The kind's place in [`Kind::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
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
    /// What access logs say beside the status (Envoy's response code details, by its names where it has one for it).
    pub details: &'static str,
    /// Who has to act.
    pub blame: Blame,
    /// Whether another try is safe.
    pub retry: Retry,
    /// The text of the response where the error has no detail of its own.
    pub text: &'static str,
}

/// gRPC status codes (gRPC core, `statuscodes.md`), as far as the table above needs them.
mod grpc {
    pub(super) const CANCELLED: u8 = 1;
    pub(super) const DEADLINE_EXCEEDED: u8 = 4;
    pub(super) const PERMISSION_DENIED: u8 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u8 = 8;
    pub(super) const UNIMPLEMENTED: u8 = 12;
    pub(super) const INTERNAL: u8 = 13;
    pub(super) const UNAVAILABLE: u8 = 14;
}

/// A failed exchange: what happened, and what is known beyond that.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    detail: Option<Cow<'static, str>>,
    code_details: Option<&'static str>,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    source: Option<BoxError>,
    // Errors have to be `Sync`, bodies are not: the mutex is never locked, only taken apart.
    unsent: Option<Box<Mutex<Request<Body>>>>,
    retried: Retried,
}

impl Error {
    /// An error of `kind` with the text of its row.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            detail: None,
            code_details: None,
            status: None,
            retry_after: None,
            source: None,
            unsent: None,
            retried: Retried::default(),
        }
    }

    /// Replaces the text that the client sees.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Replaces what access logs say beside the status: [`Row::details`] of its kind, unless something more precise is known.
    #[must_use]
    pub fn with_code_details(mut self, details: &'static str) -> Self {
        self.code_details = Some(details);
        self
    }

    /// Replaces the status that an HTTP client sees.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
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
    pub fn with_unsent(mut self, request: Request<Body>) -> Self {
        self.unsent = Some(Box::new(Mutex::new(request)));
        self
    }

    /// Says how many tries there were.
    #[must_use]
    pub(crate) fn with_retried(mut self, retried: Retried) -> Self {
        self.retried = retried;
        self
    }

    /// The status that replaces the kind's.
    pub(crate) fn own_status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The status that an HTTP client sees: [`Row::status`] of its kind, unless a route has another for it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status.unwrap_or(self.kind.row().status)
    }

    /// How many tries followed the first, and whether that was all that the route allows.
    #[must_use]
    pub fn retried(&self) -> Retried {
        self.retried
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

    /// What access logs say beside the status; never has a blank in it.
    #[must_use]
    pub fn code_details(&self) -> &'static str {
        self.code_details.unwrap_or(self.kind.row().details)
    }

    /// The text of [`Error::detail`], where it is one of a few.
    pub(crate) fn static_detail(&self) -> Option<&'static str> {
        match self.detail {
            Some(Cow::Borrowed(text)) => Some(text),
            _ => None,
        }
    }

    /// After how long the client may try again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What the system said, where its refusal is at the bottom of this.
    #[must_use]
    pub fn system(&self) -> Option<&std::io::Error> {
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            if let Some(system) = error.downcast_ref() {
                return Some(system);
            }
            source = error.source();
        }
        None
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

/// In the extensions of a response that a layer has made of an error, in words of its own: which error that was. Logs and numbers
/// then tell of the error, and the client is told nothing else than the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worded(pub Kind);

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
    fn every_kind_has_its_place_and_words_that_fit_a_log_line() {
        for (index, kind) in Kind::ALL.iter().enumerate() {
            let row = kind.row();
            assert_eq!(kind.index(), index, "{}", kind.name());
            assert!(row.status.is_client_error() || row.status.is_server_error());
            for word in [row.details, row.flag, kind.name()] {
                assert!(!word.is_empty() && !word.contains(char::is_whitespace), "{word}");
            }
        }
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
