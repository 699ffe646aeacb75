//! How a cluster's endpoints are chosen.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::common_lb_config::{
    LocalityConfigSpecifier, LocalityWeightedLbConfig,
};
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    CommonLbConfig, LbConfig, LbPolicy, LeastRequestLbConfig, MaglevLbConfig, RingHashLbConfig,
    RoundRobinLbConfig, SlowStartConfig,
};
use envoy_types::pb::envoy::config::core::v3::RuntimeDouble;
use envoy_types::pb::envoy::config::endpoint::v3::cluster_load_assignment::Policy;
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::UInt64Value;
use tidegate_proxy::cluster::balance::SlowStart;
use tidegate_proxy::cluster::{Balance, BalanceSettings};

use super::super::{Unsupported, duration, number};

pub(super) fn apply(balance: &BalanceSettings, cluster: &mut Cluster) -> Result<(), Unsupported> {
    if balance.placed_by_name {
        return Err(Unsupported::new(
            "balance",
            "endpoints that are hashed by their names",
        ));
    }
    let common = CommonLbConfig {
        healthy_panic_threshold: Some(Percent {
            value: balance.panic_below_percent.into(),
        }),
        locality_config_specifier: balance.by_locality.then_some(
            LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {}),
        ),
        ..CommonLbConfig::default()
    };
    if *balance
        != (BalanceSettings {
            policy: balance.policy,
            ..BalanceSettings::default()
        })
    {
        cluster.common_lb_config = Some(common);
    }
    let (policy, config) = policy_of(&balance.policy)?;
    cluster.lb_policy = policy.into();
    cluster.lb_config = config;
    Ok(())
}

fn policy_of(policy: &Balance) -> Result<(LbPolicy, Option<LbConfig>), Unsupported> {
    let number64 = |value: usize| Some(UInt64Value { value: value as u64 });
    Ok(match policy {
        Balance::RoundRobin(None) => (LbPolicy::RoundRobin, None),
        Balance::RoundRobin(Some(slow)) => {
            let config = RoundRobinLbConfig {
                slow_start_config: Some(slow_start(slow)),
            };
            (LbPolicy::RoundRobin, Some(LbConfig::RoundRobinLbConfig(config)))
        }
        Balance::LeastRequest(settings, slow) => {
            let config = LeastRequestLbConfig {
                choice_count: number(settings.choices),
                active_request_bias: Some(double(settings.active_request_bias)),
                slow_start_config: slow.as_ref().map(slow_start),
            };
            (
                LbPolicy::LeastRequest,
                Some(LbConfig::LeastRequestLbConfig(config)),
            )
        }
        Balance::Random => (LbPolicy::Random, None),
        Balance::RingHash(ring) => {
            let config = RingHashLbConfig {
                minimum_ring_size: number64(ring.points_min),
                maximum_ring_size: number64(ring.points_max),
                ..RingHashLbConfig::default()
            };
            (LbPolicy::RingHash, Some(LbConfig::RingHashLbConfig(config)))
        }
        Balance::Maglev(maglev) if *maglev == Default::default() => (
            LbPolicy::Maglev,
            Some(LbConfig::MaglevLbConfig(MaglevLbConfig::default())),
        ),
        Balance::Maglev(_) => return Err(Unsupported::new("balance", "a Maglev table of another size")),
    })
}

fn slow_start(slow: &SlowStart) -> SlowStartConfig {
    SlowStartConfig {
        slow_start_window: Some(duration(slow.window)),
        aggression: Some(double(slow.aggression)),
        min_weight_percent: Some(Percent {
            value: slow.weight_percent_min,
        }),
    }
}

/// A number that Envoy could be told anew at run time, and is not.
fn double(value: f64) -> RuntimeDouble {
    RuntimeDouble {
        default_value: value,
        runtime_key: "tidegate.none".to_owned(),
    }
}

/// What of it goes with the endpoints.
pub(super) fn policy(balance: &BalanceSettings) -> Option<Policy> {
    let usual = BalanceSettings::default().overprovisioning_percent;
    (balance.overprovisioning_percent != usual).then(|| Policy {
        overprovisioning_factor: number(balance.overprovisioning_percent),
        ..Policy::default()
    })
}
