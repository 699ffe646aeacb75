//! `google.protobuf.Duration` as a `Duration`.

use std::time::Duration;

use envoy_types::pb::google::protobuf::Duration as Encoded;

use super::Reject;

/// The time; `None` where none is said.
///
/// # Errors
/// When it is negative, or not one.
pub fn duration(encoded: Option<&Encoded>) -> Result<Option<Duration>, Reject> {
    let Some(encoded) = encoded else { return Ok(None) };
    let (seconds, nanos) = (u64::try_from(encoded.seconds), u32::try_from(encoded.nanos));
    match (seconds, nanos) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 && seconds <= SECONDS_MAX => {
            Ok(Some(Duration::new(seconds, nanos)))
        }
        _ => Err(Reject::Resource(format!(
            "Invalid duration: seconds {}, nanos {}",
            encoded.seconds, encoded.nanos
        ))),
    }
}

/// What a duration may be at most, by its definition: 10 000 years.
const SECONDS_MAX: u64 = 315_576_000_000;
