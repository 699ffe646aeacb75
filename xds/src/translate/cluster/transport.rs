//! How connections to a cluster's endpoints are made: sockets, TLS, where they come from.

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as envoy;
use envoy_types::pb::envoy::config::core::v3 as core;
use tidegate_proxy::cluster::ClusterSettings;
use tidegate_proxy::cluster::transport::{TcpKeepalive, TransportSettings};

use super::protocol::Spoken;
use super::socket;
use crate::limits;
use crate::translate::endpoints::address;
use crate::translate::message::number;
use crate::translate::notes::Notes;
use crate::translate::secret::{HostNames, UpstreamTls};
use crate::translate::{Context, Reject};

/// Writes everything but TLS into `settings`, and returns TLS.
pub(super) fn read(
    message: &envoy::Cluster,
    spoken: &Spoken,
    settings: &mut ClusterSettings,
    context: &Context,
    notes: &mut Notes,
) -> Result<Option<UpstreamTls>, Reject> {
    settings.transport = spoken.transport.clone();
    settings.transport.tcp_keepalive = keepalive(message.upstream_connection_options.as_ref());
    settings.transport.source = source(message.upstream_bind_config.as_ref(), notes)?;
    let layers = socket::read(chosen(message)?, notes)?;
    settings.transport.proxy_header = layers.header;
    settings.transport_http2 = spoken.for_http2.as_ref().map(|second| TransportSettings {
        protocol: second.protocol,
        http2: second.http2,
        ..settings.transport.clone()
    });
    if spoken.by_alpn && layers.tls.is_none() {
        let why = format!(
            "ALPN configured for cluster {} which has a non-ALPN transport socket: ",
            message.name
        );
        return Err(Reject::Resource(why));
    }
    let Some(tls) = &layers.tls else {
        return Ok(None);
    };
    let names = HostNames {
        asked_for: spoken.asks_for_host,
        checked: spoken.checks_host,
    };
    UpstreamTls::read(tls, names, context, notes).map(Some)
}

/// The one transport socket for all endpoints. Of those that are chosen by an endpoint's metadata only a first one that
/// takes them all is as good.
fn chosen(message: &envoy::Cluster) -> Result<Option<&core::TransportSocket>, Reject> {
    if message.transport_socket_matcher.is_some() {
        return Err(Reject::unsupported("transport_socket_matcher"));
    }
    let Some(first) = message.transport_socket_matches.first() else {
        return Ok(message.transport_socket.as_ref());
    };
    match first
        .r#match
        .as_ref()
        .is_none_or(|wanted| wanted.fields.is_empty())
    {
        true => Ok(first.transport_socket.as_ref()),
        false => Err(Reject::unsupported("transport_socket_matches")),
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
