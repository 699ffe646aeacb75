//! How connections to a cluster's endpoints are made: sockets, TLS, where they come from.

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as envoy;
use envoy_types::pb::envoy::config::core::v3 as core;
use tidegate_proxy::cluster::ClusterSettings;
use tidegate_proxy::cluster::transport::{
    EndpointTransport, TcpKeepalive, TransportChoices, TransportSettings,
};

use super::matches::Labels;
use super::protocol::Spoken;
use super::socket;
use crate::limits;
use crate::translate::endpoints::address;
use crate::translate::message::number;
use crate::translate::notes::Notes;
use crate::translate::secret::{HostNames, UpstreamTls};
use crate::translate::{Context, Reject};

/// TLS to the endpoints of a cluster.
#[derive(Default)]
pub(super) struct Tls {
    pub(super) usual: Option<UpstreamTls>,
    /// Of each of the cluster's other ways to connect.
    pub(super) choices: Vec<Option<UpstreamTls>>,
}

/// Writes everything but TLS into `settings`, and returns TLS.
pub(super) fn read(
    message: &envoy::Cluster,
    spoken: &Spoken,
    settings: &mut ClusterSettings,
    context: &Context,
    notes: &mut Notes,
) -> Result<Tls, Reject> {
    let common = TransportSettings {
        tcp_keepalive: keepalive(message.upstream_connection_options.as_ref()),
        source: source(message.upstream_bind_config.as_ref(), notes)?,
        ..spoken.transport.clone()
    };
    if message.transport_socket_matcher.is_some() {
        return Err(Reject::unsupported("transport_socket_matcher"));
    }
    let mut reader = Reader {
        message,
        spoken,
        context,
        notes,
    };
    let (usual, tls) = reader.way(&common, message.transport_socket.as_ref(), "socket")?;
    (settings.transport, settings.transport_http2) = (usual.transport.into(), usual.transport_http2);
    let mut tls = Tls {
        usual: tls,
        choices: Vec::new(),
    };
    let mut ways = Vec::new();
    for one in &message.transport_socket_matches {
        let (way, of_way) = reader.way(&common, one.transport_socket.as_ref(), "socket matcher")?;
        ways.push(way);
        tls.choices.push(of_way);
    }
    if !ways.is_empty() {
        let labels = Labels::of(message);
        let choices = TransportChoices::new(ways, move |endpoint| labels.choose(endpoint));
        settings.choices = Some(Box::new(choices));
    }
    Ok(tls)
}

struct Reader<'a> {
    message: &'a envoy::Cluster,
    spoken: &'a Spoken,
    context: &'a Context,
    notes: &'a mut Notes,
}

impl Reader<'_> {
    /// What is in `common`, through this transport socket; `kind` is what Envoy calls it.
    fn way(
        &mut self,
        common: &TransportSettings,
        socket: Option<&core::TransportSocket>,
        kind: &str,
    ) -> Result<(EndpointTransport, Option<UpstreamTls>), Reject> {
        let spoken = self.spoken;
        let layers = socket::read(socket, self.notes)?;
        if spoken.by_alpn && layers.tls.is_none() {
            let name = &self.message.name;
            return Err(Reject::Resource(format!(
                "ALPN configured for cluster {name} which has a non-ALPN transport {kind}: "
            )));
        }
        let transport = TransportSettings {
            proxy_header: layers.header,
            ..common.clone()
        };
        let transport_http2 = spoken.for_http2.as_ref().map(|second| TransportSettings {
            protocol: second.protocol,
            http2: second.http2,
            ..transport.clone()
        });
        let names = HostNames {
            asked_for: spoken.asks_for_host,
            checked: spoken.checks_host,
        };
        let tls = layers.tls.as_ref();
        let tls = tls.map(|tls| UpstreamTls::read(tls, names, self.context, self.notes));
        let way = EndpointTransport {
            transport,
            transport_http2: transport_http2.map(Box::new),
        };
        Ok((way, tls.transpose()?))
    }
}

fn keepalive(options: Option<&envoy::UpstreamConnectionOptions>) -> Option<TcpKeepalive> {
    let wanted = options?.tcp_keepalive.as_ref()?;
    let seconds = |field, usual| number(field).map_or(usual, |seconds| Duration::from_secs(seconds.into()));
    Some(TcpKeepalive {
        time: seconds(wanted.keepalive_time.as_ref(), limits::TCP_KEEPALIVE_TIME),
        interval: seconds(wanted.keepalive_interval.as_ref(), limits::TCP_KEEPALIVE_INTERVAL),
        probes: number(wanted.keepalive_probes.as_ref()).unwrap_or(limits::TCP_KEEPALIVE_PROBES),
    })
}

fn source(bind: Option<&core::BindConfig>, notes: &mut Notes) -> Result<Option<SocketAddr>, Reject> {
    let Some(bind) = bind else {
        return Ok(None);
    };
    let fields = [
        ("freebind", bind.freebind.is_some_and(|free| free.value)),
        ("socket_options", !bind.socket_options.is_empty()),
        ("extra_source_addresses", !bind.extra_source_addresses.is_empty()),
        (
            "additional_source_addresses",
            !bind.additional_source_addresses.is_empty(),
        ),
        ("local_address_selector", bind.local_address_selector.is_some()),
    ];
    for (field, there) in fields {
        notes.ignored(format_args!("upstream_bind_config.{field}"), there);
    }
    let source = bind.source_address.as_ref();
    let path = "upstream_bind_config.source_address";
    let source = source.map(|source| address::source(source, path)).transpose()?;
    // Any address with any port is no wish.
    Ok(source.filter(|source| !source.ip().is_unspecified() || source.port() != 0))
}
