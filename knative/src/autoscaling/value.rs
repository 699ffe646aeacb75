//! How one configured value is read: numbers, words and durations in Go's spelling.

use std::time::Duration;

use crate::go_duration;

/// Reads a finite decimal number.
pub(super) fn float(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err("expected a number".to_owned()),
    }
}

/// Reads an integer of 32 bits.
pub(super) fn integer(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| "expected a whole number".to_owned())
}

/// Reads what Go's `strconv.ParseBool` takes.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// Reads a Go duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    go_duration::parse(text).map_err(|error| error.to_string())
}

/// Whether a duration has no part of a second.
pub(super) fn is_whole_seconds(duration: Duration) -> bool {
    duration.subsec_nanos() == 0
}
