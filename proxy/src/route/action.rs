//! What a route does with a request: forward it, send its client elsewhere, or answer by itself.
//!
//! ```
//! use std::sync::Arc;
//! use tidegate_proxy::route::{Action, Forward, Route, RouteLimits, Split};
//!
//! let limits = RouteLimits { body_bytes_max: Some(1024 * 1024), ..RouteLimits::default() };
//! let upload = Forward { limits, ..Forward::split(Split::single("uploads", [].into())) };
//! let route = Route::new(Action::Forward(Arc::new(upload)));
//! assert_eq!(route.as_forward().and_then(|to| to.limits.body_bytes_max), Some(1024 * 1024));
//! ```

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};

use super::{HashPolicy, HostRewrite, PathRewrite, Redirect, Split};

/// What a route does.
#[derive(Debug)]
pub enum Action {
    /// Forwards to a cluster.
    Forward(Arc<Forward>),
    /// Sends the client elsewhere.
    Redirect(Box<Redirect>),
    /// Answers by itself.
    Respond(Box<DirectResponse>),
}

/// Where a request is forwarded to, and as what. Deadlines and further tries are [`Route::policy`](super::Route::policy).
#[derive(Debug)]
pub struct Forward {
    /// Which cluster takes it.
    pub to: Destination,
    /// What becomes of its path. Default: it stays as it was matched.
    pub path: PathRewrite,
    /// What becomes of its host. Default: it stays as the client sent it.
    pub host: HostRewrite,
    /// What makes up the hash by which a cluster may choose the endpoint; empty for none.
    pub hash: Vec<HashPolicy>,
    /// What it may be at most.
    pub limits: RouteLimits,
    /// Which protocol upgrades it may ask for. Default: those of the listener.
    pub upgrades: Upgrades,
    /// What the client gets where the cluster is not there. Default: 503.
    pub missing: StatusCode,
}

/// Which cluster takes a request.
#[derive(Debug)]
pub enum Destination {
    /// One of several, by weight.
    Split(Split),
    /// The one that this field of the request names; without the field, or without the cluster, 503.
    Header(HeaderName),
}

/// What the requests of a route may be at most, beyond what their listener allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteLimits {
    /// The body, in bytes; above it 413, or the exchange is cut where it has begun. Default: no bound, as bodies stream.
    pub body_bytes_max: Option<u64>,
    /// Target and fields, in bytes; above it 431. Default: what the listener allows.
    pub head_bytes_max: Option<usize>,
}

/// Which upgrades of a listener pass a route. A route can only narrow what its listener knows
/// ([`HttpSettings::upgrades`](crate::config::http::HttpSettings::upgrades)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Upgrades {
    /// All of them, but for those that a route has to allow by itself
    /// ([`HttpSettings::upgrades_by_route`](crate::config::http::HttpSettings::upgrades_by_route)), which get 403.
    #[default]
    OfListener,
    /// These tokens, in lower case; others get 403. Empty refuses every upgrade.
    Only(Vec<Box<str>>),
    /// For each of these tokens, in lower case, whether it passes; for others what the listener says.
    Each(Arc<[(Box<str>, bool)]>),
}

/// A response that needs no upstream. Its body is shared by all who get it.
#[derive(Clone, Debug)]
pub struct DirectResponse {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) content_type: HeaderValue,
}

impl Forward {
    /// Forwards to `to`, with every other setting at its default.
    #[must_use]
    pub fn new(to: Destination) -> Self {
        Self {
            to,
            path: PathRewrite::default(),
            host: HostRewrite::default(),
            hash: Vec::new(),
            limits: RouteLimits::default(),
            upgrades: Upgrades::default(),
            missing: StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Forwards to the clusters of a split.
    #[must_use]
    pub fn split(split: Split) -> Self {
        Self::new(Destination::Split(split))
    }
}

impl Upgrades {
    /// Whether `token` passes; `by_route` are those that the listener leaves to routes.
    pub(crate) fn allow(&self, token: &[u8], by_route: &[Box<str>]) -> bool {
        let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(token);
        let of_listener = || !by_route.iter().any(|known| is(known));
        match self {
            Self::OfListener => of_listener(),
            Self::Only(tokens) => tokens.iter().any(|allowed| is(allowed)),
            Self::Each(tokens) => match tokens.iter().find(|(known, _)| is(known)) {
                Some((_, passes)) => *passes,
                None => of_listener(),
            },
        }
    }
}

impl DirectResponse {
    /// A response of plain text. An interim status (1xx), which ends no exchange, is answered as 500.
    #[must_use]
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status: if status.is_informational() {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                status
            },
            body: body.into(),
            content_type: HeaderValue::from_static("text/plain; charset=utf-8"),
        }
    }

    /// The same with another content type.
    #[must_use]
    pub fn with_content_type(self, content_type: HeaderValue) -> Self {
        Self { content_type, ..self }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Its content type.
    #[must_use]
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }
}
