//! How one listener, or one filter chain of it, speaks HTTP to its clients.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use tidegate_proxy::config::http::{Http1Settings, Http10, HttpSettings};
//! use tidegate_proxy::listener::{Connections, Listener};
//! use tidegate_proxy::normalize::edge::EdgePolicy;
//!
//! let http = HttpSettings {
//!     http1: Http1Settings { http_10: Http10::Accepted },
//!     upgrades: Vec::new(), // not even WebSocket
//!     ..HttpSettings::default()
//! };
//! let (address, edge) = ("127.0.0.1:0".parse()?, EdgePolicy::default());
//! let listener = Listener::bind(address, NonZeroUsize::MIN, edge, Connections::default())?.speaking(http);
//! assert_ne!(listener.address().port(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::config::limits;
use crate::config::manners::Manners;
use crate::filter::NamedFilters;
use crate::normalize::certificate::CertificateField;
use crate::normalize::edge::{EdgePolicy, Underscores};
use crate::normalize::forwarded::{Forwarding, Separator};
use crate::normalize::host::{HostDot, HostPort};
use crate::normalize::path::PathPolicy;
use crate::observe::access_log::AccessLog;
use crate::observe::request_id::RequestIdPolicy;
use crate::observe::trace::Tracing;

/// What holds for every connection of a filter chain. The defaults are meant for clients that nobody knows.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The route table that requests are looked up in; empty names the snapshot's default table.
    pub route_table: Arc<str>,
    /// The name that its numbers are shown under; several chains of one name count together. Default: empty.
    pub metrics_name: Arc<str>,
    /// Which fields of a client are not believed. Default: all are forwarded.
    pub edge: EdgePolicy,
    /// What becomes of fields with `_` in their names. Default: they pass.
    pub underscores: Underscores,
    /// What becomes of the port in a request's host. Default: it stays.
    pub host_port: HostPort,
    /// What becomes of a dot at the end of a request's host. Default: it stays, and routes are looked up without it.
    pub host_dot: HostDot,
    /// What is done to a request's path before it is matched. Default: dot segments are resolved.
    pub path: PathPolicy,
    /// Who is believed about who the client is. Default: nobody.
    pub forwarding: Forwarding,
    /// What an upstream is told about its client's certificate. Default: what the client says.
    pub client_certificate: CertificateField,
    /// What stands between two addresses in `X-Forwarded-For`. Default: a comma and a blank.
    pub separator: Separator,
    /// How long a client may take. Defaults: [`limits`].
    pub timeouts: DownstreamTimeouts,
    /// How large a head may be. Defaults: [`limits`].
    pub head: HeadLimits,
    /// HTTP/1 alone.
    pub http1: Http1Settings,
    /// HTTP/2 alone.
    pub http2: Http2Settings,
    /// After how many requests a connection is closed, gracefully. Default: never.
    pub requests_per_connection_max: Option<NonZeroU32>,
    /// Which protocols an HTTP/1.1 `Upgrade`, or an extended CONNECT (RFC 8441), may switch to, in lower case. Other
    /// offers are ignored, as RFC 9110 §7.8 allows. `h2c` is never switched to. Default: `websocket`.
    pub upgrades: Vec<Box<str>>,
    /// What becomes of offers to switch to anything else. Default: they are ignored.
    pub other_upgrades: OtherUpgrades,
    /// What every request meets before its route's own filters. Default: nothing, which costs nothing.
    pub filters: NamedFilters,
    /// Those of [`HttpSettings::upgrades`] that a route has to allow by itself, see
    /// [`Upgrades::Each`](crate::route::Upgrades::Each); elsewhere they get 403. Default: none.
    pub upgrades_by_route: Vec<Box<str>>,
    /// What the end of a client's input means while its request is under way. Default: that the client has left.
    pub half_close: HalfClose,
    /// What clients and upstreams are told beside what they say to each other. Default: nothing, which costs nothing.
    pub manners: Option<Arc<Manners>>,
    /// Which requests get an `x-request-id`. Default: what a client sends is passed on.
    pub request_id: RequestIdPolicy,
    /// What is written about each request when it is over. Default: nothing, which costs nothing.
    pub access_logs: Vec<AccessLog>,
    /// Which spans are made. Default: none; a client's trace context passes through.
    pub tracing: Option<Tracing>,
}

