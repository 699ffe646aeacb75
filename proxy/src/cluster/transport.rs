//! How the endpoints of a cluster are connected to: what they speak, over what, and how long a connection lives.
//!
//! ```
//! use tidegate_proxy::cluster::transport::{Protocol, TransportSettings};
//!
//! let grpc = TransportSettings { protocol: Protocol::Http2, ..TransportSettings::default() };
//! assert_ne!(grpc, TransportSettings::default());
//! ```

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::config::limits;
use crate::route::Shared;
use crate::tls::upstream::ClientTls;

mod choice;
mod connector;
mod redial;

pub(super) use choice::Way;
pub use choice::{EndpointTransport, TransportChoices};
pub use connector::{Connector, Duplex};
pub use redial::Redial;

/// What an upstream port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: by prior knowledge over TCP (RFC 9113 §3.3), as the only offer of ALPN over TLS.
    Http2,
    /// What the endpoint chooses by ALPN over TLS, HTTP/2 before HTTP/1.1; without TLS HTTP/1.1.
    Auto,
}

/// Which PROXY protocol header begins a connection; it tells the endpoint who the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyHeader {
    /// Version 1, a line of text.
    V1,
    /// Version 2, binary.
    V2,
}

/// How connections to the endpoints of a cluster are made and kept.
///
/// Pooled connections belong to settings and address: clusters with equal settings share theirs, others never do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransportSettings {
    /// What its endpoints speak. Default: HTTP/1.1.
    pub protocol: Protocol,
    /// TLS to the endpoint. Default: none.
    pub tls: Option<ClientTls>,
    /// The PROXY protocol header before everything else, TLS included. Its source is the address of the downstream
    /// connection, and connections that have said one are never shared between clients. Default: none.
    pub proxy_header: Option<ProxyHeader>,
    /// How long an endpoint may take until its connection is usable, the TLS handshake and HTTP/2's first SETTINGS
    /// included. Default: [`limits::CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// Whether a TCP connection is dialled again within that time when there is no answer. Default: no.
    pub redial: Option<Redial>,
    /// How long a connection lies idle before it is closed. Default: [`limits::UPSTREAM_IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// After how many requests a connection takes no more. Default: never.
    pub requests_per_connection_max: Option<NonZeroU64>,
    /// After how long a connection takes no more requests; those under way finish. Default: never.
    pub connection_max: Option<Duration>,
    /// Probes of the kernel on a TCP connection that is silent. Default: none.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// The local address that TCP connections come from; port 0 leaves the port to the system. Default: the system's
    /// choice.
    pub source: Option<SocketAddr>,
    /// HTTP/2 alone. Default: as [`Http2Upstream`].
    pub http2: Http2Upstream,
    /// How large the head of a response, or its trailers, may be. Default: as [`ResponseHeadLimits`].
    pub response_head: ResponseHeadLimits,
    /// What makes connections instead of TCP and Unix domain sockets; TLS and the PROXY header still come on top.
    /// Default: none.
    pub connector: Option<Connector>,
}

/// When the kernel probes a silent TCP connection, and when it gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpKeepalive {
    /// How long a connection is silent before the first probe.
    pub time: Duration,
    /// The time between two probes.
    pub interval: Duration,
    /// How many unanswered probes end the connection.
    pub probes: u32,
}

/// The bounds of one HTTP/2 connection to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Http2Upstream {
    /// The most streams on one connection, if the endpoint allows as many; then another connection is dialled.
    /// Default: [`limits::UPSTREAM_H2_STREAMS_MAX`].
    pub streams_max: usize,
    /// The receive window of a stream, in bytes. Default: [`limits::H2_STREAM_WINDOW_BYTES`].
    pub stream_window_bytes: u32,
    /// The receive window of the connection, in bytes. Default: [`limits::H2_CONNECTION_WINDOW_BYTES`].
    pub connection_window_bytes: u32,
    /// PINGs that find a dead connection before a request does. Default: none.
    pub keepalive: Option<Http2Keepalive>,
}

/// PINGs on a connection that has streams open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Http2Keepalive {
    /// The time between a PING's answer and the next PING.
    pub interval: Duration,
    /// How long the answer may take; then the connection is cut, and its streams with it.
    pub timeout: Duration,
}

/// How large the head of a response may be; above it 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponseHeadLimits {
    /// Status line and fields, in bytes; HTTP/2 counts 32 more for each field (RFC 9113 §6.5.2). Default:
    /// [`limits::RESPONSE_HEAD_BYTES_MAX`].
    pub bytes_max: usize,
    /// Fields. Default: [`limits::HEADER_FIELDS_MAX`].
    pub fields_max: usize,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            tls: None,
            proxy_header: None,
            connect_timeout: limits::CONNECT_TIMEOUT,
            redial: None,
            idle_timeout: limits::UPSTREAM_IDLE_TIMEOUT,
            requests_per_connection_max: None,
            connection_max: None,
            tcp_keepalive: None,
            source: None,
            http2: Http2Upstream::default(),
            response_head: ResponseHeadLimits::default(),
            connector: None,
        }
    }
}

impl Default for Http2Upstream {
    fn default() -> Self {
        Self {
            streams_max: limits::UPSTREAM_H2_STREAMS_MAX,
            stream_window_bytes: limits::H2_STREAM_WINDOW_BYTES,
            connection_window_bytes: limits::H2_CONNECTION_WINDOW_BYTES,
            keepalive: None,
        }
    }
}

impl Default for ResponseHeadLimits {
    fn default() -> Self {
        Self {
            bytes_max: limits::RESPONSE_HEAD_BYTES_MAX,
            fields_max: limits::HEADER_FIELDS_MAX,
        }
    }
}

/// Settings as a cluster holds them: shared, and hashed once, since each request looks its pool up by them.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    settings: Shared<TransportSettings>,
    hash: u64,
}

impl Transport {
    pub(crate) fn new(settings: Shared<TransportSettings>) -> Self {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&*settings);
        Self { settings, hash }
    }

    pub(crate) fn settings(&self) -> &TransportSettings {
        &self.settings
    }

    /// What the endpoint may answer in, of what is known before it was asked.
    pub(crate) fn protocol(&self) -> Protocol {
        match (self.settings.protocol, &self.settings.tls) {
            (Protocol::Auto, None) => Protocol::Http1,
            (protocol, _) => protocol,
        }
    }
}

impl PartialEq for Transport {
    fn eq(&self, other: &Self) -> bool {
        // The same cluster's almost always; by content when a new snapshot brought the cluster anew.
        self.settings.is(&other.settings) || (self.hash == other.hash && *self.settings == *other.settings)
    }
}

impl Eq for Transport {}

impl Hash for Transport {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_settings_are_one_transport_and_any_difference_makes_another() {
        let transport = |change: fn(&mut TransportSettings)| {
            let mut settings = TransportSettings::default();
            change(&mut settings);
            Transport::new(settings.into())
        };
        let usual = transport(|_| {});
        assert_eq!(usual, transport(|_| {}));
        assert_ne!(usual, transport(|settings| settings.protocol = Protocol::Http2));
        assert_ne!(
            usual,
            transport(|settings| settings.proxy_header = Some(ProxyHeader::V1))
        );
        assert_ne!(
            usual,
            transport(|settings| settings.idle_timeout = Duration::from_secs(1))
        );
    }
}
