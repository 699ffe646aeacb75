//! Deadlines and retries of a route.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::RoutingPriority;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::retry_policy::retry_host_predicate::ConfigType;
use envoy_types::pb::google::protobuf::Duration as Encoded;
use http::{HeaderName, StatusCode};
use tidegate_proxy::cluster::breaker::RequestPriority;
use tidegate_proxy::route::{
    ForwardPolicy, Resend, RetryBudget, RetryOn, RetryPolicy, RouteTimeouts, TryCount,
};

use super::reading::Reading;
use crate::limits;
use crate::translate::Reject;
use crate::translate::any::{type_name, unregistered};
use crate::translate::duration::duration;

/// The extensions that choose another endpoint for a retry; ours always prefer one that was not tried yet.
const HOST_PREDICATES: [&str; 3] = [
    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate",
    "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig",
];

impl Reading<'_> {
    /// How a route forwards, beyond where to.
    pub(super) fn policy(
        &mut self,
        action: &pb::RouteAction,
        host: &pb::VirtualHost,
    ) -> Result<Arc<ForwardPolicy>, Reject> {
        let timeouts = self.timeouts(action)?;
        let mirrors = [
            &action.request_mirror_policies,
            &host.request_mirror_policies,
            &self.table.request_mirror_policies,
        ];
        let mirrors = mirrors.into_iter().find(|mirrors| !mirrors.is_empty());
        let redirects = self.redirects(action)?;
        let mirrors = self.mirrors(mirrors.map(Vec::as_slice).unwrap_or_default())?;
        let retry = action.retry_policy.as_ref().or(host.retry_policy.as_ref());
        let retry = retry.map(|retry| self.retry(retry)).transpose()?;
        let high = RoutingPriority::try_from(action.priority) == Ok(RoutingPriority::High);
        Ok(self.shared.policy(ForwardPolicy {
            timeouts,
            // One without retries still says how long a try may take.
            retry: retry
                .filter(|retry| retry.per_try.is_some() || (!retry.on.is_empty() && retry.retries_max > 0)),
            resend: Resend::Unwritten,
            reset_status: StatusCode::SERVICE_UNAVAILABLE,
            counted: TryCount {
                to_upstream: host.include_request_attempt_count.then_some(ATTEMPT_COUNT),
                to_client: host.include_attempt_count_in_response.then_some(ATTEMPT_COUNT),
            },
            priority: if high {
                RequestPriority::High
            } else {
                RequestPriority::Default
            },
            mirrors,
            redirects,
            ..ForwardPolicy::default()
        }))
    }

    #[expect(
        deprecated,
        reason = "control planes still send the forms that Envoy has deprecated"
    )]
    fn timeouts(&mut self, action: &pb::RouteAction) -> Result<RouteTimeouts, Reject> {
        let request = duration(action.timeout.as_ref())?.unwrap_or(limits::ROUTE_TIMEOUT);
        let mut timeouts = RouteTimeouts {
            // With the one the other is not looked at, also where there is nothing in it.
            request: (!request.is_zero() && action.max_stream_duration.is_none()).then_some(request),
            idle: duration(action.idle_timeout.as_ref())?,
            ..RouteTimeouts::default()
        };
        // Zero is no bound, but the client's deadline counts.
        let unbounded = |longest: Duration| {
            if longest.is_zero() { Duration::MAX } else { longest }
        };
        timeouts.grpc_timeout_max = duration(action.max_grpc_timeout.as_ref())?.map(unbounded);
        if let Some(longest) = &action.max_stream_duration {
            // With this, Envoy does not look at `timeout`.
            timeouts.request = None;
            timeouts.stream_max = duration(longest.max_stream_duration.as_ref())?;
            let grpc = duration(longest.grpc_timeout_header_max.as_ref())?.map(unbounded);
            timeouts.grpc_timeout_max = grpc.or(timeouts.grpc_timeout_max);
            if longest.grpc_timeout_header_offset.is_some() {
                let field = "max_stream_duration.grpc_timeout_header_offset";
                self.notes.add(field, "the client's deadline counts as it is");
            }
        }
        if action.grpc_timeout_offset.is_some() {
            let why = "the client's deadline counts as it is";
            self.notes.add("grpc_timeout_offset", why);
        }
        Ok(timeouts)
    }

    fn retry(&mut self, proto: &pb::RetryPolicy) -> Result<RetryPolicy, Reject> {
        for predicate in &proto.retry_host_predicate {
            let config = predicate
                .config_type
                .as_ref()
                .map(|ConfigType::TypedConfig(config)| config);
            let of = config.map(type_name).unwrap_or_default();
            if !HOST_PREDICATES.contains(&of) {
                return Err(unregistered(&predicate.name, config));
            }
        }
        self.notes.add_set(&[
            ("retry_policy.retry_priority", proto.retry_priority.is_some()),
            (
                "retry_policy.per_try_idle_timeout",
                proto.per_try_idle_timeout.is_some(),
            ),
            (
                "retry_policy.rate_limited_retry_back_off",
                proto.rate_limited_retry_back_off.is_some(),
            ),
            (
                "retry_policy.retriable_request_headers",
                !proto.retriable_request_headers.is_empty(),
            ),
            (
                "retry_policy.retry_options_predicates",
                !proto.retry_options_predicates.is_empty(),
            ),
        ]);
        let mut policy = RetryPolicy::on(self.retry_on(proto));
        policy.retries_max = proto.num_retries.as_ref().map_or(1, |retries| retries.value);
        policy.per_try = not_zero(proto.per_try_timeout.as_ref())?;
        if let Some(back_off) = &proto.retry_back_off {
            let base = not_zero(back_off.base_interval.as_ref())?;
            // Envoy counts in whole milliseconds, at least one.
            policy.backoff_base = base.unwrap_or_default().max(Duration::from_millis(1));
            let longest = duration(back_off.max_interval.as_ref())?;
            policy.backoff_max = longest.unwrap_or_else(|| policy.backoff_base.saturating_mul(10));
            if policy.backoff_max < policy.backoff_base {
                let why = "retry_policy.max_interval must greater than or equal to the base_interval";
                return Err(Reject::Resource(why.to_owned()));
            }
        }
        // How many retries a cluster bears is the cluster's own, as everywhere in Envoy.
        policy.budget = OF_CLUSTER;
        if let Ok(attempts @ 1..) = u32::try_from(proto.host_selection_retry_max_attempts) {
            policy.host_reselections_max = attempts;
        }
        Ok(policy)
    }

    /// What is tried again. As in Envoy, a word that nobody knows means nothing.
    fn retry_on(&mut self, proto: &pb::RetryPolicy) -> Vec<RetryOn> {
        let mut on = Vec::new();
        for word in proto.retry_on.split(',').map(str::trim) {
            match word {
                "5xx" => on.push(RetryOn::ServerError),
                "gateway-error" => on.push(RetryOn::GatewayError),
                "reset" => on.push(RetryOn::Reset),
                "reset-before-request" => on.push(RetryOn::ResetBeforeRequest),
                "connect-failure" => on.push(RetryOn::ConnectFailure),
                "refused-stream" => on.push(RetryOn::RefusedStream),
                "retriable-4xx" => on.push(RetryOn::RetriableClientError),
                "envoy-ratelimited" => on.push(RetryOn::Header(RATE_LIMITED)),
                "retriable-status-codes" => on.extend(statuses(&proto.retriable_status_codes)),
                "retriable-headers" => self.retriable_headers(proto, &mut on),
                "cancelled" => on.push(RetryOn::Grpc(1)),
                "deadline-exceeded" => on.push(RetryOn::Grpc(4)),
                "resource-exhausted" => on.push(RetryOn::Grpc(8)),
                "internal" => on.push(RetryOn::Grpc(13)),
                "unavailable" => on.push(RetryOn::Grpc(14)),
                "" | "http3-post-connect-failure" => {}
                _ => self
                    .notes
                    .add("retry_policy.retry_on", format!("'{word}' is not known")),
            }
        }
        on
    }

    fn retriable_headers(&mut self, proto: &pb::RetryPolicy, on: &mut Vec<RetryOn>) {
        for header in &proto.retriable_headers {
            let presence = matches!(
                header.header_match_specifier,
                None | Some(HeaderMatchSpecifier::PresentMatch(true))
            );
            match HeaderName::from_bytes(header.name.as_bytes()) {
                Ok(name) if presence && !header.invert_match => on.push(RetryOn::Header(name)),
                _ => self.notes.add(
                    "retry_policy.retriable_headers",
                    format!("{}: only its presence can be asked for", header.name),
                ),
            }
        }
    }
}

/// A duration of which none and zero are the same.
fn not_zero(encoded: Option<&Encoded>) -> Result<Option<Duration>, Reject> {
    Ok(duration(encoded)?.filter(|duration| !duration.is_zero()))
}

const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
const RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");

fn statuses(codes: &[u32]) -> impl Iterator<Item = RetryOn> {
    let codes = codes.iter().filter_map(|code| u16::try_from(*code).ok());
    codes
        .filter_map(|code| StatusCode::from_u16(code).ok())
        .map(RetryOn::Status)
}

/// No bound but the cluster's.
pub(crate) const OF_CLUSTER: RetryBudget = RetryBudget {
    percent: 100.0,
    retries_min: u32::MAX,
};
