//! Which settings come of a cluster, and which clusters are refused, in Envoy's words.

use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbConfig, LbPolicy, MaglevLbConfig,
    RingHashLbConfig,
};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::google::protobuf;
use prost::Message;
use tidegate_proxy::cluster::discovery::{Addresses, Family};
use tidegate_proxy::cluster::transport::Protocol;
use tidegate_proxy::cluster::{Balance, BalanceSettings};

use super::*;
use crate::translate::UnknownFields;
use crate::translate::tests::context;

mod activation;
mod checks;
mod http;
mod matches;
mod policies;

/// A cluster of this kind with its endpoints inline.
pub(super) fn of(kind: DiscoveryType, hosts: &[(&str, u32)]) -> envoy::Cluster {
    let listed = |(host, port): &(&str, u32)| {
        let socket = core::SocketAddress {
            address: (*host).into(),
            port_specifier: Some(PortSpecifier::PortValue(*port)),
            ..Default::default()
        };
        let endpoint = endpoint::Endpoint {
            address: Some(core::Address {
                address: Some(core::address::Address::SocketAddress(socket)),
            }),
            ..Default::default()
        };
        endpoint::LbEndpoint {
            host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint)),
            ..Default::default()
        }
    };
    let group = endpoint::LocalityLbEndpoints {
        lb_endpoints: hosts.iter().map(listed).collect(),
        ..Default::default()
    };
    envoy::Cluster {
        name: "app".into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(kind as i32)),
        load_assignment: Some(endpoint::ClusterLoadAssignment {
            cluster_name: "app".into(),
            endpoints: vec![group],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A cluster without endpoints, changed.
pub(super) fn with(change: impl FnOnce(&mut envoy::Cluster)) -> envoy::Cluster {
    let mut cluster = envoy::Cluster {
        name: "app".into(),
        ..Default::default()
    };
    change(&mut cluster);
    cluster
}

pub(super) fn read(message: &envoy::Cluster) -> Result<ClusterConfig, Reject> {
    cluster(&Bytes::from(message.encode_to_vec()), &context())
}

pub(super) fn refused(message: &envoy::Cluster, expected: &str) {
    assert_eq!(
        read(message).map(|config| config.settings).unwrap_err(),
        Reject::Resource(expected.to_owned())
    );
}

pub(super) fn seconds(seconds: i64) -> Option<protobuf::Duration> {
    Some(protobuf::Duration { seconds, nanos: 0 })
}

#[test]
fn what_kourier_sends_is_a_cluster_with_its_endpoints() {
    let mut message = of(DiscoveryType::Static, &[("10.0.0.1", 8012), ("10.0.0.2", 8012)]);
    message.connect_timeout = seconds(5);
    let config = read(&message).unwrap();
    let EndpointSource::Inline(endpoints) = &config.endpoints else {
        panic!("{:?}", config.endpoints);
    };
    assert_eq!(endpoints.len(), 2);
    assert_eq!(config.settings.transport.connect_timeout, Duration::from_secs(5));
    assert_eq!(*config.settings.balance, BalanceSettings::default());
    assert_eq!(config.settings.breakers.default.requests, None);
    assert_eq!(config.settings.breakers.default.retries, Some(3));
    assert!(config.notes.is_empty() && config.tls.is_none());
}

#[test]
fn names_are_looked_up_as_the_kind_says() {
    let check = |kind, family: i32, expected: (Addresses, Family)| {
        let mut message = of(kind, &[("app.example", 80)]);
        message.dns_lookup_family = family;
        message.dns_refresh_rate = seconds(7);
        let config = read(&message).unwrap();
        let discovery = config.settings.discovery.unwrap();
        assert_eq!((discovery.addresses, discovery.family), expected);
        assert_eq!(
            (&*discovery.names[0].host, discovery.names[0].port),
            ("app.example", 80)
        );
        assert_eq!(
            (discovery.refresh, discovery.by_ttl),
            (Duration::from_secs(7), false)
        );
        assert!(matches!(config.endpoints, EndpointSource::Names));
    };
    check(DiscoveryType::StrictDns, 0, (Addresses::All, Family::PreferV6));
    check(DiscoveryType::LogicalDns, 1, (Addresses::First, Family::V4));
    check(DiscoveryType::StrictDns, 3, (Addresses::All, Family::PreferV4));
    check(DiscoveryType::StrictDns, 4, (Addresses::All, Family::All));
}

#[test]
fn endpoints_of_another_resource_are_named() {
    let check = |service: &str, fetch: Option<protobuf::Duration>, expected: (&str, Option<u64>)| {
        let config = read(&with(|cluster| {
            cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32));
            cluster.eds_cluster_config = Some(EdsClusterConfig {
                service_name: service.into(),
                eds_config: Some(core::ConfigSource {
                    initial_fetch_timeout: fetch,
                    config_source_specifier: Some(ConfigSourceSpecifier::Ads(
                        core::AggregatedConfigSource {},
                    )),
                    ..Default::default()
                }),
            });
        }));
        let EndpointSource::Eds {
            name,
            initial_fetch_timeout,
            file: None,
        } = config.unwrap().endpoints
        else {
            panic!("it is EDS over ADS");
        };
        assert_eq!(
            (&*name, initial_fetch_timeout.map(|time| time.as_secs())),
            expected
        );
    };
    check("", None, ("app", Some(15)));
    check("other", seconds(3), ("other", Some(3)));
    check("", seconds(0), ("app", None));
}

