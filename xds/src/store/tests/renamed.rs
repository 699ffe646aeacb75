//! A listener that takes the place of another in one update.

use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as http;
use envoy_types::util::pack_any;

use super::*;

/// A listener without any route.
fn listening(name: &str, port: u16) -> Vec<u8> {
    let router = http::HttpFilter {
        name: "router".to_owned(),
        config_type: Some(http::http_filter::ConfigType::TypedConfig(pack_any(
            Router::default(),
        ))),
        ..Default::default()
    };
    let routes = http::http_connection_manager::RouteSpecifier::RouteConfig(RouteConfiguration::default());
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
    .encode_to_vec()
}

#[test]
fn a_listener_may_have_the_address_of_one_that_goes_with_the_same_update() {
    let mut rig = Rig::new();
    rig.accepts(&state(Kind::Cluster, "1", Vec::new()));
    rig.accepts(&state(Kind::Listener, "1", vec![("a", listening("a", 8080))]));
    rig.accepts(&state(Kind::Listener, "2", vec![("b", listening("b", 8080))]));
    let open: Vec<_> = rig
        .store
        .outside()
        .sockets
        .values()
        .map(|(at, _)| at.clone())
        .collect();
    assert_eq!(open, ["127.0.0.1:8080"]);
    let both = vec![("b", listening("b", 8080)), ("c", listening("c", 8080))];
    assert_eq!(
        rig.refuses(&state(Kind::Listener, "3", both)).failed,
        ["c".into()]
    );
}
