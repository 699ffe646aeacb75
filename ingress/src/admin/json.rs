//! JSON as these endpoints put it together.

use std::fmt::{self, Write};
use std::time::SystemTime;

use tidegate_xds::text::Json;

pub(super) fn text(text: impl Into<String>) -> Json {
    Json::Text(text.into())
}

pub(super) fn number(number: impl fmt::Display) -> Json {
    Json::Number(number.to_string().into())
}

/// Fields in order, without those that are not there.
pub(super) fn map<const N: usize>(fields: [(&str, Option<Json>); N]) -> Json {
    let field = |(name, value): (&str, Option<Json>)| Some((name.into(), value?));
    Json::Map(fields.into_iter().filter_map(field).collect())
}

/// A moment as protocol buffers write it, to the millisecond.
pub(super) fn timestamp(at: SystemTime) -> Json {
    let millis = match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_millis()).unwrap_or(0),
        Err(_) => 0,
    };
    let (seconds, millis) = (i64::try_from(millis / 1000).unwrap_or(0), millis % 1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = if millis == 0 {
        String::new()
    } else {
        format!(".{millis:03}")
    };
    text(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"
    ))
}

/// The day of the Gregorian calendar that is so many after 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Writes a value that stands so deep in a document; its first line goes on where the text is.
pub(super) fn nested(value: &Json, depth: usize, out: &mut dyn Write) -> fmt::Result {
    let text = value.pretty();
    let mut lines = text.lines();
    out.write_str(lines.next().unwrap_or_default())?;
    lines.try_for_each(|line| write!(out, "\n{:depth$}{line}", ""))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_dates() {
        let check = |millis, expected: &str| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(timestamp(at), text(expected));
        };
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400_000, "2000-02-29T00:00:00Z");
        check(1_795_632_617_808, "2026-11-25T18:50:17.808Z");
    }
}