#[test]
fn what_envoy_refuses_is_refused_in_its_words() {
    let kind = |kind: DiscoveryType| {
        with(|cluster| cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(kind as i32)))
    };
    refused(
        &kind(DiscoveryType::Eds),
        "cannot create an EDS cluster without an EDS config",
    );
    refused(
        &with(|cluster| cluster.eds_cluster_config = Some(EdsClusterConfig::default())),
        "eds_cluster_config set in a non-EDS cluster",
    );
    refused(
        &of(DiscoveryType::LogicalDns, &[("a.example", 1), ("b.example", 1)]),
        "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint",
    );
    refused(
        &of(DiscoveryType::Static, &[("localhost", 1)]),
        "malformed IP address: localhost. Consider setting resolver_name or setting cluster type to 'STRICT_DNS' or \
         'LOGICAL_DNS'",
    );
    refused(
        &kind(DiscoveryType::OriginalDst),
        "type: ORIGINAL_DST: it is not supported, and traffic would go otherwise without it",
    );
    refused(
        &with(|cluster| cluster.connection_pool_per_downstream_connection = true),
        "connection_pool_per_downstream_connection: it is not supported, and traffic would go otherwise without it",
    );
    assert!(read(&kind(DiscoveryType::StrictDns)).is_ok());
}

#[test]
fn a_broken_constraint_refuses_the_response() {
    let check = |message: envoy::Cluster, expected: &str| {
        let expected = format!("Proto constraint validation failed (ClusterValidationError.{expected})");
        assert_eq!(read(&message).map(|_| ()).unwrap_err(), Reject::Message(expected));
    };
    check(
        with(|cluster| cluster.name.clear()),
        "Name: value length must be at least 1 characters",
    );
    check(
        with(|cluster| cluster.connect_timeout = seconds(0)),
        "ConnectTimeout: value must be greater than 0s",
    );
    check(
        with(|cluster| cluster.connect_timeout = seconds(-1)),
        "ConnectTimeout: value must be greater than 0s",
    );
    check(
        with(|cluster| cluster.lb_policy = 9),
        "LbPolicy: value must be one of the defined enum values",
    );
    check(
        with(|cluster| {
            cluster.dns_refresh_rate = Some(protobuf::Duration {
                seconds: 0,
                nanos: 500_000,
            });
        }),
        "DnsRefreshRate: value must be greater than 1ms",
    );
    check(
        with(|cluster| {
            let table_size = Some(protobuf::UInt64Value { value: 5_000_013 });
            cluster.lb_config = Some(LbConfig::MaglevLbConfig(MaglevLbConfig { table_size }));
        }),
        "MaglevLbConfig: embedded message failed validation | caused by MaglevLbConfigValidationError.TableSize: value \
         must be less than or equal to 5000011",
    );
    assert!(matches!(
        cluster(&Bytes::from_static(&[0xff]), &context()).map(|_| ()),
        Err(Reject::Message(text)) if text == "Unable to unpack as envoy.config.cluster.v3.Cluster"
    ));
}

