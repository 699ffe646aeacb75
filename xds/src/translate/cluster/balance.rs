//! Which endpoint takes a request: `lb_policy` and what belongs to it, or `load_balancing_policy`.

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as envoy;
use envoy_types::pb::envoy::config::cluster::v3::cluster::common_lb_config::LocalityConfigSpecifier;
use envoy_types::pb::envoy::config::cluster::v3::cluster::ring_hash_lb_config::HashFunction;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, LbConfig, LbPolicy,
};
use envoy_types::pb::envoy::config::core::v3::RuntimeDouble;
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf;
use tidegate_proxy::cluster::balance::{LeastRequest, Maglev, RingHash, SlowStart};
use tidegate_proxy::cluster::{Balance, BalanceSettings};

use super::policy;
use crate::translate::Reject;
use crate::translate::message::{duration, number};
use crate::translate::notes::Notes;

/// How a cluster balances.
pub(super) fn read(message: &envoy::Cluster, notes: &mut Notes) -> Result<BalanceSettings, Reject> {
    let mut settings = BalanceSettings::default();
    subsets(message)?;
    if let Some(common) = &message.common_lb_config {
        read_common(common, &mut settings, notes)?;
    }
    let policy = LbPolicy::try_from(message.lb_policy).unwrap_or_default();
    if policy != LbPolicy::ClusterProvided
        && let Some(typed) = &message.load_balancing_policy
    {
        policy::read(&message.name, typed, &mut settings, notes)?;
        return Ok(settings);
    }
    settings.policy = match (policy, &message.lb_config) {
        (LbPolicy::RoundRobin, Some(LbConfig::RoundRobinLbConfig(config))) => {
            Balance::RoundRobin(enumerated_slow_start(config.slow_start_config.as_ref(), notes)?)
        }
        (LbPolicy::RoundRobin, _) => Balance::RoundRobin(None),
        (LbPolicy::LeastRequest, Some(LbConfig::LeastRequestLbConfig(config))) => {
            let slow_start = enumerated_slow_start(config.slow_start_config.as_ref(), notes)?;
            let choices = number(config.choice_count.as_ref());
            Balance::LeastRequest(
                least_request(choices, config.active_request_bias.as_ref(), notes),
                slow_start,
            )
        }
        (LbPolicy::LeastRequest, _) => Balance::LeastRequest(LeastRequest::default(), None),
        (LbPolicy::Random, _) => Balance::Random,
        (LbPolicy::RingHash, Some(LbConfig::RingHashLbConfig(config))) => {
            if config.hash_function == HashFunction::MurmurHash2 as i32 {
                return Err(Reject::unsupported("ring_hash_lb_config.hash_function"));
            }
            let size = |size: Option<protobuf::UInt64Value>| size.map(|size| size.value);
            Balance::RingHash(ring_hash(
                size(config.minimum_ring_size),
                size(config.maximum_ring_size),
            )?)
        }
        (LbPolicy::RingHash, _) => Balance::RingHash(RingHash::default()),
        (LbPolicy::Maglev, Some(LbConfig::MaglevLbConfig(config))) => {
            Balance::Maglev(maglev(config.table_size.map(|size| size.value))?)
        }
        (LbPolicy::Maglev, _) => Balance::Maglev(Maglev::default()),
        (LbPolicy::ClusterProvided, _) => return cluster_provided(message),
        (LbPolicy::LoadBalancingPolicyConfig, _) => {
            let why = "cluster: field load_balancing_policy need to be set";
            return Err(Reject::Resource(why.to_owned()));
        }
    };
    Ok(settings)
}

/// Only a cluster that finds its endpoints by itself provides a balancer, and there is none of those here.
fn cluster_provided(message: &envoy::Cluster) -> Result<BalanceSettings, Reject> {
    let original = ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32);
    if message.cluster_discovery_type == Some(original) {
        // It is refused for what it is.
        return Ok(BalanceSettings::default());
    }
    Err(Reject::Resource(format!(
        "cluster manager: cluster provided LB specified but cluster '{}' did not provide one. Check cluster documentation.",
        message.name
    )))
}

fn subsets(message: &envoy::Cluster) -> Result<(), Reject> {
    match &message.lb_subset_config {
        // Without a selector nothing is selected, in Envoy neither.
        Some(subsets) if !subsets.subset_selectors.is_empty() => {
            Err(Reject::unsupported("lb_subset_config.subset_selectors"))
        }
        _ => Ok(()),
    }
}

