//! `envoy.config.listener.v3.Listener` with its connection managers as the settings of a listener.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::ChainMatch;
use tidegate_proxy::listener::settings::{IpVersions, ListenAddress, ProxyProtocol, TcpSettings};

use super::routes::RoutesConfig;
use super::secret::DownstreamTls;
use super::{Context, Note, Reject};

/// A listener as its resource describes it, its routes and secrets apart.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Its name.
    pub name: Arc<str>,
    /// Where it listens: `address` and `additional_addresses`. One change of it all closes and opens the listener; anything else
    /// changes it in place.
    pub addresses: Vec<(ListenAddress, IpVersions)>,
    /// Everything of the sockets beside where they listen.
    pub sockets: SocketConfig,
    /// Its chains; they are told apart by content, as their order is not stable between pushes.
    pub chains: Vec<ChainConfig>,
    /// The chain for connections that no other matches.
    pub default_chain: Option<ChainConfig>,
    /// What has no effect.
    pub notes: Vec<Note>,
}

/// What sockets are told beside where they listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    /// `tcp_backlog_size`.
    pub backlog: u32,
    /// Options of connections.
    pub tcp: TcpSettings,
    /// Whether a PROXY header comes first.
    pub proxy_protocol: ProxyProtocol,
    /// `listener_filters_timeout`.
    pub handshake_timeout: Duration,
}

/// A filter chain.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// Its name; may be empty.
    pub name: Arc<str>,
    /// The hash of its bytes.
    pub hash: u128,
    /// Which connections it takes.
    pub matches: ChainMatch,
    /// TLS, its secrets apart.
    pub tls: Option<DownstreamTls>,
    /// How it speaks HTTP; `route_table` is the name of the RDS resource, or one made up for inline routes.
    pub http: Arc<HttpSettings>,
    /// `stat_prefix`, as metrics name it.
    pub stat_prefix: Arc<str>,
    /// Where its routes come from.
    pub routes: RouteSource,
}

/// Where a connection manager's routes come from.
#[derive(Clone, Debug)]
pub enum RouteSource {
    /// Another resource.
    Rds {
        /// Its name.
        name: Arc<str>,
        /// How long the listener warms without it; `None` for ever.
        initial_fetch_timeout: Option<Duration>,
    },
    /// The resource itself, under the name in `http.route_table`.
    Inline(Arc<RoutesConfig>),
}

/// Reads a listener.
///
/// # Errors
/// When Envoy would refuse it, in Envoy's words; or when it asks for something that selects, restricts or authenticates and that
/// the proxy does not do.
pub fn listener(body: &Bytes, context: &Context) -> Result<ListenerConfig, Reject> {
    _ = (body, context);
    Err(Reject::Resource(String::new()))
}
