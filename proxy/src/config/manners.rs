//! What clients and upstreams are told beside what they say to each other: who serves, how long it took, why it failed.
//!
//! ```
//! use std::sync::Arc;
//! use http::{HeaderName, HeaderValue, StatusCode};
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::config::manners::{LocalReplies, LocalReply, Manners, ServerField};
//! use tidegate_proxy::error::Kind;
//!
//! let mut replies = LocalReplies::default();
//! replies.set(Kind::NoRoute, LocalReply { text: Some("nothing here".into()), ..LocalReply::default() });
//! replies.set(Kind::UpstreamReset, LocalReply { status: Some(StatusCode::SERVICE_UNAVAILABLE), ..LocalReply::default() });
//! let manners = Manners {
//!     server: ServerField::Overwrite(HeaderValue::from_static("edge")),
//!     upstream_time: Some(HeaderName::from_static("x-upstream-ms")),
//!     replies: Some(replies),
//!     ..Manners::default()
//! };
//! let http = HttpSettings { manners: Some(Arc::new(manners)), ..HttpSettings::default() };
//! # drop(http);
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, SERVER, VIA};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};

use crate::error::Kind;
use crate::route::{Forward, ForwardPolicy, Found, HostRewrite, HostRewriteRule, rewrite};

/// What is told. By default nothing is, which costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// Whether responses say who serves. Default: only if the upstream says it.
    pub server: ServerField,
    /// What is appended to `Via`, in both directions. Default: nothing.
    pub via: Option<HeaderValue>,
    /// The field that tells a client how many milliseconds it took from sending its request to the head of the upstream's
    /// response. Default: none.
    pub upstream_time: Option<HeaderName>,
    /// The field that tells an upstream how many milliseconds the route gives it, or leaves it after other tries; without a deadline
    /// it is not sent. Default: none.
    pub time_left: Option<HeaderName>,
    /// The field that tells an upstream the path that the client asked for, where the route has changed it. Default: none.
    pub original_path: Option<HeaderName>,
    /// The same for the host. Default: none.
    pub original_host: Option<HeaderName>,
    /// The field that tells an upstream the client's address. Default: none.
    pub client_address: Option<HeaderName>,
    /// How errors of ours look. Default: as their kinds say.
    pub replies: Option<LocalReplies>,
}

/// Whether responses have a `Server`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerField {
    /// As the upstream says.
    #[default]
    Pass,
    /// This, in the place of what the upstream says.
    Overwrite(HeaderValue),
    /// This, where the upstream says nothing.
    IfAbsent(HeaderValue),
}

/// How errors look to HTTP clients, by kind. What is not set is as the kind itself says.
#[derive(Clone, Debug)]
pub struct LocalReplies {
    rows: Box<[Option<Arc<LocalReply>>]>,
    /// The content type of texts. Default: `text/plain`.
    pub content_type: HeaderValue,
    /// How gRPC clients are told. Default: as gRPC is.
    pub grpc: GrpcReplies,
}

/// How gRPC clients are told of an error of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrpcReplies {
    /// By `grpc-status` and `grpc-message` on a 200 without a body.
    #[default]
    TrailersOnly,
    /// As any other client, by a status of HTTP; a client of gRPC makes a status of its own of that.
    AsHttp,
}

/// How one kind of error looks.
#[derive(Clone, Debug, Default)]
pub struct LocalReply {
    /// The status, in the place of the kind's.
    pub status: Option<StatusCode>,
    /// The whole body, which may be empty; without one it is the error's text, without a line end.
    pub text: Option<Bytes>,
    /// The content type of the body, in the place of [`LocalReplies::content_type`].
    pub content_type: Option<HeaderValue>,
    /// Fields that are added.
    pub fields: HeaderMap,
}

impl LocalReplies {
    /// Says how errors of this kind look.
    pub fn set(&mut self, kind: Kind, reply: LocalReply) {
        if let Some(row) = self.rows.get_mut(kind.index()) {
            *row = Some(Arc::new(reply));
        }
    }

    /// How errors of this kind look, where that was said.
    #[must_use]
    pub fn get(&self, kind: Kind) -> Option<&LocalReply> {
        self.rows.get(kind.index())?.as_deref()
    }
}

impl Default for LocalReplies {
    fn default() -> Self {
        Self {
            rows: vec![None; Kind::ALL.len()].into(),
            content_type: HeaderValue::from_static("text/plain"),
            grpc: GrpcReplies::default(),
        }
    }
}

impl Manners {
    /// Leaves in a request what its upstream is told, before it is routed.
    pub(crate) fn on_request<B>(&self, request: &mut Request<B>, client: Option<&HeaderValue>) {
        let headers = request.headers_mut();
        if let Some(via) = &self.via {
            append_via(headers, via);
        }
        if let (Some(name), Some(client)) = (&self.client_address, client) {
            headers.insert(name, client.clone());
        }
    }

