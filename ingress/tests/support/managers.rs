//! How does a test change the connection manager of a listener that Kourier pushes?

use envoy_types::pb::envoy::config::listener::v3::{self as listener, Listener};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use prost::Message;
use tidegate_testkit::control_plane::model::{Item, LISTENER};

use super::edit;
use super::secrets::packed;

/// Changes that of `listener_8080`.
pub(crate) fn edit_manager(items: &mut [Item], change: impl FnOnce(&mut HttpConnectionManager)) {
    edit(items, (LISTENER, "listener_8080"), |listener: &mut Listener| {
        let mut filters = listener
            .filter_chains
            .iter_mut()
            .flat_map(|chain| &mut chain.filters);
        let any = filters.find_map(|filter| match &mut filter.config_type {
            Some(listener::filter::ConfigType::TypedConfig(any)) => Some(any),
            _ => None,
        });
        let any = any.expect("Kourier's listener has one");
        let mut manager = HttpConnectionManager::decode(any.value.as_slice()).expect("it is one");
        change(&mut manager);
        *any = packed(&manager);
    });
}
