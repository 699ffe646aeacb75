//! What is spoken to a cluster's endpoints, and how: `HttpProtocolOptions`, or the fields before there was such a thing.

use std::num::NonZeroU64;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as envoy;
use envoy_types::pb::envoy::config::cluster::v3::cluster::ClusterProtocolSelection;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::http::upstream_codec::v3::UpstreamCodec;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::UpstreamProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use prost::Name;
use tidegate_proxy::cluster::transport::{Http2Keepalive, Protocol, TransportSettings};

use super::constraints;
use crate::limits;
use crate::translate::Reject;
use crate::translate::constraint::{Checked, Rules, Violation};
use crate::translate::message::{duration, number, positive, unpack};
use crate::translate::notes::Notes;

/// What is spoken, and what TLS is told about the request's host.
#[derive(Clone, Debug, Default)]
pub(super) struct Spoken {
    /// Everything but TLS and sockets.
    pub(super) transport: TransportSettings,
    /// The same for requests that came by HTTP/2, where that is different.
    pub(super) for_http2: Option<TransportSettings>,
    /// Whether ALPN has to be there to choose by.
    pub(super) by_alpn: bool,
    /// `auto_sni`: the handshake asks for the request's host.
    pub(super) asks_for_host: bool,
    /// `auto_san_validation`: the certificate has to have that name.
    pub(super) checks_host: bool,
}

/// What the cluster says about it.
pub(super) fn read(message: &envoy::Cluster, notes: &mut Notes) -> Result<Spoken, Reject> {
    let mut spoken = Spoken::default();
    if let Some(time) = positive(message.connect_timeout.as_ref()) {
        spoken.transport.connect_timeout = time;
    }
    let mut options = None;
    for (name, packed) in &message.typed_extension_protocol_options {
        if name == OPTIONS {
            options = Some(unpack::<http::HttpProtocolOptions>(packed)?);
        } else if name.starts_with("envoy.") {
            notes.ignored(format_args!("typed_extension_protocol_options[{name}]"), true);
        } else {
            return Err(Reject::Resource(format!(
                "Didn't find a registered network or http filter or protocol options implementation for name: '{name}'"
            )));
        }
    }
    match &options {
        Some(options) => {
            held(options).map_err(Violation::of_resource)?;
            of_options(options, &message.name, &mut spoken, notes)?;
        }
        None => of_old_fields(message, &mut spoken, notes)?,
    }
    // The cluster's own bound on requests is the older one.
    if spoken.transport.requests_per_connection_max.is_none() {
        let requests = number(message.max_requests_per_connection.as_ref());
        let requests = requests.and_then(|requests| NonZeroU64::new(requests.into()));
        spoken.transport.requests_per_connection_max = requests;
        if let Some(second) = &mut spoken.for_http2 {
            second.requests_per_connection_max = requests;
        }
    }
    Ok(spoken)
}

fn held(options: &http::HttpProtocolOptions) -> Checked {
    let of = Rules::of("HttpProtocolOptions");
    let common = options.common_http_protocol_options.as_ref();
    of.optional("CommonHttpProtocolOptions", common, constraints::common_http)?;
    match &options.upstream_protocol_options {
        None => Err(Violation::unset("upstream_protocol_options")),
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => {
            let held = match &explicit.protocol_config {
                None => Err(Violation::unset("protocol_config")),
                Some(ProtocolConfig::Http2ProtocolOptions(http2)) => {
                    Rules::of("ExplicitHttpConfig").within("Http2ProtocolOptions", constraints::http2(http2))
                }
                Some(_) => Ok(()),
            };
            of.within("ExplicitHttpConfig", held)
        }
        Some(UpstreamProtocolOptions::AutoConfig(auto)) => {
            let http2 = auto.http2_protocol_options.as_ref();
            let held =
                Rules::of("AutoHttpConfig").optional("Http2ProtocolOptions", http2, constraints::http2);
            of.within("AutoConfig", held)
        }
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(same)) => {
            let http2 = same.http2_protocol_options.as_ref();
            let held = Rules::of("UseDownstreamHttpConfig").optional(
                "Http2ProtocolOptions",
                http2,
                constraints::http2,
            );
            of.within("UseDownstreamProtocolConfig", held)
        }
    }
}

fn of_options(
    options: &http::HttpProtocolOptions,
    cluster: &str,
    spoken: &mut Spoken,
    notes: &mut Notes,
) -> Result<(), Reject> {
    if let Some(common) = &options.common_http_protocol_options {
        of_common(common, &mut spoken.transport, OPTIONS, notes)?;
    }
    if let Some(host) = &options.upstream_http_protocol_options {
        of_host(host, OPTIONS, spoken)?;
    }
    match &options.upstream_protocol_options {
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => match &explicit.protocol_config {
            Some(ProtocolConfig::Http2ProtocolOptions(http2)) => {
                spoken.transport.protocol = Protocol::Http2;
                of_http2(http2, &mut spoken.transport);
            }
            Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                let why = format!("HTTP3 requires a QuicUpstreamTransport transport socket: {cluster}");
                return Err(Reject::Resource(why));
            }
            Some(ProtocolConfig::HttpProtocolOptions(_)) | None => {}
        },
        Some(UpstreamProtocolOptions::AutoConfig(auto)) => {
            spoken.transport.protocol = Protocol::Auto;
            spoken.by_alpn = true;
            if let Some(http2) = &auto.http2_protocol_options {
                of_http2(http2, &mut spoken.transport);
            }
            notes.ignored(
                "auto_config.http3_protocol_options",
                auto.http3_protocol_options.is_some(),
            );
        }
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(same)) => {
            as_clients_do(same.http2_protocol_options.as_ref(), spoken);
            notes.ignored(
                "use_downstream_protocol_config.http3_protocol_options",
                same.http3_protocol_options.is_some(),
            );
        }
        None => {}
    }
    of_the_rest(options, notes)
}