/// How long a client may take for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownstreamTimeouts {
    /// For a complete request head, counted from its first byte, however it drips (slowloris).
    /// Default: [`limits::REQUEST_HEAD_TIMEOUT`].
    pub request_head: Duration,
    /// How long a connection without a request stays open. Default: [`limits::DOWNSTREAM_IDLE_TIMEOUT`].
    pub idle: Duration,
    /// How long a request may be under way without a byte moving in either direction, where its route does not say it
    /// ([`RouteTimeouts::idle`](crate::route::RouteTimeouts::idle)); `None` never ends it. Then it is a
    /// failure, [`Kind::IdleTimeout`](crate::error::Kind::IdleTimeout): 504, and where the response has begun it is cut short.
    /// Default: [`limits::STREAM_IDLE_TIMEOUT`].
    pub stream_idle: Option<Duration>,
    /// How long a request may take from its head to the end of its response, tunnels included, where its route does not say it
    /// ([`RouteTimeouts::stream_max`](crate::route::RouteTimeouts::stream_max)). Then it is a failure,
    /// [`Kind::StreamTooLong`](crate::error::Kind::StreamTooLong): 504, or 408 where it had not come whole, and where the response has
    /// begun it is cut short. Default: none.
    pub stream_max: Option<Duration>,
    /// How long a tunnel may be open without a byte moving in either direction. Default: none.
    pub tunnel_idle: Option<Duration>,
    /// How long a request may take to arrive whole, its body included. Default: none.
    pub request: Option<Duration>,
    /// How long a connection may live at most; then it is drained. Default: none.
    pub connection_max: Option<Duration>,
    /// How long a connection that is drained waits for what is under way: after its `connection_max`, and one of HTTP/2 after any
    /// other reason too; the whole process' drain may end it before. What outlasts it is cut; over HTTP/1 it is
    /// [`Kind::DrainCut`](crate::error::Kind::DrainCut) then, a 503 where no response had begun.
    /// Default: [`limits::CONNECTION_DRAIN_TIMEOUT`].
    pub drain: Duration,
    /// How long a client may leave a response that is under way unread, or over HTTP/2 nearly so
    /// ([`limits::H2_PROGRESS_BYTES_MIN`]); then its stream or connection is cut. And how long a request's body may be waited for,
    /// before the response begins, while less than [`limits::BODY_PROGRESS_BYTES_MIN`] of it come; then 408. `None` leaves both to
    /// the other timeouts: whoever stands before has bounds of its own. Default: [`limits::STALL_TIMEOUT`].
    pub stall: Option<Duration>,
    /// How long a client is left to take the last response of an HTTP/1 connection, where it still sends what nobody wants: a part
    /// of that is read and dropped ([`limits::UNREAD_BYTES_MAX`]), and the rest left to the kernel, since a socket that is closed on
    /// unread input is reset, and the reset can overtake the response (Envoy's `delayed_close_timeout`). Zero closes at once.
    /// Default: [`limits::LINGER_TIME`].
    pub linger: Duration,
}

/// How large a request head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Request line and fields, in bytes; HTTP/2 counts 32 more for each field (RFC 9113 §6.5.2). Above it: 431.
    /// Default: [`limits::REQUEST_HEAD_BYTES_MAX`].
    pub bytes_max: usize,
    /// The request target, in bytes; above it: 414. Default: [`limits::REQUEST_TARGET_BYTES_MAX`].
    pub target_bytes_max: usize,
    /// Fields, also each crumb of a split cookie; above it: 431. Default: [`limits::HEADER_FIELDS_MAX`].
    pub fields_max: usize,
}

/// What HTTP/1 clients may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Http1Settings {
    /// Whether HTTP/1.0 is spoken. Default: no, it gets 426.
    pub http_10: Http10,
}

