//! How much of a cluster may be busy at once?

use envoy_types::pb::envoy::config::cluster::v3::CircuitBreakers;
use envoy_types::pb::envoy::config::cluster::v3::circuit_breakers::Thresholds as Envoys;
use envoy_types::pb::envoy::config::core::v3::RoutingPriority;
use tidegate_proxy::cluster::breaker::{BreakerSettings, Thresholds};
use tidegate_proxy::route::policy::RetryBudget;

use crate::limits;
use crate::translate::Reject;
use crate::translate::message::number;
use crate::translate::notes::Notes;

/// The breakers, and the budget for retries in place of a bound on them.
pub(super) fn read(
    message: Option<&CircuitBreakers>,
    notes: &mut Notes,
) -> Result<(BreakerSettings, Option<RetryBudget>), Reject> {
    let nothing = CircuitBreakers::default();
    let message = message.unwrap_or(&nothing);
    per_host(message)?;
    // Of several for a priority the first counts.
    let of = |priority: RoutingPriority| {
        let mut numbered = message.thresholds.iter().enumerate();
        numbered.find(|(_, one)| one.priority == priority as i32)
    };
    let (default, high) = (of(RoutingPriority::Default), of(RoutingPriority::High));
    let budget = default.and_then(|(_, one)| one.retry_budget.as_ref());
    for (index, one) in [default, high].into_iter().flatten() {
        let path = format!("circuit_breakers.thresholds[{index}]");
        notes.ignored(format_args!("{path}.track_remaining"), one.track_remaining);
        notes.ignored(
            format_args!("{path}.max_connection_pools"),
            one.max_connection_pools.is_some(),
        );
        let budget = one.retry_budget.as_ref();
        notes.ignored(
            format_args!("{path}.retry_budget.budget_interval"),
            budget.is_some_and(|budget| budget.budget_interval.is_some()),
        );
        notes.ignored(
            format_args!("{path}.retry_budget"),
            budget.is_some() && one.priority == RoutingPriority::High as i32,
        );
    }
    let budget = budget.map(|budget| RetryBudget {
        percent: budget.budget_percent.map_or(20.0, |percent| percent.value),
        retries_min: number(budget.min_retry_concurrency.as_ref()).unwrap_or(3),
    });
    let settings = BreakerSettings {
        default: thresholds(default.map(|(_, one)| one)),
        high: thresholds(high.map(|(_, one)| one)),
    };
    Ok((settings, budget))
}

/// What is not said is not bounded here, unlike in Envoy: the listener and the process have bounds of their own.
fn thresholds(message: Option<&Envoys>) -> Thresholds {
    let bound = |field: fn(&Envoys) -> Option<u32>| message.and_then(field).map(|bound| bound as usize);
    let budgeted = message.is_some_and(|message| message.retry_budget.is_some());
    let retries = bound(|message| number(message.max_retries.as_ref())).unwrap_or(limits::CLUSTER_RETRIES);
    Thresholds {
        connections: bound(|message| number(message.max_connections.as_ref())),
        pending: bound(|message| number(message.max_pending_requests.as_ref())),
        requests: bound(|message| number(message.max_requests.as_ref())),
        retries: (!budgeted).then_some(retries),
    }
}

fn per_host(message: &CircuitBreakers) -> Result<(), Reject> {
    for (index, one) in message.per_host_thresholds.iter().enumerate() {
        let others = [
            &one.max_pending_requests,
            &one.max_requests,
            &one.max_retries,
            &one.max_connection_pools,
        ];
        if others.iter().any(|other| other.is_some()) || one.track_remaining || one.retry_budget.is_some() {
            return Err(Reject::Resource(
                "Unsupported field in per_host_thresholds".to_owned(),
            ));
        }
        if one.max_connections.is_some() {
            let path = format_args!("circuit_breakers.per_host_thresholds[{index}].max_connections");
            return Err(Reject::unsupported(path));
        }
    }
    Ok(())
}
