//! When a failed try is followed by another.

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::retry_policy::RetryBackOff;
use tidegate_proxy::route::{RetryBudget, RetryOn, RetryPolicy};

use super::{Unsupported, duration, number};
use crate::translate::routes::OF_CLUSTER;

pub(super) fn retry(policy: &RetryPolicy) -> Result<pb::RetryPolicy, Unsupported> {
    if policy.budget != RetryBudget::default() && policy.budget != OF_CLUSTER {
        return Err(Unsupported::new("retry policy", "a budget of its own"));
    }
    let mut on = Vec::new();
    let (mut statuses, mut headers) = (Vec::new(), Vec::new());
    for failure in &policy.on {
        let token = match failure {
            RetryOn::ServerError => "5xx",
            RetryOn::GatewayError => "gateway-error",
            RetryOn::Reset => "reset",
            RetryOn::ResetBeforeRequest => "reset-before-request",
            RetryOn::ConnectFailure => "connect-failure",
            RetryOn::RefusedStream => "refused-stream",
            RetryOn::RetriableClientError => "retriable-4xx",
            RetryOn::Status(status) => {
                statuses.push(u32::from(status.as_u16()));
                "retriable-status-codes"
            }
            RetryOn::Header(name) => {
                headers.push(pb::HeaderMatcher {
                    name: name.to_string(),
                    header_match_specifier: Some(pb::header_matcher::HeaderMatchSpecifier::PresentMatch(
                        true,
                    )),
                    ..pb::HeaderMatcher::default()
                });
                "retriable-headers"
            }
            RetryOn::Grpc(1) => "cancelled",
            RetryOn::Grpc(4) => "deadline-exceeded",
            RetryOn::Grpc(8) => "resource-exhausted",
            RetryOn::Grpc(13) => "internal",
            RetryOn::Grpc(14) => "unavailable",
            RetryOn::Grpc(_) => {
                return Err(Unsupported::new("retry policy", "a retry on another gRPC status"));
            }
        };
        if !on.contains(&token) {
            on.push(token);
        }
    }
    Ok(pb::RetryPolicy {
        retry_on: on.join(","),
        num_retries: number(policy.retries_max),
        per_try_timeout: policy.per_try.map(duration),
        host_selection_retry_max_attempts: policy.host_reselections_max.into(),
        retriable_status_codes: statuses,
        retriable_headers: headers,
        retry_back_off: Some(RetryBackOff {
            base_interval: Some(duration(policy.backoff_base)),
            max_interval: Some(duration(policy.backoff_max)),
        }),
        ..pb::RetryPolicy::default()
    })
}
