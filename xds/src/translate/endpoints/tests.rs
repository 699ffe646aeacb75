//! Which endpoints come of an assignment, and which assignments are refused, in Envoy's words.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::google::protobuf::{Struct, UInt32Value, Value, value};
use prost::Message;
use tidegate_proxy::cluster::{Address, Health};

use super::*;
use crate::translate::metadata::Metadata;
use crate::translate::tests::context;

fn at(host: &str, port: u32) -> envoy::LbEndpoint {
    let socket = core::SocketAddress {
        address: host.into(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..Default::default()
    };
    let endpoint = envoy::Endpoint {
        address: Some(core::Address {
            address: Some(core::address::Address::SocketAddress(socket)),
        }),
        ..Default::default()
    };
    envoy::LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(endpoint)),
        ..Default::default()
    }
}

fn of(groups: Vec<envoy::LocalityLbEndpoints>) -> envoy::ClusterLoadAssignment {
    envoy::ClusterLoadAssignment {
        cluster_name: "app".into(),
        endpoints: groups,
        ..Default::default()
    }
}

fn group(listed: Vec<envoy::LbEndpoint>) -> envoy::LocalityLbEndpoints {
    envoy::LocalityLbEndpoints {
        lb_endpoints: listed,
        ..Default::default()
    }
}

fn read(message: &envoy::ClusterLoadAssignment) -> Result<EndpointsConfig, Reject> {
    endpoints(&Bytes::from(message.encode_to_vec()), &context())
}

#[test]
fn all_that_is_said_about_an_endpoint_arrives() {
    let mut listed = at("10.0.0.1", 80);
    listed.load_balancing_weight = Some(UInt32Value { value: 3 });
    listed.health_status = core::HealthStatus::Degraded as i32;
    let key = Value {
        kind: Some(value::Kind::StringValue("key".into())),
    };
    let balancing = Struct {
        fields: [("hash_key".to_owned(), key)].into(),
    };
    listed.metadata = Some(core::Metadata {
        filter_metadata: [("envoy.lb".to_owned(), balancing)].into(),
        ..Default::default()
    });
    let mut second = group(vec![listed]);
    second.priority = 1;
    second.load_balancing_weight = Some(UInt32Value { value: 7 });
    second.locality = Some(core::Locality {
        zone: "z".into(),
        ..Default::default()
    });
    let config = read(&of(vec![group(vec![at("::1", 81)]), second])).unwrap();
    let [first, second] = &config.endpoints[..] else {
        panic!("{:?}", config.endpoints);
    };
    assert_eq!(
        (
            first.address().to_string().as_str(),
            first.priority(),
            first.locality()
        ),
        ("[::1]:81", 0, None)
    );
    assert_eq!(
        (second.weight(), second.priority(), second.health()),
        (3, 1, Health::Degraded)
    );
    assert_eq!(second.locality().map(|at| (at.weight, &*at.zone)), Some((7, "z")));
    assert!(
        second
            .metadata()
            .get::<Metadata>()
            .unwrap()
            .structs
            .contains_key("envoy.lb")
    );
}

#[test]
fn the_first_of_several_at_one_address_counts() {
    let mut again = at("10.0.0.1", 80);
    again.load_balancing_weight = Some(UInt32Value { value: 9 });
    let config = read(&of(vec![group(vec![
        at("10.0.0.1", 80),
        again,
        at("10.0.0.1", 81),
    ])]))
    .unwrap();
    let found: Vec<_> = config
        .endpoints
        .iter()
        .map(|one| (one.address().port(), one.weight()))
        .collect();
    assert_eq!(found, [(80, 1), (81, 1)]);
}

#[test]
fn a_unix_socket_is_an_address_and_port_0_is_accepted() {
    let pipe = core::Pipe {
        path: "/run/app.sock".into(),
        mode: 0,
    };
    let mut listed = at("10.0.0.1", 0);
    let Some(HostIdentifier::Endpoint(endpoint)) = &mut listed.host_identifier else {
        panic!("it has one");
    };
    endpoint.address = Some(core::Address {
        address: Some(core::address::Address::Pipe(pipe)),
    });
    let config = read(&of(vec![group(vec![listed, at("10.0.0.1", 0)])])).unwrap();
    assert!(matches!(config.endpoints[0].address(), Address::Unix(_)));
    assert_eq!(config.endpoints[1].address().port(), 0);
}

#[test]
fn what_envoy_refuses_is_refused_in_its_words() {
    let check = |message: envoy::ClusterLoadAssignment, expected: &str| {
        assert_eq!(read(&message).unwrap_err().to_string(), expected);
    };
    let of_listed = |listed: envoy::LbEndpoint| of(vec![group(vec![listed])]);
    check(
        of_listed(at("localhost", 80)),
        "malformed IP address: localhost. Consider setting resolver_name or setting cluster type to 'STRICT_DNS' or \
         'LOGICAL_DNS'",
    );
    check(of_listed(envoy::LbEndpoint::default()), "Address must be set");
    let mut named = at("10.0.0.1", 80);
    if let Some(HostIdentifier::Endpoint(endpoint)) = &mut named.host_identifier
        && let Some(core::address::Address::SocketAddress(socket)) = endpoint
            .address
            .as_mut()
            .and_then(|address| address.address.as_mut())
    {
        socket.port_specifier = Some(PortSpecifier::NamedPort("http".into()));
    }
    check(
        of_listed(named),
        "IP resolver can't handle port specifier type 4. Consider setting resolver_name or setting cluster type to \
         'STRICT_DNS' or 'LOGICAL_DNS'",
    );
}

#[test]
fn a_broken_constraint_refuses_the_response() {
    let way = "embedded message failed validation | caused by";
    let check = |message: envoy::ClusterLoadAssignment, expected: String| {
        let expected =
            format!("Proto constraint validation failed (ClusterLoadAssignmentValidationError.{expected})");
        assert_eq!(read(&message).unwrap_err(), Reject::Message(expected));
    };
    let mut nameless = of(Vec::new());
    nameless.cluster_name.clear();
    check(
        nameless,
        "ClusterName: value length must be at least 1 characters".into(),
    );
    let mut far = group(Vec::new());
    far.priority = 129;
    check(
        of(vec![far]),
        format!(
            "Endpoints[0]: {way} LocalityLbEndpointsValidationError.Priority: value must be less than or equal to 128"
        ),
    );
    check(
        of(vec![group(vec![at("10.0.0.1", 65536)])]),
        format!(
            "Endpoints[0]: {way} LocalityLbEndpointsValidationError.LbEndpoints[0]: {way} \
             LbEndpointValidationError.Endpoint: {way} EndpointValidationError.Address: {way} \
             AddressValidationError.SocketAddress: {way} SocketAddressValidationError.PortValue: value must be less \
             than or equal to 65535"
        ),
    );
}
