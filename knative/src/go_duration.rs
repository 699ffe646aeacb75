//! How durations are written in Knative's configuration: Go's syntax, such as `300ms` or `1h2m`.

use std::time::Duration;

use thiserror::Error;

/// Go's durations count nanoseconds in a signed 64-bit number.
const NANOS_MAX: u128 = i64::MAX as u128;
/// More digits than this after the point cannot change a nanosecond of an hour.
const FRACTION_DIGITS_MAX: usize = 15;

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GoDurationError {
    /// There is no number where one has to be.
    #[error("expected a duration such as 30s or 1m30s")]
    NoNumber,
    /// A number has no unit; only a bare `0` needs none.
    #[error("missing unit: write s, m, h or ms after the number, such as 30s")]
    NoUnit,
    /// A unit that Go does not have.
    #[error("unknown unit: use ns, us, ms, s, m or h")]
    UnknownUnit,
    /// Below zero; nothing in Knative takes that.
    #[error("must not be negative")]
    Negative,
    /// Above 292 years.
    #[error("longer than 292 years")]
    TooLong,
}

/// Reads a duration as Go's `time.ParseDuration` does, except that negative ones are errors.
///
/// # Errors
/// [`GoDurationError`] says what is wrong with the text.
pub fn parse(text: &str) -> Result<Duration, GoDurationError> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(GoDurationError::NoNumber);
    }
    let mut nanos: u128 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (part, after) = part(rest)?;
        nanos += part;
        if nanos > NANOS_MAX {
            return Err(GoDurationError::TooLong);
        }
        rest = after;
    }
    if is_negative && nanos > 0 {
        return Err(GoDurationError::Negative);
    }
    Ok(Duration::from_nanos(
        u64::try_from(nanos).map_err(|_| GoDurationError::TooLong)?,
    ))
}

/// Writes a duration as Go's `Duration.String` does: `1h0m0s`, `1.5s`, `300ms`.
///
/// ```
/// use std::time::Duration;
/// use tidegate_knative::go_duration;
///
/// assert_eq!(go_duration::format(Duration::from_secs(90)), "1m30s");
/// assert_eq!(go_duration::parse("1m30s"), Ok(Duration::from_secs(90)));
/// ```
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let (minutes, nanos) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
            let seconds = decimal(nanos, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// The nanoseconds of the first number with its unit, and the text after it.
fn part(text: &str) -> Result<(u128, &str), GoDurationError> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(GoDurationError::NoNumber);
    }
    let unit_end = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let nanos_per_unit: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" => return Err(GoDurationError::NoUnit),
        _ => return Err(GoDurationError::UnknownUnit),
    };
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| GoDurationError::TooLong)?
    };
    let nanos = whole
        .checked_mul(nanos_per_unit)
        .filter(|nanos| *nanos <= NANOS_MAX);
    let nanos = nanos.ok_or(GoDurationError::TooLong)?;
    Ok((nanos + fraction_nanos(fraction, nanos_per_unit), rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn fraction_nanos(digits: &str, nanos_per_unit: u128) -> u128 {
    let mut scale = 1;
    let mut value = 0;
    for digit in digits.bytes().take(FRACTION_DIGITS_MAX) {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    value * nanos_per_unit / scale
}

/// `nanos / unit` without trailing zeros.
fn decimal(nanos: u128, unit: u128) -> String {
    let (whole, fraction) = (nanos / unit, nanos % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{fraction:0width$}")
        .trim_end_matches('0')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<u64, GoDurationError>) {
        assert_eq!(parse(text), expected.map(Duration::from_nanos), "{text}");
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        check("0", Ok(0));
        check("0s", Ok(0));
        check("-0s", Ok(0));
        check("+5s", Ok(5_000_000_000));
        check("300ms", Ok(300_000_000));
        check("1h2m", Ok(3_720_000_000_000));
        check("1.5h", Ok(5_400_000_000_000));
        check(".5s", Ok(500_000_000));
        check("1.s", Ok(1_000_000_000));
        check("2µs", Ok(2_000));
        check("2μs", Ok(2_000));
        check("0.3333333333333333333h", Ok(1_199_999_999_999));
        check("9223372036854775807ns", Ok(i64::MAX as u64));
    }

    #[test]
    fn what_is_no_duration_says_why() {
        use GoDurationError as E;
        check("", Err(E::NoNumber));
        check("s", Err(E::NoNumber));
        check(".s", Err(E::NoNumber));
        check("1s ", Err(E::UnknownUnit));
        check("60", Err(E::NoUnit));
        check("1m60", Err(E::NoUnit));
        check("1d", Err(E::UnknownUnit));
        check("1é", Err(E::UnknownUnit));
        check("-1s", Err(E::Negative));
        check("9223372036854775808ns", Err(E::TooLong));
        check("99999999999999999999999999999999999999999h", Err(E::TooLong));
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (nanos, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (60_000_000_000, "1m0s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (3_600_000_000_000, "1h0m0s"),
            (18_367_001_000_000, "5h6m7.001s"),
        ] {
            assert_eq!(format(Duration::from_nanos(nanos)), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanos in 0..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9.a-zµ+ -]{0,40}") {
            prop_assert!(parse(&text).is_ok_and(|d| d.as_nanos() <= NANOS_MAX) || parse(&text).is_err());
        }
    }
}
