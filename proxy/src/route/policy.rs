//! What a route asks of the way to its upstream: deadlines, further tries.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use tidegate_proxy::route::{ForwardPolicy, RetryOn, RetryPolicy, Route, RouteTimeouts, Split};
//!
//! let mut retry = RetryPolicy::on([RetryOn::ConnectFailure, RetryOn::GatewayError]);
//! retry.retries_max = 2;
//! retry.per_try = Some(Duration::from_secs(1));
//! let timeouts = RouteTimeouts { request: Some(Duration::from_secs(5)), ..RouteTimeouts::default() };
//! let mut route = Route::forward(Split::single("app", [].into()));
//! route.policy = Some(Arc::new(ForwardPolicy { timeouts, retry: Some(retry), ..ForwardPolicy::default() }));
//! assert!(route.policy.is_some());
//! ```

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::cluster::affinity::Affinity;
use crate::cluster::breaker::RequestPriority;
use crate::config::limits;
use crate::route::Fraction;

/// How a request is forwarded, beyond where to. The default: no deadline, and a second try only where it is always safe.
#[derive(Clone, Debug)]
pub struct ForwardPolicy {
    /// How long the exchange may take. Default: no deadline but the listener's.
    pub timeouts: RouteTimeouts,
    /// When it is tried again. Without a policy only as [`ForwardPolicy::resend`] says.
    pub retry: Option<RetryPolicy>,
    /// When it is sent once more to the same endpoint, whatever the policy. Default: [`Resend::Idempotent`].
    pub resend: Resend,
    /// What keeps a client at the endpoint that served it first. Default: nothing.
    pub affinity: Option<Affinity>,
    /// Which bounds of the cluster it counts against. Default: those of [`RequestPriority::Default`].
    pub priority: RequestPriority,
    /// What the client gets where the connection broke before there was a response. Default: 502.
    pub reset_status: StatusCode,
    /// Which fields say how many tries there were. Default: none.
    pub counted: TryCount,
    /// Who else gets a copy of each request. Default: nobody.
    pub mirrors: Vec<Mirror>,
    /// Which redirects of the upstream are followed here. Default: none, they are the client's.
    pub redirects: Option<Box<FollowRedirects>>,
}

/// Where a copy of a request goes (Envoy's `request_mirror_policies`). Nobody waits for it, and nobody sees its response. Above
/// [`limits::MIRRORS_PER_WORKER_MAX`] there is none; one that reads its body too slowly is broken off.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The cluster that gets it.
    pub to: MirrorTo,
    /// The share of the requests that are copied. Default: all.
    pub share: Option<Fraction>,
    /// What becomes of the host. Default: [`MirrorHost::Suffixed`].
    pub host: MirrorHost,
}

/// Which cluster gets a copy. Where it is not there, nobody does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorTo {
    /// The one of this name.
    Cluster(Arc<str>),
    /// The one that this field of the request names.
    Header(HeaderName),
}

/// The host of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MirrorHost {
    /// The request's, with `-shadow` behind its name.
    #[default]
    Suffixed,
    /// The request's.
    Same,
    /// This.
    Literal(HeaderValue),
}

/// The fields that say how many tries a request has had, the present one included; `None` is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TryCount {
    /// In the request of each try.
    pub to_upstream: Option<HeaderName>,
    /// In the response.
    pub to_client: Option<HeaderName>,
}

/// When a request is sent once more, on another connection to the same endpoint, since the first one proves nothing.
///
/// Always: when a reused connection died before anything was written, and when the endpoint said that it did not look at the
/// request (RFC 9113 §8.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resend {
    /// Not otherwise (Envoy's way).
    Unwritten,
    /// Also when a reused connection died before a byte of a response came, the method is idempotent and no byte of a body was
    /// taken (RFC 9110 §9.2.2).
    #[default]
    Idempotent,
}

/// The deadlines of a route; `None`, the default of each, is no deadline but the listener's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// From the complete request to the complete response, all tries included (Envoy's `timeout`).
    pub request: Option<Duration>,
    /// How long no byte may move in either direction (Envoy's `idle_timeout`), in place of the listener's
    /// [`stream_idle`](crate::config::http::DownstreamTimeouts::stream_idle), which holds where this is `None`; zero never ends
    /// a request. Above it: as there. Tunnels have `tunnel_idle`. The codecs measure it: a request that an embedder calls
    /// [`Proxy`](crate::Proxy) with by itself is measured by nobody.
    pub idle: Option<Duration>,
    /// From the head of the request to the end of the stream, tunnels included (Envoy's `max_stream_duration`), in place of the
    /// listener's [`stream_max`](crate::config::http::DownstreamTimeouts::stream_max), which holds where this is `None`; zero has
    /// no end. Above it: as there.
    pub stream_max: Option<Duration>,
    /// Whether the client's `grpc-timeout` shortens the deadline, and the longest it may ask for. `None` does not look at it.
    pub grpc_timeout_max: Option<Duration>,
}

impl RouteTimeouts {
    /// What is left of them for a request that has waited.
    pub(crate) fn after(self, waited: Duration) -> Self {
        Self {
            request: self.request.map(|longest| longest.saturating_sub(waited)),
            ..self
        }
    }
}

