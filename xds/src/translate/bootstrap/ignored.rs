//! Which fields of a bootstrap are taken and come to nothing?

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;

use crate::translate::notes::Notes;

/// Takes note of them. Fields that say how Envoy does things that show nowhere are left out.
#[expect(deprecated, reason = "what is out of date is still written")]
pub(super) fn note(message: &Bootstrap, notes: &mut Notes) {
    let manager = message.cluster_manager.as_ref();
    let dynamic = message.dynamic_resources.as_ref();
    notes.add_set(&[
        ("node_context_params", !message.node_context_params.is_empty()),
        ("hds_config", message.hds_config.is_some()),
        ("flags_path", !message.flags_path.is_empty()),
        ("stats_sinks", !message.stats_sinks.is_empty()),
        ("stats_flush", message.stats_flush.is_some()),
        ("watchdog", message.watchdog.is_some()),
        ("watchdogs", message.watchdogs.is_some()),
        ("tracing", message.tracing.is_some()),
        ("header_prefix", !message.header_prefix.is_empty()),
        (
            "stats_server_version_override",
            message.stats_server_version_override.is_some(),
        ),
        ("use_tcp_for_dns_lookups", message.use_tcp_for_dns_lookups),
        ("dns_resolution_config", message.dns_resolution_config.is_some()),
        (
            "typed_dns_resolver_config",
            message.typed_dns_resolver_config.is_some(),
        ),
        ("bootstrap_extensions", !message.bootstrap_extensions.is_empty()),
        ("fatal_actions", !message.fatal_actions.is_empty()),
        ("config_sources", !message.config_sources.is_empty()),
        ("default_config_source", message.default_config_source.is_some()),
        (
            "certificate_provider_instances",
            !message.certificate_provider_instances.is_empty(),
        ),
        ("inline_headers", !message.inline_headers.is_empty()),
        ("xds_delegate_extension", message.xds_delegate_extension.is_some()),
        (
            "xds_config_tracker_extension",
            message.xds_config_tracker_extension.is_some(),
        ),
        ("application_log_config", message.application_log_config.is_some()),
        (
            "cluster_manager.upstream_bind_config",
            manager.is_some_and(|m| m.upstream_bind_config.is_some()),
        ),
        (
            "cluster_manager.load_stats_config",
            manager.is_some_and(|m| m.load_stats_config.is_some()),
        ),
        (
            "dynamic_resources.lds_resources_locator",
            dynamic.is_some_and(|d| !d.lds_resources_locator.is_empty()),
        ),
        (
            "dynamic_resources.cds_resources_locator",
            dynamic.is_some_and(|d| !d.cds_resources_locator.is_empty()),
        ),
    ]);
}