/// Whether HTTP/1.0 requests are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http10 {
    /// They get 426 and the connection is closed.
    #[default]
    Refused,
    /// They are served; their connection is closed afterwards unless they ask for `keep-alive`.
    Accepted,
}

/// The bounds of one HTTP/2 connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Settings {
    /// `SETTINGS_MAX_CONCURRENT_STREAMS`. Default: [`limits::H2_STREAMS_MAX`].
    pub streams_max: u32,
    /// The receive window of a stream, in bytes. Default: [`limits::H2_STREAM_WINDOW_BYTES`].
    pub stream_window_bytes: u32,
    /// The receive window of the connection, in bytes. Default: [`limits::H2_CONNECTION_WINDOW_BYTES`].
    pub connection_window_bytes: u32,
    /// Whether PING asks now and then if the client is still there. Default: never.
    pub keep_alive: Option<Http2KeepAlive>,
    /// Whose streams a connection carries, so what it says of its peer that many are given up. Default: one client's.
    pub streams_of: StreamsOf,
}

/// Whose streams a connection of HTTP/2 carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamsOf {
    /// One client's: RST_STREAM have bounds (rapid reset, CVE-2023-44487).
    #[default]
    OneClient,
    /// Those of many clients, by a proxy that is trusted to bound each: whoever gives up takes nobody with him.
    Many,
}

/// When PING asks whether a client is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2KeepAlive {
    /// How long after one answer the next is asked for.
    pub interval: Duration,
    /// How long the answer may take; then the connection is cut.
    pub timeout: Duration,
}

/// What the end of a client's input means while its request is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HalfClose {
    /// The client has left: its request is cancelled.
    #[default]
    Abort,
    /// The client has only finished sending, and still reads its response.
    Serve,
}

/// What becomes of an offer to switch to a protocol that [`HttpSettings::upgrades`] does not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtherUpgrades {
    /// It is ignored: the request goes on without it.
    #[default]
    Ignored,
    /// The first one is passed on, for the upstream to say; `h2c` never is.
    Passed,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            route_table: "".into(),
            metrics_name: "".into(),
            edge: EdgePolicy::default(),
            underscores: Underscores::default(),
            host_port: HostPort::default(),
            host_dot: HostDot::default(),
            path: PathPolicy::default(),
            forwarding: Forwarding::default(),
            client_certificate: CertificateField::default(),
            separator: Separator::default(),
            timeouts: DownstreamTimeouts::default(),
            head: HeadLimits::default(),
            http1: Http1Settings::default(),
            http2: Http2Settings::default(),
            requests_per_connection_max: None,
            upgrades: vec!["websocket".into()],
            other_upgrades: OtherUpgrades::default(),
            filters: NamedFilters::default(),
            upgrades_by_route: Vec::new(),
            half_close: HalfClose::default(),
            manners: None,
            request_id: RequestIdPolicy::default(),
            access_logs: Vec::new(),
            tracing: None,
        }
    }
}

impl Default for DownstreamTimeouts {
    fn default() -> Self {
        Self {
            request_head: limits::REQUEST_HEAD_TIMEOUT,
            idle: limits::DOWNSTREAM_IDLE_TIMEOUT,
            stream_idle: Some(limits::STREAM_IDLE_TIMEOUT),
            stream_max: None,
            tunnel_idle: None,
            request: None,
            connection_max: None,
            drain: limits::CONNECTION_DRAIN_TIMEOUT,
            stall: Some(limits::STALL_TIMEOUT),
            linger: limits::LINGER_TIME,
        }
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            bytes_max: limits::REQUEST_HEAD_BYTES_MAX,
            target_bytes_max: limits::REQUEST_TARGET_BYTES_MAX,
            fields_max: limits::HEADER_FIELDS_MAX,
        }
    }
}

impl Default for Http2Settings {
    fn default() -> Self {
        Self {
            streams_max: limits::H2_STREAMS_MAX,
            stream_window_bytes: limits::H2_STREAM_WINDOW_BYTES,
            connection_window_bytes: limits::H2_CONNECTION_WINDOW_BYTES,
            keep_alive: None,
            streams_of: StreamsOf::OneClient,
        }
    }
}