    /// Tells the upstream what its route has made of the request, which had this target and host.
    pub(crate) fn on_rewrite<B>(&self, request: &mut Request<B>, before: &Before) {
        let path = (self.original_path.as_ref(), before.path.as_ref());
        if let (Some(name), Some(path)) = path
            && before.is_path_rewritten
            && let Ok(value) = HeaderValue::from_str(path.as_str())
        {
            request.headers_mut().insert(name, value);
        }
        let host = (self.original_host.as_ref(), before.host.as_ref());
        if let (Some(name), Some(host)) = host
            && request.headers().get(http::header::HOST) != Some(host)
        {
            request.headers_mut().insert(name, host.clone());
        }
        if let Some(name) = &self.original_host {
            rewrite::tell_before_endpoint(request, name);
        }
    }

    /// Tells the upstream how long it has. Where it may be sent later, or again, what is left then is told.
    pub(crate) fn on_deadline<B>(
        &self,
        request: &mut Request<B>,
        policy: Option<&ForwardPolicy>,
        may_wait: bool,
    ) {
        let (Some(name), Some(policy)) = (&self.time_left, policy) else {
            return;
        };
        let Some(time) = time_of_try(policy, Duration::ZERO) else {
            return;
        };
        request.headers_mut().insert(name, milliseconds(time));
        if may_wait || policy.retry.is_some() {
            request.extensions_mut().insert(TimeLeft(name.clone()));
        }
    }

    /// Tells the client how long the upstream took.
    pub(crate) fn on_answer(&self, headers: &mut HeaderMap, took: Duration) {
        if let Some(name) = &self.upstream_time {
            headers.insert(name, milliseconds(took));
        }
    }

    /// Signs a response, of whomever it is.
    pub(crate) fn on_response<B>(&self, response: &mut Response<B>) {
        let headers = response.headers_mut();
        match &self.server {
            ServerField::Pass => {}
            ServerField::Overwrite(server) => _ = headers.insert(SERVER, server.clone()),
            ServerField::IfAbsent(server) => {
                headers.entry(SERVER).or_insert_with(|| server.clone());
            }
        }
        if let Some(via) = &self.via {
            append_via(headers, via);
        }
    }
}

/// In the extensions of a request that may be sent again, or wait in a layer before it is sent: the field that tells how long its upstream has.
#[derive(Clone, Debug)]
pub(crate) struct TimeLeft(HeaderName);

impl TimeLeft {
    /// Tells the next upstream how long it has, as this time has gone by.
    pub(crate) fn tell<B>(request: &mut Request<B>, policy: &ForwardPolicy, elapsed: Duration) {
        if let Some(Self(name)) = request.extensions().get().cloned()
            && let Some(time) = time_of_try(policy, elapsed)
        {
            request.headers_mut().insert(name, milliseconds(time));
        }
    }
}

/// How long a try may take that begins when this time has gone by.
fn time_of_try(policy: &ForwardPolicy, elapsed: Duration) -> Option<Duration> {
    let of_try = policy.retry.as_ref().and_then(|retry| retry.per_try);
    let whole = policy.timeouts.request.filter(|time| !time.is_zero());
    // Zero would say that there is no end.
    let left = whole.map(|whole| whole.saturating_sub(elapsed).max(Duration::from_millis(1)));
    left.into_iter().chain(of_try).min()
}

/// What a request was before its route changed it.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// Whether the route rewrites paths, be it to what they are already.
    is_path_rewritten: bool,
    path: Option<PathAndQuery>,
    host: Option<HeaderValue>,
}

impl Before {
    /// Of this request; the bytes are shared.
    pub(crate) fn of<B>(request: &Request<B>, found: &Found, forward: &Forward) -> Self {
        Self {
            is_path_rewritten: !forward.path.is_none(),
            path: request.uri().path_and_query().cloned(),
            // As in Envoy a share of a split changes the host before the route does, and nobody is told of that.
            host: match found.host.as_deref().map(HostRewrite::rule) {
                Some(HostRewriteRule::Literal(host)) => Some(host.clone()),
                _ => request.headers().get(http::header::HOST).cloned(),
            },
        }
    }
}

fn milliseconds(time: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Adds to the list that `Via` is, in one field as Envoy does.
fn append_via(headers: &mut HeaderMap, via: &HeaderValue) {
    if !headers.contains_key(VIA) {
        headers.insert(VIA, via.clone());
        return;
    }
    let all = headers.get_all(VIA).into_iter().chain([via]);
    let all: Vec<_> = all.map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(all.join(&b", "[..]))) {
        headers.insert(VIA, joined);
    }
}
