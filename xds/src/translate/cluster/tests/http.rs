//! What is spoken to endpoints, and over what.

use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
};
use prost::Name;

use super::*;

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

fn packed<M: Message + Name>(message: &M) -> protobuf::Any {
    protobuf::Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

fn speaking(options: UpstreamProtocolOptions) -> envoy::Cluster {
    let options = HttpProtocolOptions {
        upstream_protocol_options: Some(options),
        common_http_protocol_options: Some(core::HttpProtocolOptions {
            idle_timeout: seconds(9),
            ..Default::default()
        }),
        ..Default::default()
    };
    with(|cluster| cluster.typed_extension_protocol_options = [(OPTIONS.to_owned(), packed(&options))].into())
}

fn explicit(protocol: Option<ProtocolConfig>) -> envoy::Cluster {
    speaking(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
        protocol_config: protocol,
    }))
}

#[test]
fn the_protocol_is_what_is_said_explicitly() {
    let http1 = ProtocolConfig::HttpProtocolOptions(core::Http1ProtocolOptions::default());
    let settings = read(&explicit(Some(http1))).unwrap().settings;
    assert_eq!(settings.transport.protocol, Protocol::Http1);
    assert_eq!(settings.transport.idle_timeout, Duration::from_secs(9));
    // Kourier's is an empty message: it is there, and that counts.
    let http2 = ProtocolConfig::Http2ProtocolOptions(core::Http2ProtocolOptions::default());
    let settings = read(&explicit(Some(http2))).unwrap().settings;
    assert_eq!(settings.transport.protocol, Protocol::Http2);
    let old = read(&with(|cluster| {
        cluster.http2_protocol_options = Some(Default::default());
    }))
    .unwrap();
    assert_eq!(old.settings.transport.protocol, Protocol::Http2);
    assert_eq!(
        read(&with(|_| {})).unwrap().settings.transport.protocol,
        Protocol::Http1
    );
}

#[test]
fn clients_that_speak_http2_are_passed_on_in_it_where_that_is_said() {
    let same = UseDownstreamHttpConfig::default();
    let settings = read(&speaking(UpstreamProtocolOptions::UseDownstreamProtocolConfig(
        same,
    )))
    .unwrap()
    .settings;
    assert_eq!(settings.transport.protocol, Protocol::Http1);
    assert_eq!(
        settings.transport_http2.map(|second| second.protocol),
        Some(Protocol::Http2)
    );
}

#[test]
fn options_that_envoy_refuses_are_refused_in_its_words() {
    let constraint = "Proto constraint validation failed";
    refused(
        &explicit(None),
        &format!(
            "{constraint} (HttpProtocolOptionsValidationError.ExplicitHttpConfig: embedded message failed validation | \
             caused by field: \"protocol_config\", reason: is required)"
        ),
    );
    let empty = HttpProtocolOptions::default();
    refused(
        &with(|cluster| {
            cluster.typed_extension_protocol_options = [(OPTIONS.to_owned(), packed(&empty))].into();
        }),
        &format!("{constraint} (field: \"upstream_protocol_options\", reason: is required)"),
    );
    refused(
        &with(|cluster| {
            cluster.typed_extension_protocol_options = [("zzz".to_owned(), packed(&empty))].into();
        }),
        "Didn't find a registered network or http filter or protocol options implementation for name: 'zzz'",
    );
    refused(
        &speaking(UpstreamProtocolOptions::AutoConfig(AutoHttpConfig::default())),
        "ALPN configured for cluster app which has a non-ALPN transport socket: ",
    );
}

#[test]
fn transport_sockets_are_known_by_their_type() {
    let socket = |packed: Option<protobuf::Any>| {
        with(|cluster| {
            cluster.transport_socket = Some(core::TransportSocket {
                name: "zz".into(),
                config_type: packed.map(core::transport_socket::ConfigType::TypedConfig),
            });
        })
    };
    assert!(read(&socket(Some(packed(&RawBuffer {})))).is_ok());
    let unknown = "Didn't find a registered implementation for 'zz' with type URL: '";
    refused(&socket(None), &format!("{unknown}'"));
    refused(
        &socket(Some(packed(&protobuf::Duration::default()))),
        &format!("{unknown}type.googleapis.com/google.protobuf.Duration'"),
    );
}
