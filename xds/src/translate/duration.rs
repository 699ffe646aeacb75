//! `google.protobuf.Duration` as a `Duration`.

use std::time::Duration;

use envoy_types::pb::google::protobuf::Duration as Encoded;

use super::Reject;

/// The time; `None` where none is said.
///
/// # Errors
/// When it is negative, or longer than Envoy takes.
pub fn duration(encoded: Option<&Encoded>) -> Result<Option<Duration>, Reject> {
    let Some(encoded) = encoded else { return Ok(None) };
    let (seconds, nanos) = (u64::try_from(encoded.seconds), u32::try_from(encoded.nanos));
    let why = match (seconds, nanos) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 && seconds < SECONDS_END => {
            return Ok(Some(Duration::new(seconds, nanos)));
        }
        (Ok(_), Ok(_)) => "Duration out-of-range",
        _ => "Expected positive duration",
    };
    let mut text = format!("Invalid duration: {why}: seconds: {}", encoded.seconds);
    if encoded.nanos != 0 {
        text.push_str(&format!(" nanos: {}", encoded.nanos));
    }
    Err(Reject::Resource(text))
}

/// From how many seconds on Envoy takes a duration for none: what counts nanoseconds in 64 bits would overflow.
const SECONDS_END: u64 = i64::MAX.unsigned_abs() / 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_neither_negative_nor_longer_than_64_bits_of_nanoseconds() {
        let check = |seconds, nanos, expected: Result<Duration, &str>| {
            let read = duration(Some(&Encoded { seconds, nanos })).map_err(|reject| reject.to_string());
            assert_eq!(read, expected.map(Some).map_err(str::to_owned));
        };
        check(0, 0, Ok(Duration::ZERO));
        check(
            9_223_372_035,
            999_999_999,
            Ok(Duration::new(9_223_372_035, 999_999_999)),
        );
        let why = "Invalid duration: Duration out-of-range: seconds: 9223372036";
        check(9_223_372_036, 0, Err(why));
        let why = "Invalid duration: Duration out-of-range: seconds: 9223372036854775807";
        check(i64::MAX, 0, Err(why));
        check(
            0,
            i32::MAX,
            Err("Invalid duration: Duration out-of-range: seconds: 0 nanos: 2147483647"),
        );
        check(
            -1,
            0,
            Err("Invalid duration: Expected positive duration: seconds: -1"),
        );
        check(
            0,
            -1,
            Err("Invalid duration: Expected positive duration: seconds: 0 nanos: -1"),
        );
        assert_eq!(duration(None), Ok(None));
    }
}