/// When a failed try is followed by another (Envoy's `retry_policy`).
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// What counts as a failure that is tried again.
    pub on: Vec<RetryOn>,
    /// How many tries may follow the first. Default: 1.
    pub retries_max: u32,
    /// How long one try may take until the head of its response. Default: `None`, as long as the route allows.
    pub per_try: Option<Duration>,
    /// How long the first pause is; it doubles, with full jitter. Default: [`limits::RETRY_BACKOFF_BASE`].
    pub backoff_base: Duration,
    /// The longest pause. Default: ten times the base.
    pub backoff_max: Duration,
    /// How many requests of the same cluster may be in a retry at once; above it a failure stands.
    pub budget: RetryBudget,
    /// How many other endpoints are asked for before one that failed already may be picked again. Default: 3.
    pub host_reselections_max: u32,
}

/// A failure that a [`RetryPolicy`] tries again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// Any 5xx, or no response at all (`5xx`).
    ServerError,
    /// 502, 503 or 504 (`gateway-error`).
    GatewayError,
    /// The connection broke before a response (`reset`).
    Reset,
    /// The connection broke before the request was sent (`reset-before-request`).
    ResetBeforeRequest,
    /// No connection (`connect-failure`).
    ConnectFailure,
    /// The upstream refused the stream with `REFUSED_STREAM` (`refused-stream`).
    RefusedStream,
    /// 409 (`retriable-4xx`).
    RetriableClientError,
    /// One of these statuses (`retriable-status-codes`).
    Status(StatusCode),
    /// A response with this field (`retriable-headers`).
    Header(HeaderName),
    /// This `grpc-status` in the head of the response (`cancelled`, `deadline-exceeded`, `internal`,
    /// `resource-exhausted`, `unavailable`).
    Grpc(u8),
}

/// How many retries a cluster bears at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// Share of the requests in flight that may be retries, in percent. Default: 20.
    pub percent: f64,
    /// What is allowed whatever the share is. Default: 3.
    pub retries_min: u32,
}

impl ForwardPolicy {
    /// Whether one try, and nothing that watches it, is all that it asks for: then it costs nothing.
    pub(crate) fn is_plain(&self) -> bool {
        let RouteTimeouts {
            request,
            idle: _,
            stream_max: _,
            grpc_timeout_max,
        } = &self.timeouts;
        let unbounded = [request, grpc_timeout_max]
            .iter()
            .all(|longest| longest.is_none());
        unbounded && self.retry.is_none() && self.affinity.is_none() && self.counted == TryCount::default()
    }
}

impl Default for ForwardPolicy {
    fn default() -> Self {
        Self {
            timeouts: RouteTimeouts::default(),
            retry: None,
            resend: Resend::default(),
            affinity: None,
            priority: RequestPriority::default(),
            reset_status: StatusCode::BAD_GATEWAY,
            counted: TryCount::default(),
            mirrors: Vec::new(),
            redirects: None,
        }
    }
}

/// Which redirects of an upstream are followed here, in the place of the client (Envoy's `internal_redirect_policy`): to an
/// absolute URL, for which there is a route. The request goes through all filters again; the client gets what is at the end, or
/// a redirect that is not followed. A body is sent again as far as it fits into [`limits::RETRY_BODY_BYTES_MAX`].
#[derive(Clone, Debug)]
pub struct FollowRedirects {
    /// The most in a row. Default: 1.
    pub hops_max: u32,
    /// By which statuses. Default: 302.
    pub statuses: Vec<StatusCode>,
    /// To which schemes. Default: [`Schemes::Same`].
    pub schemes: Schemes,
    /// To which routes, by name. Default: all.
    pub routes: Option<Vec<Box<str>>>,
    /// Whether one route may lead to the same other one more than once. Default: it may.
    pub repeat: Repeat,
    /// The field that tells where the request was sent before. Default: none.
    pub told_by: Option<HeaderName>,
}

/// To which schemes a redirect is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schemes {
    /// The one that the client came by.
    #[default]
    Same,
    /// That one, or `http`: a client without TLS gets nothing that asks for it.
    NoBetter,
    /// Any.
    Any,
}

/// Whether a request may take one way twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// It may.
    #[default]
    Allowed,
    /// It may not.
    Refused,
}

impl Default for FollowRedirects {
    fn default() -> Self {
        Self {
            hops_max: 1,
            statuses: vec![StatusCode::FOUND],
            schemes: Schemes::default(),
            routes: None,
            repeat: Repeat::default(),
            told_by: None,
        }
    }
}

impl Mirror {
    /// A copy of every request to this cluster.
    #[must_use]
    pub fn to(cluster: impl Into<Arc<str>>) -> Self {
        Self {
            to: MirrorTo::Cluster(cluster.into()),
            share: None,
            host: MirrorHost::default(),
        }
    }

    /// Whether the next request is copied.
    pub(crate) fn takes(&self) -> bool {
        self.share
            .is_none_or(|share| share.of > 0 && fastrand::u32(..share.of) < share.take)
    }
}

impl RetryPolicy {
    /// A policy for these failures, otherwise with the defaults.
    #[must_use]
    pub fn on(on: impl IntoIterator<Item = RetryOn>) -> Self {
        Self {
            on: on.into_iter().collect(),
            retries_max: 1,
            per_try: None,
            backoff_base: limits::RETRY_BACKOFF_BASE,
            backoff_max: limits::RETRY_BACKOFF_BASE * 10,
            budget: RetryBudget::default(),
            host_reselections_max: limits::HOST_RESELECTIONS_MAX,
        }
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            percent: 20.0,
            retries_min: 3,
        }
    }
}
