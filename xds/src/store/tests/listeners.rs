//! Listeners: what drains is bounded, and how they came makes no difference.

use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as http;
use envoy_types::util::pack_any;
use http::http_connection_manager::RouteSpecifier;

use super::*;
use crate::limits;

/// A listener whose routes come under this name; without one it has none.
pub(super) fn listening(name: &str, port: u16, routes: &str) -> Vec<u8> {
    on(name, port, routes).encode_to_vec()
}

/// [`listening`], to be changed.
pub(super) fn on(name: &str, port: u16, routes: &str) -> listener::Listener {
    let router = http::HttpFilter {
        name: "router".to_owned(),
        config_type: Some(http::http_filter::ConfigType::TypedConfig(pack_any(
            Router::default(),
        ))),
        ..Default::default()
    };
    let routes = match routes {
        "" => RouteSpecifier::RouteConfig(RouteConfiguration::default()),
        name => RouteSpecifier::Rds(http::Rds {
            config_source: Some(core::ConfigSource {
                config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
                    core::AggregatedConfigSource::default(),
                )),
                ..Default::default()
            }),
            route_config_name: name.to_owned(),
        }),
    };
    let manager = http::HttpConnectionManager {
        stat_prefix: "x".to_owned(),
        route_specifier: Some(routes),
        http_filters: vec![router],
        ..Default::default()
    };
    let filter = listener::Filter {
        name: "http".to_owned(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(pack_any(manager))),
    };
    listener::Listener {
        name: name.to_owned(),
        address: Some(core::Address {
            address: Some(core::address::Address::SocketAddress(core::SocketAddress {
                address: "127.0.0.1".to_owned(),
                port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
                ..Default::default()
            })),
        }),
        filter_chains: vec![listener::FilterChain {
            filters: vec![filter],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// How many versions drain after a listener has had routes of each of these names.
fn draining(rig: &mut Rig, names: impl Iterator<Item = String>) -> usize {
    for (version, name) in names.enumerate() {
        let routes = RouteConfiguration {
            name: name.clone(),
            ..Default::default()
        };
        rig.accepts(&state(
            Kind::Listener,
            &version.to_string(),
            vec![("a", listening("a", 8080, &name))],
        ));
        rig.accepts(&state(
            Kind::Routes,
            &version.to_string(),
            vec![(&name, routes.encode_to_vec())],
        ));
    }
    let states = rig.states(Kind::Listener);
    states
        .iter()
        .filter(|(_, state)| *state == State::Draining)
        .count()
}

#[test]
fn a_listener_that_changes_to_and_fro_leaves_one_of_each_kind_behind() {
    let mut rig = Rig::new();
    rig.accepts(&state(Kind::Cluster, "1", Vec::new()));
    let names = (0..50).map(|number| ["x", "y"][number % 2].to_owned());
    assert_eq!(draining(&mut rig, names), 2);
    let wanted = &rig.store.wanted()[&Kind::Routes];
    assert_eq!(wanted.iter().map(|name| &**name).collect::<Vec<_>>(), ["x", "y"]);
    rig.pass(Duration::from_secs(20));
    assert_eq!(rig.store.wanted()[&Kind::Routes].len(), 1);
}

#[test]
fn a_listener_that_never_comes_to_rest_leaves_a_bounded_number_of_versions_behind() {
    let mut rig = Rig::new();
    rig.accepts(&state(Kind::Cluster, "1", Vec::new()));
    let names = (0..limits::DRAINING_LISTENERS_MAX + 5).map(|number| format!("r{number}"));
    assert_eq!(draining(&mut rig, names), limits::DRAINING_LISTENERS_MAX);
}