#[test]
fn policies_by_number_have_their_settings() {
    let sized = |minimum_ring_size, maximum_ring_size| {
        let size = |size| Some(protobuf::UInt64Value { value: size });
        with(|cluster| {
            cluster.lb_policy = LbPolicy::RingHash as i32;
            cluster.lb_config = Some(LbConfig::RingHashLbConfig(RingHashLbConfig {
                minimum_ring_size: size(minimum_ring_size),
                maximum_ring_size: size(maximum_ring_size),
                ..Default::default()
            }));
        })
    };
    let policy = read(&sized(10, 20)).unwrap().settings.balance.policy;
    assert!(matches!(policy, Balance::RingHash(ring) if (ring.points_min, ring.points_max) == (10, 20)));
    refused(
        &sized(20, 10),
        "ring hash: minimum_ring_size (20) > maximum_ring_size (10)",
    );
    let maglev = |size| {
        with(|cluster| {
            cluster.lb_policy = LbPolicy::Maglev as i32;
            let table_size = Some(protobuf::UInt64Value { value: size });
            cluster.lb_config = Some(LbConfig::MaglevLbConfig(MaglevLbConfig { table_size }));
        })
    };
    assert!(read(&maglev(7)).is_ok());
    refused(&maglev(4), "The table size of maglev must be prime number");
}

#[test]
fn only_endpoints_leave_the_fingerprint_as_it_is() {
    let of = |change: fn(&mut envoy::Cluster)| {
        let mut message = of(DiscoveryType::Static, &[("10.0.0.1", 80)]);
        message.connect_timeout = seconds(1);
        change(&mut message);
        read(&message).unwrap().fingerprint
    };
    let plain = of(|_| {});
    assert_eq!(plain, of(|message| message.load_assignment = None));
    assert_ne!(plain, of(|message| message.connect_timeout = seconds(2)));
    assert_ne!(plain, of(|message| message.alt_stat_name = "x".into()));
}

#[test]
fn metadata_is_carried_as_it_came() {
    let metadata = core::Metadata {
        filter_metadata: [("example".to_owned(), protobuf::Struct::default())].into(),
        ..Default::default()
    };
    let encoded = metadata.encode_to_vec();
    let config = read(&with(|cluster| cluster.metadata = Some(metadata))).unwrap();
    let carried = config.settings.metadata.get::<Metadata>().unwrap();
    assert_eq!(carried.encoded, encoded);
    assert!(carried.structs.contains_key("example"));
}

#[test]
fn an_unknown_field_is_noted_or_refused() {
    let mut body = with(|_| {}).encode_to_vec();
    // Field 1000, one byte.
    body.extend([0xc2, 0x3e, 1, b'x']);
    let body = Bytes::from(body);
    let config = cluster(&body, &context()).unwrap();
    assert_eq!(config.notes.len(), 1);
    let strict = Context {
        unknown_fields: UnknownFields::Rejected,
        ..context()
    };
    let refused = cluster(&body, &strict).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "Protobuf message (type envoy.config.cluster.v3.Cluster(root) with unknown field set {1000}) has unknown fields"
    );
}

#[test]
fn whatever_is_cut_off_or_changed_is_refused_or_read_and_nothing_else() {
    let mut message = of(DiscoveryType::Static, &[("10.0.0.1", 8012)]);
    message.metadata = Some(core::Metadata {
        filter_metadata: [("a".to_owned(), protobuf::Struct::default())].into(),
        ..Default::default()
    });
    let whole = message.encode_to_vec();
    for place in 0..whole.len() {
        _ = cluster(&Bytes::copy_from_slice(&whole[..place]), &context());
        for value in [0, 1, 0x0a, 0x7f, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[place] = value;
            _ = cluster(&Bytes::from(changed), &context());
        }
    }
    assert!(cluster(&Bytes::from(whole), &context()).is_ok());
}