/// Filters on this side, and what else a cluster may say instead of its routes.
fn of_the_rest(options: &http::HttpProtocolOptions, notes: &mut Notes) -> Result<(), Reject> {
    for (index, filter) in options.http_filters.iter().enumerate() {
        use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
        let codec = matches!(&filter.config_type, Some(ConfigType::TypedConfig(packed))
            if packed.type_url == UpstreamCodec::type_url());
        if index + 1 == options.http_filters.len() && !codec {
            let why = "The codec filter is the only valid terminal upstream HTTP filter, use \
                       'envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec'";
            return Err(Reject::Resource(why.to_owned()));
        }
        if !codec {
            return Err(Reject::unsupported(format_args!(
                "{OPTIONS}: http_filters[{index}]"
            )));
        }
    }
    let selecting = [
        (
            "request_mirror_policies",
            !options.request_mirror_policies.is_empty(),
        ),
        ("hash_policy", !options.hash_policy.is_empty()),
        (
            "header_validation_config",
            options.header_validation_config.is_some(),
        ),
    ];
    for (field, there) in selecting {
        if there {
            return Err(Reject::unsupported(format_args!("{OPTIONS}: {field}")));
        }
    }
    notes.ignored(
        format_args!("{OPTIONS}: outlier_detection"),
        options.outlier_detection.is_some(),
    );
    notes.ignored(
        format_args!("{OPTIONS}: retry_policy"),
        options.retry_policy.is_some(),
    );
    Ok(())
}

fn of_old_fields(message: &envoy::Cluster, spoken: &mut Spoken, notes: &mut Notes) -> Result<(), Reject> {
    if let Some(common) = &message.common_http_protocol_options {
        of_common(
            common,
            &mut spoken.transport,
            "common_http_protocol_options",
            notes,
        )?;
    }
    if let Some(host) = &message.upstream_http_protocol_options {
        of_host(host, "upstream_http_protocol_options", spoken)?;
    }
    if let Some(http2) = &message.http2_protocol_options {
        spoken.transport.protocol = Protocol::Http2;
        of_http2(http2, &mut spoken.transport);
    }
    if message.protocol_selection == ClusterProtocolSelection::UseDownstreamProtocol as i32 {
        as_clients_do(message.http2_protocol_options.as_ref(), spoken);
    }
    Ok(())
}

/// Requests go on in the protocol that they came by.
fn as_clients_do(http2: Option<&core::Http2ProtocolOptions>, spoken: &mut Spoken) {
    spoken.transport.protocol = Protocol::Http1;
    let mut second = TransportSettings {
        protocol: Protocol::Http2,
        ..spoken.transport.clone()
    };
    if let Some(http2) = http2 {
        of_http2(http2, &mut second);
    }
    spoken.for_http2 = Some(second);
}

fn of_common(
    common: &core::HttpProtocolOptions,
    transport: &mut TransportSettings,
    path: &str,
    notes: &mut Notes,
) -> Result<(), Reject> {
    if let Some(idle) = duration(common.idle_timeout.as_ref())? {
        // Zero switches it off.
        transport.idle_timeout = if idle.is_zero() {
            limits::IDLE_FOR_EVER
        } else {
            idle
        };
    }
    let life = duration(common.max_connection_duration.as_ref())?;
    transport.connection_max = life.filter(|life| *life > Duration::ZERO);
    let requests = number(common.max_requests_per_connection.as_ref());
    transport.requests_per_connection_max = requests.and_then(|requests| NonZeroU64::new(requests.into()));
    if let Some(fields) = number(common.max_headers_count.as_ref()) {
        transport.response_head.fields_max = fields as usize;
    }
    if let Some(kilobytes) = number(common.max_response_headers_kb.as_ref()) {
        transport.response_head.bytes_max = kilobytes as usize * 1024;
    }
    if duration(common.max_stream_duration.as_ref())?.is_some_and(|most| !most.is_zero()) {
        return Err(Reject::unsupported(format_args!("{path}: max_stream_duration")));
    }
    notes.ignored(
        format_args!("{path}: max_connection_duration_jitter"),
        common.max_connection_duration_jitter.is_some(),
    );
    Ok(())
}

fn of_host(host: &core::UpstreamHttpProtocolOptions, path: &str, spoken: &mut Spoken) -> Result<(), Reject> {
    spoken.asks_for_host = host.auto_sni;
    spoken.checks_host = host.auto_san_validation;
    match host.override_auto_sni_header.as_str() {
        "" => Ok(()),
        // The same by another name.
        header if header.eq_ignore_ascii_case(":authority") || header.eq_ignore_ascii_case("host") => Ok(()),
        _ => Err(Reject::unsupported(format_args!(
            "{path}: override_auto_sni_header"
        ))),
    }
}

fn of_http2(http2: &core::Http2ProtocolOptions, transport: &mut TransportSettings) {
    if let Some(streams) = number(http2.max_concurrent_streams.as_ref()) {
        transport.http2.streams_max = streams as usize;
    }
    if let Some(bytes) = number(http2.initial_stream_window_size.as_ref()) {
        transport.http2.stream_window_bytes = bytes;
    }
    if let Some(bytes) = number(http2.initial_connection_window_size.as_ref()) {
        transport.http2.connection_window_bytes = bytes;
    }
    let keepalive = http2.connection_keepalive.as_ref();
    transport.http2.keepalive = keepalive.and_then(|keepalive| {
        Some(Http2Keepalive {
            interval: positive(keepalive.interval.as_ref())?,
            timeout: positive(keepalive.timeout.as_ref())?,
        })
    });
}

/// The key of `HttpProtocolOptions`.
const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
