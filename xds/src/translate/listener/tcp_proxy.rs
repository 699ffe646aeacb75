//! `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy` as where a filter chain's bytes go.

use std::num::NonZeroU32;

use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as pb;
use envoy_types::pb::envoy::r#type::v3::HashPolicy;
use envoy_types::pb::envoy::r#type::v3::hash_policy::PolicySpecifier;
use pb::TcpProxy;
use pb::tcp_proxy::ClusterSpecifier;
use pb::tcp_proxy::weighted_cluster::ClusterWeight;
use tidegate_proxy::filter::FilterOverrides;
use tidegate_proxy::relay::RelaySettings;
use tidegate_proxy::route::{HeaderMutations, Split, WeightedCluster};

use super::access_log;
use crate::limits;
use crate::translate::any::{inner, unsupported_field};
use crate::translate::constraint::{Checked, Rules, one_of};
use crate::translate::duration::duration;
use crate::translate::notes::Notes;
use crate::translate::{Context, Reject};

/// Where the bytes of a chain go.
pub(super) fn read(proxy: &TcpProxy, context: &Context, notes: &mut Notes) -> Result<RelaySettings, Reject> {
    inner(check(proxy))?;
    let selecting = [
        ("tunneling_config", proxy.tunneling_config.is_some()),
        ("metadata_match", proxy.metadata_match.is_some()),
        ("on_demand", proxy.on_demand.is_some()),
        (
            "weighted_clusters.clusters.metadata_match",
            weighted(proxy).iter().any(|part| part.metadata_match.is_some()),
        ),
    ];
    if let Some((field, _)) = selecting.iter().find(|(_, set)| *set) {
        return Err(unsupported_field(notes.place(), field));
    }
    notes.add_set(&[
        ("backoff_options", proxy.backoff_options.is_some()),
        (
            "max_downstream_connection_duration_jitter_percentage",
            proxy
                .max_downstream_connection_duration_jitter_percentage
                .is_some(),
        ),
        ("access_log_options", proxy.access_log_options.is_some()),
        ("proxy_protocol_tlvs", !proxy.proxy_protocol_tlvs.is_empty()),
        ("upstream_connect_mode", proxy.upstream_connect_mode != 0),
    ]);
    let idle = duration(proxy.idle_timeout.as_ref())?.unwrap_or(limits::TCP_IDLE_TIMEOUT);
    let attempts = proxy.max_connect_attempts.map(|most| most.value);
    Ok(RelaySettings {
        metrics_name: proxy.stat_prefix.as_str().into(),
        idle: (!idle.is_zero()).then_some(idle),
        lasts_max: duration(proxy.max_downstream_connection_duration.as_ref())?,
        attempts_max: attempts.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN),
        by_client: proxy.hash_policy.iter().any(is_by_client),
        access_logs: access_log::logs(&proxy.access_log, context, notes)?,
        ..RelaySettings::to(split(proxy)?)
    })
}

fn check(proxy: &TcpProxy) -> Checked {
    let rules = Rules::of("TcpProxy");
    rules.not_empty("StatPrefix", &proxy.stat_prefix)?;
    if proxy.max_connect_attempts.is_some_and(|most| most.value == 0) {
        return Err(rules.broken("MaxConnectAttempts", "value must be greater than or equal to 1"));
    }
    rules.items_max("HashPolicy", &proxy.hash_policy, 1)?;
    rules.each("HashPolicy", &proxy.hash_policy, |policy| {
        one_of("policy_specifier", policy.policy_specifier.as_ref()).map(|_| ())
    })?;
    let shortest = |longest: &envoy_types::pb::google::protobuf::Duration| {
        longest.seconds < 0 || (longest.seconds == 0 && longest.nanos < 1_000_000)
    };
    if proxy
        .max_downstream_connection_duration
        .as_ref()
        .is_some_and(shortest)
    {
        return Err(rules.broken(
            "MaxDownstreamConnectionDuration",
            "value must be greater than or equal to 1ms",
        ));
    }
    one_of("cluster_specifier", proxy.cluster_specifier.as_ref())?;
    if let Some(ClusterSpecifier::WeightedClusters(clusters)) = &proxy.cluster_specifier {
        let of_clusters = Rules::of("WeightedCluster");
        let checked = of_clusters
            .some_items("Clusters", &clusters.clusters)
            .and_then(|()| of_clusters.each("Clusters", &clusters.clusters, weight));
        rules.within("WeightedClusters", checked)?;
    }
    Ok(())
}

fn weight(part: &ClusterWeight) -> Checked {
    let rules = Rules::of("ClusterWeight");
    rules.not_empty("Name", &part.name)?;
    match part.weight {
        0 => Err(rules.broken("Weight", "value must be greater than or equal to 1")),
        _ => Ok(()),
    }
}

fn weighted(proxy: &TcpProxy) -> &[ClusterWeight] {
    match &proxy.cluster_specifier {
        Some(ClusterSpecifier::WeightedClusters(clusters)) => &clusters.clusters,
        Some(ClusterSpecifier::Cluster(_)) | None => &[],
    }
}

fn split(proxy: &TcpProxy) -> Result<Split, Reject> {
    if let Some(ClusterSpecifier::Cluster(name)) = &proxy.cluster_specifier {
        return Ok(Split::single(name.as_str(), HeaderMutations::default()));
    }
    let parts = weighted(proxy);
    let total: u64 = parts.iter().map(|part| u64::from(part.weight)).sum();
    // Envoy takes any total. Shares of more than 32 bits are told apart as well as 32 bits can.
    let scale = total / u64::from(u32::MAX) + 1;
    let part = |part: &ClusterWeight| WeightedCluster {
        cluster: part.name.as_str().into(),
        weight: u32::try_from(u64::from(part.weight) / scale)
            .unwrap_or(u32::MAX)
            .max(1),
        headers: HeaderMutations::default(),
        overrides: FilterOverrides::default(),
        host: None,
    };
    Split::new(parts.iter().map(part)).map_err(|error| Reject::Resource(error.to_string()))
}

fn is_by_client(policy: &HashPolicy) -> bool {
    matches!(policy.policy_specifier, Some(PolicySpecifier::SourceIp(_)))
}

#[cfg(test)]
mod tests;
