//! Whether a retry policy wants another try, and after which pause?

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::once::Failed;
use crate::error::{Blame, Kind};
use crate::route::policy::{RetryOn, RetryPolicy};

/// Whether this response is one that the policy tries again.
pub(super) fn wants_response(policy: &RetryPolicy, status: StatusCode, headers: &HeaderMap) -> bool {
    policy.on.iter().any(|on| match on {
        RetryOn::ServerError => status.is_server_error(),
        RetryOn::GatewayError => matches!(status.as_u16(), 502..=504),
        RetryOn::RetriableClientError => status == StatusCode::CONFLICT,
        RetryOn::Status(wanted) => status == *wanted,
        RetryOn::Header(name) => headers.contains_key(name),
        RetryOn::Grpc(code) => headers.get(GRPC_STATUS).is_some_and(|value| {
            let value = value.to_str().ok().and_then(|value| value.parse::<u8>().ok());
            value == Some(*code)
        }),
        RetryOn::Reset | RetryOn::ResetBeforeRequest | RetryOn::ConnectFailure | RetryOn::RefusedStream => {
            false
        }
    })
}

/// Whether the policy tries again after a try without a response.
///
/// As in Envoy, no response counts as a 5xx: `ServerError`, `GatewayError` and `Reset` take every such failure. What the
/// client, the configuration or a bound of this proxy is to blame for is never tried again.
pub(super) fn wants_failure(policy: &RetryPolicy, failed: &Failed) -> bool {
    let kind = failed.error.kind();
    if kind.row().blame != Blame::Upstream || NEVER.contains(&kind) {
        return false;
    }
    policy.on.iter().any(|on| match on {
        RetryOn::ServerError | RetryOn::GatewayError | RetryOn::Reset => true,
        RetryOn::ResetBeforeRequest => failed.unsent,
        RetryOn::ConnectFailure => matches!(
            kind,
            Kind::ConnectFailed | Kind::ConnectTimeout | Kind::UpstreamTls
        ),
        RetryOn::RefusedStream => kind == Kind::StreamRefused,
        RetryOn::RetriableClientError | RetryOn::Status(_) | RetryOn::Header(_) | RetryOn::Grpc(_) => false,
    })
}

/// The pause before the `number`th retry, the first of which is 1: up to the base, doubled for each one before and at most
/// the longest pause, with full jitter by `random`.
pub(super) fn pause(policy: &RetryPolicy, number: u32, random: f64) -> Duration {
    let doubled = 1_u32.checked_shl(number.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = policy
        .backoff_base
        .saturating_mul(doubled)
        .min(policy.backoff_max);
    longest.mul_f64(random.clamp(0.0, 1.0))
}

/// Where nobody is to be had another try finds nobody either, and the whole request's time is over only once.
const NEVER: [Kind; 4] = [
    Kind::NoHealthyUpstream,
    Kind::CapacityRefused,
    Kind::RequestTimeout,
    Kind::StreamTooLong,
];
const GRPC_STATUS: &str = "grpc-status";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn failed(kind: Kind, unsent: bool) -> Failed {
        let error = Error::new(kind);
        Failed { error, unsent }
    }

    #[test]
    fn responses_are_tried_again_as_the_policy_says() {
        let check = |on: RetryOn, status: u16, header: (&'static str, &str), expected| {
            let mut headers = HeaderMap::new();
            headers.insert(header.0, header.1.parse().unwrap());
            let status = StatusCode::from_u16(status).unwrap();
            let policy = RetryPolicy::on([on.clone()]);
            assert_eq!(
                wants_response(&policy, status, &headers),
                expected,
                "{on:?} {status}"
            );
        };
        let none = ("x", "y");
        check(RetryOn::ServerError, 500, none, true);
        check(RetryOn::ServerError, 404, none, false);
        check(RetryOn::GatewayError, 503, none, true);
        check(RetryOn::GatewayError, 500, none, false);
        check(RetryOn::RetriableClientError, 409, none, true);
        check(RetryOn::Status(StatusCode::TOO_MANY_REQUESTS), 429, none, true);
        check(
            RetryOn::Header("x-again".parse().unwrap()),
            200,
            ("x-again", "1"),
            true,
        );
        check(RetryOn::Grpc(14), 200, ("grpc-status", "14"), true);
        check(RetryOn::Grpc(14), 200, ("grpc-status", "0"), false);
        check(RetryOn::Reset, 503, none, false);
    }

    #[test]
    fn failures_are_tried_again_as_the_policy_says() {
        let check = |on: RetryOn, kind, unsent, expected| {
            let policy = RetryPolicy::on([on.clone()]);
            assert_eq!(
                wants_failure(&policy, &failed(kind, unsent)),
                expected,
                "{on:?} {kind:?}"
            );
        };
        for on in [RetryOn::ServerError, RetryOn::GatewayError, RetryOn::Reset] {
            check(on.clone(), Kind::ConnectFailed, true, true);
            check(on.clone(), Kind::UpstreamReset, false, true);
            check(on.clone(), Kind::PerTryTimeout, false, true);
            check(on.clone(), Kind::RequestTimeout, false, false);
            check(on.clone(), Kind::BreakerOpen, true, false);
            check(on.clone(), Kind::ClientClosed, false, false);
        }
        check(RetryOn::ConnectFailure, Kind::ConnectTimeout, true, true);
        check(RetryOn::ConnectFailure, Kind::UpstreamTls, true, true);
        check(RetryOn::ConnectFailure, Kind::UpstreamReset, false, false);
        check(RetryOn::RefusedStream, Kind::StreamRefused, false, true);
        check(RetryOn::ResetBeforeRequest, Kind::UpstreamReset, true, true);
        check(RetryOn::ResetBeforeRequest, Kind::UpstreamReset, false, false);
        check(RetryOn::RetriableClientError, Kind::UpstreamReset, true, false);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_jittered() {
        let policy = RetryPolicy::on([]);
        let longest = |number| pause(&policy, number, 1.0).as_millis();
        assert_eq!([1, 2, 3, 4, 5, 99].map(longest), [25, 50, 100, 200, 250, 250]);
        assert_eq!(pause(&policy, 3, 0.5), Duration::from_millis(50));
        assert_eq!(pause(&policy, 1, 0.0), Duration::ZERO);
    }
}
