//! How a cluster's endpoints are connected to.

use envoy_types::pb::envoy::config::cluster::v3::{Cluster, UpstreamConnectionOptions};
use envoy_types::pb::envoy::config::core::v3::{
    BindConfig, Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as Common, KeepaliveSettings,
    SocketAddress, TcpKeepalive, address,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions,
};
use tidegate_proxy::cluster::transport::Http2Upstream;
use tidegate_proxy::cluster::{Protocol, TransportSettings};

use super::super::{Unsupported, any, duration, number, socket};

/// The key of [`HttpProtocolOptions`] among a cluster's options. There is one, so their order is no question.
const HTTP: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

pub(super) fn apply(transport: &TransportSettings, cluster: &mut Cluster) -> Result<(), Unsupported> {
    let usual = TransportSettings::default();
    let refuse = |is: bool, what| {
        if is {
            Err(Unsupported::new("transport", what))
        } else {
            Ok(())
        }
    };
    refuse(transport.tls.is_some(), "TLS to endpoints")?;
    refuse(transport.proxy_header.is_some(), "a PROXY protocol header")?;
    refuse(transport.connector.is_some(), "a connector of this process")?;
    refuse(
        transport.response_head != usual.response_head,
        "how large the head of a response may be",
    )?;
    refuse(
        transport.protocol == Protocol::Auto,
        "a protocol that is found out",
    )?;
    cluster.connect_timeout = Some(duration(transport.connect_timeout));
    if let Some(keepalive) = transport.tcp_keepalive {
        let seconds = |time: std::time::Duration| number(u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
        cluster.upstream_connection_options = Some(UpstreamConnectionOptions {
            tcp_keepalive: Some(TcpKeepalive {
                keepalive_probes: number(keepalive.probes),
                keepalive_time: seconds(keepalive.time),
                keepalive_interval: seconds(keepalive.interval),
            }),
            ..UpstreamConnectionOptions::default()
        });
    }
    if let Some(source) = transport.source {
        let source: Option<SocketAddress> = match socket(source).address {
            Some(address::Address::SocketAddress(source)) => Some(source),
            _ => None,
        };
        cluster.upstream_bind_config = Some(BindConfig {
            source_address: source,
            ..BindConfig::default()
        });
    }
    let options = HttpProtocolOptions {
        common_http_protocol_options: Some(common(transport)),
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(match transport.protocol {
                Protocol::Http2 => ProtocolConfig::Http2ProtocolOptions(http2(&transport.http2)),
                Protocol::Http1 | Protocol::Auto => {
                    ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default())
                }
            }),
        })),
        ..HttpProtocolOptions::default()
    };
    cluster.typed_extension_protocol_options = [(HTTP.to_owned(), any(&options))].into();
    Ok(())
}

fn common(transport: &TransportSettings) -> Common {
    let requests = transport.requests_per_connection_max;
    Common {
        idle_timeout: Some(duration(transport.idle_timeout)),
        max_connection_duration: transport.connection_max.map(duration),
        max_requests_per_connection: requests
            .and_then(|requests| number(u32::try_from(requests.get()).unwrap_or(u32::MAX))),
        ..Common::default()
    }
}

/// What differs from our own defaults; Envoy's suit as well.
fn http2(http2: &Http2Upstream) -> Http2ProtocolOptions {
    let usual = Http2Upstream::default();
    let differs = |is: u32, was: u32| (is != was).then(|| number(is)).flatten();
    let streams = |streams: usize| u32::try_from(streams).unwrap_or(u32::MAX);
    Http2ProtocolOptions {
        max_concurrent_streams: differs(streams(http2.streams_max), streams(usual.streams_max)),
        initial_stream_window_size: differs(http2.stream_window_bytes, usual.stream_window_bytes),
        initial_connection_window_size: differs(http2.connection_window_bytes, usual.connection_window_bytes),
        connection_keepalive: http2.keepalive.map(|keepalive| KeepaliveSettings {
            interval: Some(duration(keepalive.interval)),
            timeout: Some(duration(keepalive.timeout)),
            ..KeepaliveSettings::default()
        }),
        ..Http2ProtocolOptions::default()
    }
}
