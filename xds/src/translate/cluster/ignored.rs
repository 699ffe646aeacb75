//! What else may a cluster say that has no effect here, or that cannot be left out?

use envoy_types::pb::envoy::config::cluster::v3 as envoy;

use crate::translate::Reject;
use crate::translate::notes::Notes;

/// Fields that no other file looks at.
pub(super) fn read(message: &envoy::Cluster, notes: &mut Notes) -> Result<(), Reject> {
    if !message.filters.is_empty() {
        return Err(Reject::unsupported("filters"));
    }
    // Whoever authenticates connections, not requests, must not get those of one client from another.
    if message.connection_pool_per_downstream_connection {
        return Err(Reject::unsupported("connection_pool_per_downstream_connection"));
    }
    if let Some(upstream) = &message.upstream_config {
        let url = upstream
            .typed_config
            .as_ref()
            .map_or("", |packed| packed.type_url.as_str());
        if !url.ends_with(GENERIC) && !url.ends_with(HTTP) {
            return Err(Reject::unsupported("upstream_config"));
        }
    }
    let fields = [
        (
            "per_connection_buffer_limit_bytes",
            message.per_connection_buffer_limit_bytes.is_some(),
        ),
        (
            "per_connection_buffer_high_watermark_timeout",
            message.per_connection_buffer_high_watermark_timeout.is_some(),
        ),
        ("stats_matcher", message.stats_matcher.is_some()),
        ("wait_for_warm_on_init", message.wait_for_warm_on_init.is_some()),
        ("cleanup_interval", message.cleanup_interval.is_some()),
        (
            "close_connections_on_host_health_failure",
            message.close_connections_on_host_health_failure,
        ),
        (
            "ignore_health_on_host_removal",
            message.ignore_health_on_host_removal,
        ),
        ("lrs_server", message.lrs_server.is_some()),
        ("track_timeout_budgets", message.track_timeout_budgets),
        ("track_cluster_stats", message.track_cluster_stats.is_some()),
        ("preconnect_policy", message.preconnect_policy.is_some()),
        ("queuing_policies", message.queuing_policies.is_some()),
        (
            "upstream_connection_options.happy_eyeballs_config",
            message
                .upstream_connection_options
                .as_ref()
                .is_some_and(|options| options.happy_eyeballs_config.is_some()),
        ),
    ];
    for (field, there) in fields {
        notes.ignored(field, there);
    }
    Ok(())
}

const GENERIC: &str = "envoy.extensions.upstreams.http.generic.v3.GenericConnectionPoolProto";
const HTTP: &str = "envoy.extensions.upstreams.http.http.v3.HttpConnectionPoolProto";
