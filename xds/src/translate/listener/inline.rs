//! Which route configurations does a listener bring itself, rather than by the name of one of RDS?

use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use pb::HttpConnectionManager;
use pb::http_connection_manager::RouteSpecifier;
use prost::{Message, Name};

/// Those of a listener that was accepted, by name and encoded, in the order of its filter chains, the default one last. What is
/// no listener has none.
///
/// ```
/// assert!(tidegate_xds::translate::listener::inline::routes(b"").is_empty());
/// ```
#[must_use]
pub fn routes(listener: &[u8]) -> Vec<(String, Vec<u8>)> {
    let listener = Listener::decode(listener).unwrap_or_default();
    let chains = listener
        .filter_chains
        .into_iter()
        .chain(listener.default_filter_chain);
    let filters = chains.flat_map(|chain| chain.filters);
    let configs = filters.filter_map(|filter| {
        let ConfigType::TypedConfig(any) = filter.config_type? else {
            return None;
        };
        Some(any)
    });
    let managers = configs.filter(|any| any.type_url == HttpConnectionManager::type_url());
    managers
        .filter_map(|any| inline(&any.value))
        .map(|routes| (routes.name.clone(), routes.encode_to_vec()))
        .collect()
}

fn inline(manager: &[u8]) -> Option<RouteConfiguration> {
    match HttpConnectionManager::decode(manager).ok()?.route_specifier? {
        RouteSpecifier::RouteConfig(routes) => Some(routes),
        RouteSpecifier::Rds(_) | RouteSpecifier::ScopedRoutes(_) => None,
    }
}
