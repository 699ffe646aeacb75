//! Listeners as `envoy.config.listener.v3.Listener`: a connection manager that takes its routes from a route configuration.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType as FilterConfig;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    CodecType, RouteSpecifier, UpgradeConfig,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds,
};
use envoy_types::pb::google::protobuf::BoolValue;
use prost::Message;

use super::{Encoder, any, duration, socket};
use crate::resource::Kind;
use crate::server::{Reference, Resource};

/// What a listener of plain HTTP is like. One of TLS has secrets, and is not written here.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Its name, which is its connection manager's prefix of statistics too.
    pub name: Box<str>,
    /// Where it listens.
    pub address: SocketAddr,
    /// The route configuration that it takes its routes from.
    pub routes: Box<str>,
    /// Which protocols an `Upgrade` may switch to.
    pub upgrades: Vec<Box<str>>,
    /// Whether it is asked by clients themselves, so that what they say about where they come from is not believed.
    pub edge: Edge,
}

/// Who asks a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edge {
    /// Clients themselves.
    #[default]
    External,
    /// Other proxies, which are believed.
    Internal,
}

impl Encoder {
    /// A listener.
    #[must_use]
    pub fn listener(&self, settings: &ListenerSettings) -> Resource {
        let manager = HttpConnectionManager {
            codec_type: CodecType::Auto.into(),
            stat_prefix: settings.name.to_string(),
            use_remote_address: (settings.edge == Edge::External).then_some(BoolValue { value: true }),
            // A request may take as long as its route lets it.
            stream_idle_timeout: Some(duration(std::time::Duration::ZERO)),
            upgrade_configs: settings.upgrades.iter().map(|name| upgrade(name)).collect(),
            http_filters: vec![HttpFilter {
                name: "envoy.filters.http.router".to_owned(),
                config_type: Some(ConfigType::TypedConfig(any(&Router::default()))),
                ..HttpFilter::default()
            }],
            route_specifier: Some(RouteSpecifier::Rds(Rds {
                config_source: Some(self.source.clone()),
                route_config_name: settings.routes.to_string(),
            })),
            ..HttpConnectionManager::default()
        };
        let filter = Filter {
            name: "envoy.filters.network.http_connection_manager".to_owned(),
            config_type: Some(FilterConfig::TypedConfig(any(&manager))),
        };
        let listener = Listener {
            name: settings.name.to_string(),
            address: Some(socket(settings.address)),
            filter_chains: vec![FilterChain {
                filters: vec![filter],
                ..FilterChain::default()
            }],
            ..Listener::default()
        };
        let routes = Reference {
            kind: Kind::Routes,
            name: settings.routes.as_ref().into(),
        };
        Resource::new(settings.name.as_ref(), listener.encode_to_vec()).naming([routes])
    }
}

fn upgrade(name: &str) -> UpgradeConfig {
    UpgradeConfig {
        upgrade_type: name.to_owned(),
        ..UpgradeConfig::default()
    }
}
