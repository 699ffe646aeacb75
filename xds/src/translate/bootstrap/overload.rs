//! What the program may use of memory and connections.

use envoy_types::pb::envoy::config::overload::v3 as pb;
use envoy_types::pb::envoy::extensions::resource_monitors::downstream_connections::v3::DownstreamConnectionsConfig;
use envoy_types::pb::envoy::extensions::resource_monitors::fixed_heap::v3::FixedHeapConfig;
use pb::resource_monitor::ConfigType;

use super::{Layer, Reject, runtime};
use crate::text::is_known_to_envoy;
use crate::translate::any::{is, type_name, unpack, unregistered};
use crate::translate::constraint::Rules;
use crate::translate::notes::Notes;

/// The bounds of the whole program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overload {
    /// `fixed_heap`: how many bytes of memory; the actions of Envoy stand for the proxy's own, which begin before it is reached.
    pub memory_bytes_max: Option<u64>,
    /// `downstream_connections`: how many connections of clients.
    pub connections_max: Option<u64>,
}

/// The actions that Envoy 1.40 has.
const ACTIONS: [&str; 8] = [
    "envoy.overload_actions.disable_http_keepalive",
    "envoy.overload_actions.reduce_timeouts",
    "envoy.overload_actions.reject_incoming_connections",
    "envoy.overload_actions.reset_high_memory_stream",
    "envoy.overload_actions.shrink_heap",
    "envoy.overload_actions.stop_accepting_connections",
    "envoy.overload_actions.stop_accepting_requests",
    "envoy.overload_actions.disable_http3_keepalive",
];

/// The deprecated way to bound connections, by a layer of the runtime that is there from the start.
const CONNECTIONS_MAX: &str = "overload.global_downstream_max_connections";

pub(super) fn overload(
    message: Option<&pb::OverloadManager>,
    runtime: &[Layer],
    notes: &mut Notes,
) -> Result<Overload, Reject> {
    let of_runtime = runtime::number(runtime, CONNECTIONS_MAX).filter(|max| *max > 0);
    let Some(message) = message else {
        return Ok(Overload {
            connections_max: of_runtime,
            ..Overload::default()
        });
    };
    let monitors = Rules::of("OverloadManager").some_items("ResourceMonitors", &message.resource_monitors);
    Rules::of("Bootstrap").within("OverloadManager", monitors)?;
    let mut overload = Overload::default();
    for (index, monitor) in message.resource_monitors.iter().enumerate() {
        let Some(ConfigType::TypedConfig(any)) = &monitor.config_type else {
            return Err(unregistered(&monitor.name, None));
        };
        if is::<FixedHeapConfig>(any) {
            let config: FixedHeapConfig = unpack(any)?;
            if config.max_heap_size_bytes == 0 {
                let text = "fixed_heap: max heap size must be greater than 0";
                return Err(Reject::Resource(text.to_owned()));
            }
            overload.memory_bytes_max = Some(config.max_heap_size_bytes);
        } else if is::<DownstreamConnectionsConfig>(any) {
            let config: DownstreamConnectionsConfig = unpack(any)?;
            let max = u64::try_from(config.max_active_downstream_connections).unwrap_or_default();
            if max == 0 {
                let rules = Rules::of("DownstreamConnectionsConfig");
                let field = "MaxActiveDownstreamConnections";
                return Err(rules.broken(field, "value must be greater than 0").into());
            }
            overload.connections_max = Some(max);
        } else if type_name(any).contains(".resource_monitors.") && is_known_to_envoy(type_name(any)) {
            let field = format!("overload_manager.resource_monitors[{index}]");
            notes.add(&field, "nothing is done about this resource");
        } else {
            return Err(unregistered(&monitor.name, Some(any)));
        }
    }
    // As in Envoy, the monitor counts where both say something.
    overload.connections_max = overload.connections_max.or(of_runtime);
    for action in &message.actions {
        check(action, &message.resource_monitors)?;
    }
    if message.actions.is_empty() {
        // What is measured has no effect without them.
        overload.memory_bytes_max = None;
    }
    if !message.loadshed_points.is_empty() {
        notes.add("overload_manager.loadshed_points", "it has no effect");
    }
    Ok(overload)
}

fn check(action: &pb::OverloadAction, monitors: &[pb::ResourceMonitor]) -> Result<(), Reject> {
    let name = &action.name;
    if !ACTIONS.contains(&name.as_str()) {
        return Err(Reject::Resource(format!(
            "Unknown Overload Manager Action {name}"
        )));
    }
    let is_there = |trigger: &&pb::Trigger| monitors.iter().all(|monitor| monitor.name != trigger.name);
    match action.triggers.iter().find(is_there) {
        Some(trigger) => Err(Reject::Resource(format!(
            "Unknown trigger resource {} for overload action {name}",
            trigger.name
        ))),
        None => Ok(()),
    }
}
