//! `envoy.extensions.filters.http.local_ratelimit.v3`: how many requests pass in a time.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
use envoy_types::pb::envoy::r#type::v3::TokenBucket;
use http::StatusCode;
use tidegate_proxy::filter::rate_limit::{LimitFields, RetryAfter, Scope};
use tidegate_proxy::filter::{Filter, RateLimit};

use crate::translate::Reject;
use crate::translate::any::{constraint, unsupported_field};
use crate::translate::duration::duration;
use crate::translate::fraction::runtime_per_million;
use crate::translate::headers::HeaderLists;
use crate::translate::notes::Notes;

pub(super) const SETTINGS: &str = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
/// Envoy fills no bucket more often.
const FILL_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// A limit; none at all without a bucket, or where it is not switched on.
pub(super) fn settings(limit: &LocalRateLimit, notes: &mut Notes) -> Result<Filter, Reject> {
    if limit.stat_prefix.is_empty() {
        let why = "value length must be at least 1 characters";
        return Err(constraint::<LocalRateLimit>("StatPrefix", why));
    }
    let scope = Scope {
        counted: runtime_per_million(limit.filter_enabled.as_ref(), 0),
        enforced: runtime_per_million(limit.filter_enforced.as_ref(), 0),
    };
    let Some(bucket) = &limit.token_bucket else {
        if limit.descriptors.is_empty() {
            return Ok(Filter::Nothing);
        }
        return Err(Reject::Resource(
            "local rate limit token bucket must be set for per filter configs".to_owned(),
        ));
    };
    if !limit.descriptors.is_empty() || !limit.rate_limits.is_empty() {
        return Err(unsupported_field(notes.place(), "descriptors"));
    }
    notes.add_set(&[
        (
            "local_rate_limit_per_downstream_connection",
            limit.local_rate_limit_per_downstream_connection,
        ),
        (
            "local_cluster_rate_limit",
            limit.local_cluster_rate_limit.is_some(),
        ),
    ]);
    if scope.counted == 0 {
        return Ok(Filter::Nothing);
    }
    let fields = match limit.enable_x_ratelimit_headers {
        0 => LimitFields::None,
        _ => LimitFields::Send,
    };
    let refused = HeaderLists {
        response_add: &limit.response_headers_to_add,
        ..HeaderLists::default()
    };
    let unenforced = HeaderLists {
        request_add: &limit.request_headers_to_add_when_not_enforced,
        ..HeaderLists::default()
    };
    let limited = of_bucket(bucket)?
        .with_retry_after(RetryAfter::None)
        .with_changes(refused.mutations(notes)?, unenforced.mutations(notes)?)
        .with_fields(fields)
        .with_scope(scope)
        .with_status(status(limit));
    Ok(Filter::RateLimit(Arc::new(limited)))
}

fn of_bucket(bucket: &TokenBucket) -> Result<RateLimit, Reject> {
    let per_fill = bucket.tokens_per_fill.map_or(1, |tokens| tokens.value);
    let interval = duration(bucket.fill_interval.as_ref())?.unwrap_or_default();
    if per_fill == 0 {
        return Err(constraint::<TokenBucket>(
            "TokensPerFill",
            "value must be greater than 0",
        ));
    }
    if interval.is_zero() {
        return Err(constraint::<TokenBucket>("FillInterval", "value is required"));
    }
    if interval < FILL_INTERVAL_MIN {
        return Err(Reject::Resource(
            "local rate limit token bucket fill timer must be >= 50ms".to_owned(),
        ));
    }
    RateLimit::new(bucket.max_tokens, per_fill, interval).map_err(|error| Reject::Resource(error.to_string()))
}

/// The status of what is refused: below 400 Envoy takes its own.
fn status(limit: &LocalRateLimit) -> StatusCode {
    let code = limit
        .status
        .as_ref()
        .and_then(|status| u16::try_from(status.code).ok());
    let code = code.filter(|code| *code >= 400);
    code.and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(StatusCode::TOO_MANY_REQUESTS)
}
