//! One filter chain: TLS, what serves its connections, and what tells it from others.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::TransportSocket;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType;
use envoy_types::pb::envoy::config::listener::v3::FilterChain;
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

use super::network::End;
use super::{ChainConfig, RouteSource, connection_manager, matching, network, tcp_proxy};
use crate::translate::any::{type_name, unpack, unregistered, unsupported};
use crate::translate::duration::duration;
use crate::translate::notes::Notes;
use crate::translate::secret::DownstreamTls;
use crate::translate::{Context, Reject};

/// What a chain knows of its listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfListener<'a> {
    pub(super) name: &'a str,
    /// Its address, in messages.
    pub(super) shown: &'a str,
    pub(super) context: &'a Context,
}

impl OfListener<'_> {
    /// Reads a chain.
    pub(super) fn chain(&self, chain: &FilterChain, notes: &mut Notes) -> Result<ChainConfig, Reject> {
        let matches = matching::of_chain(chain, self.shown)?;
        let timeout = duration(chain.transport_socket_connect_timeout.as_ref())?;
        notes.add_set(&[("transport_socket_connect_timeout", timeout.is_some())]);
        let tls = match &chain.transport_socket {
            Some(socket) => notes.within("transport_socket", |notes| self.tls(socket, notes))?,
            None => None,
        };
        let hash = hash(chain);
        let read = ChainConfig {
            name: chain.name.as_str().into(),
            hash,
            matches,
            tls,
            http: Arc::default(),
            relay: None,
            limit: None,
            stat_prefix: "".into(),
            routes: RouteSource::None,
        };
        let (end, limit) = network::end(chain, self.context, notes)?;
        let read = ChainConfig { limit, ..read };
        match end {
            End::Http(manager) => {
                let (http, stat_prefix, routes) = notes.within("http_connection_manager", |notes| {
                    connection_manager::read(self, hash, &manager, notes)
                })?;
                Ok(ChainConfig {
                    http: http.into(),
                    stat_prefix,
                    routes,
                    ..read
                })
            }
            End::Tcp(proxy) => {
                let relay =
                    notes.within("tcp_proxy", |notes| tcp_proxy::read(&proxy, self.context, notes))?;
                Ok(ChainConfig {
                    stat_prefix: Arc::clone(&relay.metrics_name),
                    relay: Some(relay.into()),
                    ..read
                })
            }
        }
    }

    fn tls(&self, socket: &TransportSocket, notes: &mut Notes) -> Result<Option<DownstreamTls>, Reject> {
        let Some(ConfigType::TypedConfig(config)) = &socket.config_type else {
            return Err(unregistered(&socket.name, None));
        };
        match type_name(config) {
            RAW_BUFFER => Ok(None),
            TLS => DownstreamTls::read(&unpack(config)?, self.context, notes).map(Some),
            of if OTHERS.contains(&of) => Err(unsupported(notes.place(), config)),
            _ => Err(unregistered(&socket.name, Some(config))),
        }
    }
}

const RAW_BUFFER: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
const TLS: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const OTHERS: [&str; 4] = [
    "envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport",
    "envoy.extensions.transport_sockets.starttls.v3.StartTlsConfig",
    "envoy.extensions.transport_sockets.alts.v3.Alts",
    "envoy.extensions.transport_sockets.tap.v3.Tap",
];

/// What tells a chain from others, whatever the order of its server names: some control planes send them in a new one each
/// time. Metadata says nothing to the proxy, and has no order either.
fn hash(chain: &FilterChain) -> u128 {
    let mut chain = chain.clone();
    chain.metadata = None;
    if let Some(matches) = &mut chain.filter_chain_match {
        matches.server_names.sort_unstable();
    }
    xxh3_128(&chain.encode_to_vec())
}