fn read_common(
    common: &CommonLbConfig,
    settings: &mut BalanceSettings,
    notes: &mut Notes,
) -> Result<(), Reject> {
    if let Some(threshold) = &common.healthy_panic_threshold {
        settings.panic_below_percent = whole_percent(threshold);
    }
    if let Some(hashing) = &common.consistent_hashing_lb_config {
        settings.placed_by_name = hashing.use_hostname_for_hashing;
        if hashing.hash_balance_factor.is_some() {
            let path = "common_lb_config.consistent_hashing_lb_config.hash_balance_factor";
            return Err(Reject::unsupported(path));
        }
    }
    let fields = [
        ("update_merge_window", common.update_merge_window.is_some()),
        (
            "ignore_new_hosts_until_first_hc",
            common.ignore_new_hosts_until_first_hc,
        ),
        (
            "close_connections_on_host_set_change",
            common.close_connections_on_host_set_change,
        ),
        ("override_host_status", common.override_host_status.is_some()),
    ];
    for (field, there) in fields {
        notes.ignored(format_args!("common_lb_config.{field}"), there);
    }
    match common.locality_config_specifier {
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => settings.by_locality = true,
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(_)) => {
            notes.ignored("common_lb_config.zone_aware_lb_config", true);
        }
        None => {}
    }
    Ok(())
}

fn enumerated_slow_start(
    config: Option<&envoy::cluster::SlowStartConfig>,
    notes: &mut Notes,
) -> Result<Option<SlowStart>, Reject> {
    match config {
        Some(config) => slow_start(
            config.slow_start_window.as_ref(),
            config.aggression.as_ref(),
            config.min_weight_percent.as_ref(),
            notes,
        ),
        None => Ok(None),
    }
}

/// Slow start; there is none without a window.
pub(super) fn slow_start(
    window: Option<&protobuf::Duration>,
    aggression: Option<&RuntimeDouble>,
    least: Option<&Percent>,
    notes: &mut Notes,
) -> Result<Option<SlowStart>, Reject> {
    let Some(window) = duration(window)?.filter(|window| *window > Duration::ZERO) else {
        return Ok(None);
    };
    let usual = SlowStart::over(window);
    Ok(Some(SlowStart {
        aggression: runtime_double("slow_start_config.aggression", aggression, notes)
            .unwrap_or(usual.aggression),
        weight_percent_min: least.map_or(usual.weight_percent_min, |percent| percent.value),
        ..usual
    }))
}

/// Least request of so many choices.
pub(super) fn least_request(
    choices: Option<u32>,
    bias: Option<&RuntimeDouble>,
    notes: &mut Notes,
) -> LeastRequest {
    let usual = LeastRequest::default();
    LeastRequest {
        choices: choices.unwrap_or(usual.choices),
        active_request_bias: runtime_double("active_request_bias", bias, notes)
            .unwrap_or(usual.active_request_bias),
    }
}

/// A ring of this size.
pub(super) fn ring_hash(points_min: Option<u64>, points_max: Option<u64>) -> Result<RingHash, Reject> {
    let usual = RingHash::default();
    let size = |points: Option<u64>, usual| {
        points.map_or(usual, |points| usize::try_from(points).unwrap_or(usize::MAX))
    };
    let settings = RingHash {
        points_min: size(points_min, usual.points_min),
        points_max: size(points_max, usual.points_max),
    };
    match settings.points_min > settings.points_max {
        true => Err(Reject::Resource(format!(
            "ring hash: minimum_ring_size ({}) > maximum_ring_size ({})",
            settings.points_min, settings.points_max
        ))),
        false => Ok(settings),
    }
}

/// A table of this size.
pub(super) fn maglev(slots: Option<u64>) -> Result<Maglev, Reject> {
    let Some(slots) = slots else {
        return Ok(Maglev::default());
    };
    let made = u32::try_from(slots)
        .ok()
        .and_then(|slots| Maglev::new(slots).ok());
    made.ok_or_else(|| Reject::Resource("The table size of maglev must be prime number".to_owned()))
}

/// A number that Envoy's runtime could change, which there is none of here.
fn runtime_double(path: &str, double: Option<&RuntimeDouble>, notes: &mut Notes) -> Option<f64> {
    let double = double?;
    notes.ignored(format_args!("{path}.runtime_key"), !double.runtime_key.is_empty());
    Some(double.default_value)
}

fn whole_percent(percent: &Percent) -> u8 {
    // Within 0 to 100, else it is a broken constraint.
    percent.value.round().clamp(0.0, 100.0) as u8
}
