//! Which endpoints have a transport socket of their own.

use envoy_types::pb::envoy::config::cluster::v3::cluster::TransportSocketMatch;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType;
use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
use prost::Name;
use tidegate_proxy::cluster::Cluster;
use tidegate_proxy::cluster::transport::{ProxyHeader, TransportSettings};

use super::*;

fn socket(packed: &(impl Name + Default)) -> core::TransportSocket {
    core::TransportSocket {
        name: "socket".into(),
        config_type: Some(ConfigType::TypedConfig(protobuf::Any {
            type_url: type_url(packed),
            value: packed.encode_to_vec(),
        })),
    }
}

fn type_url<M: Name>(_: &M) -> String {
    M::type_url()
}

fn labels(labels: &[(&str, &str)]) -> protobuf::Struct {
    let value = |text: &str| protobuf::Value {
        kind: Some(protobuf::value::Kind::StringValue(text.into())),
    };
    let fields = labels.iter().map(|(name, text)| ((*name).into(), value(text)));
    protobuf::Struct {
        fields: fields.collect(),
    }
}

fn metadata(said: &[(&str, &str)]) -> Option<core::Metadata> {
    Some(core::Metadata {
        filter_metadata: [("envoy.transport_socket_match".to_owned(), labels(said))].into(),
        ..Default::default()
    })
}

fn one(name: &str, wanted: &[(&str, &str)], socket: core::TransportSocket) -> TransportSocketMatch {
    TransportSocketMatch {
        name: name.into(),
        r#match: Some(labels(wanted)),
        transport_socket: Some(socket),
    }
}

/// How a cluster with these matches connects to an endpoint that says this, in a locality that says that.
fn chosen(
    matches: Vec<TransportSocketMatch>,
    said: Option<core::Metadata>,
    of_locality: Option<core::Metadata>,
) -> TransportSettings {
    let mut message = of(DiscoveryType::Static, &[("10.0.0.1", 80)]);
    message.transport_socket_matches = matches;
    let group = &mut message.load_assignment.as_mut().unwrap().endpoints[0];
    group.metadata = of_locality;
    group.lb_endpoints[0].metadata = said;
    let config = read(&message).unwrap();
    let cluster = Cluster::new(config.settings(&Secrets::default()).unwrap().unwrap());
    let EndpointSource::Inline(endpoints) = config.endpoints else {
        panic!("{:?}", config.endpoints);
    };
    cluster.set_endpoints(endpoints);
    cluster.transport_settings(&cluster.endpoints()[0]).clone()
}

#[test]
fn the_first_that_an_endpoint_or_else_its_locality_meets_has_it() {
    let header = || socket(&ProxyProtocolUpstreamTransport::default());
    let check =
        |said: Option<&[(&str, &str)]>, of_locality: Option<&[(&str, &str)]>, tls: bool, header_too: bool| {
            let tls_socket = socket(&UpstreamTlsContext::default());
            let matches = vec![
                one("tls", &[("tls", "yes"), ("new", "yes")], tls_socket),
                one("header", &[("header", "yes")], header()),
            ];
            let way = chosen(matches, said.and_then(metadata), of_locality.and_then(metadata));
            assert_eq!(way.tls.is_some(), tls, "{said:?} {of_locality:?}");
            let expected = header_too.then_some(ProxyHeader::V1);
            assert_eq!(way.proxy_header, expected, "{said:?} {of_locality:?}");
        };
    check(None, None, false, false);
    check(Some(&[("tls", "yes")]), None, false, false);
    check(Some(&[("tls", "yes"), ("new", "no")]), None, false, false);
    check(
        Some(&[("tls", "yes"), ("new", "yes"), ("more", "")]),
        None,
        true,
        false,
    );
    check(
        Some(&[("tls", "yes"), ("new", "yes"), ("header", "yes")]),
        None,
        true,
        false,
    );
    let both: &[_] = &[("tls", "yes"), ("new", "yes")];
    check(None, Some(both), true, false);
    check(Some(&[("header", "yes")]), Some(both), false, true);
}

#[test]
fn one_without_a_condition_takes_all() {
    let matches = || vec![one("all", &[], socket(&UpstreamTlsContext::default()))];
    assert!(chosen(matches(), None, None).tls.is_some());
    assert!(chosen(matches(), metadata(&[("a", "b")]), None).tls.is_some());
}

#[test]
fn each_is_read_as_strictly_as_the_cluster_s_own() {
    let matching = |one: TransportSocketMatch| with(|cluster| cluster.transport_socket_matches = vec![one]);
    refused(
        &matching(one("a", &[], socket(&protobuf::Duration::default()))),
        "Didn't find a registered implementation for 'socket' with type URL: \
         'type.googleapis.com/google.protobuf.Duration'",
    );
    let unnamed = read(&matching(one("", &[], socket(&RawBuffer {})))).map(|config| config.settings);
    let why = unnamed.unwrap_err().to_string();
    assert!(
        why.contains("TransportSocketMatchValidationError.Name: value length must be at least 1 characters"),
        "{why}"
    );
}
