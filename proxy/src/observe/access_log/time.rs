//! How is a point in time written, in the words of `strftime`?

use std::fmt;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A compiled format of UTC times: C's `strftime` letters, `%f` and `%1f` to `%9f` for fractions of the second, `%E3S` for
/// seconds with a fraction (Envoy's `START_TIME`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeFormat {
    text: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Letter(u8),
    /// The first digits of the fraction of the second.
    Fraction(usize),
    /// Seconds, a point, and the first digits of their fraction.
    Seconds(usize),
}

/// What is written without a format of its own.
pub(crate) const DEFAULT: &str = "%Y-%m-%dT%H:%M:%E3SZ";

const LETTERS: &[u8] = b"YmdHMSsyejaAbBhIpTFDRZzntuw%";
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

impl TimeFormat {
    /// Compiles `text`; the error is the offset of the first letter that means nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, usize> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('%') {
            let (before, after) = rest.split_at(at);
            plain.push_str(before);
            let (part, length) = directive(after).ok_or(text.len() - after.len())?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain).into()));
            }
            parts.push(part);
            rest = after.get(length..).unwrap_or_default();
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self {
            text: text.into(),
            parts: parts.into(),
        })
    }

    pub(crate) fn write(&self, time: SystemTime, out: &mut Vec<u8>) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let civil = Civil::of(since);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Letter(letter) => civil.letter(*letter, out),
                Part::Fraction(digits) => civil.fraction(*digits, out),
                Part::Seconds(digits) => {
                    civil.letter(b'S', out);
                    if *digits > 0 {
                        out.push(b'.');
                        civil.fraction(*digits, out);
                    }
                }
            }
        }
    }
}

/// The format as it was given.
impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A time as RFC 3339 has it, to the nanosecond.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let mut out = Vec::new();
    if let Ok(format) = TimeFormat::parse("%Y-%m-%dT%H:%M:%S.%fZ") {
        format.write(time, &mut out);
    }
    String::from_utf8(out).unwrap_or_default()
}

/// The directive at the start of `text`, and how long it is.
fn directive(text: &str) -> Option<(Part, usize)> {
    match text.as_bytes() {
        [b'%', b'f', ..] => Some((Part::Fraction(9), 2)),
        [b'%', digit @ b'1'..=b'9', b'f', ..] => Some((Part::Fraction(usize::from(digit - b'0')), 3)),
        [b'%', b'E', digit @ b'0'..=b'9', b'S', ..] => Some((Part::Seconds(usize::from(digit - b'0')), 4)),
        [b'%', letter, ..] if LETTERS.contains(letter) => Some((Part::Letter(*letter), 2)),
        _ => None,
    }
}

/// A point in time as a calendar shows it.
struct Civil {
    seconds: u64,
    nanos: u32,
    year: u64,
    month: u64,
    day: u64,
    day_of_year: u64,
    weekday: u64,
}

impl Civil {
    /// Howard Hinnant's `civil_from_days`, for days since 1970.
    fn of(since: Duration) -> Self {
        let days = since.as_secs() / 86_400;
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * from_march + 2) / 153;
        let day = from_march - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        // Counted from the first of March, January begins at day 306.
        let day_of_year = if month > 2 {
            from_march + 60 + u64::from(leap)
        } else {
            from_march - 305
        };
        Self {
            seconds: since.as_secs(),
            nanos: since.subsec_nanos(),
            year,
            month,
            day,
            day_of_year,
            weekday: (days + 4) % 7,
        }
    }

    fn fraction(&self, digits: usize, out: &mut Vec<u8>) {
        let start = out.len();
        // Writing to memory cannot fail.
        _ = write!(out, "{:09}", self.nanos);
        out.truncate(start + digits);
    }

    fn letter(&self, letter: u8, out: &mut Vec<u8>) {
        let (hour, minute, second) = (
            self.seconds / 3600 % 24,
            self.seconds / 60 % 60,
            self.seconds % 60,
        );
        let name = |names: &[&'static str], at: u64| {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            names.get(at).copied().unwrap_or_default()
        };
        let short = |name: &'static str| name.get(..3).unwrap_or(name);
        let (month, weekday) = (
            name(&MONTHS, self.month.wrapping_sub(1)),
            name(&DAYS, self.weekday),
        );
        // Writing to memory cannot fail.
        _ = match letter {
            b'Y' => write!(out, "{}", self.year),
            b'y' => write!(out, "{:02}", self.year % 100),
            b'm' => write!(out, "{:02}", self.month),
            b'd' => write!(out, "{:02}", self.day),
            b'e' => write!(out, "{:2}", self.day),
            b'j' => write!(out, "{:03}", self.day_of_year),
            b'H' => write!(out, "{hour:02}"),
            b'I' => write!(out, "{:02}", (hour + 11) % 12 + 1),
            b'p' => out.write_all(if hour < 12 { b"AM" } else { b"PM" }),
            b'M' => write!(out, "{minute:02}"),
            b'S' => write!(out, "{second:02}"),
            b's' => write!(out, "{}", self.seconds),
            b'T' => write!(out, "{hour:02}:{minute:02}:{second:02}"),
            b'R' => write!(out, "{hour:02}:{minute:02}"),
            b'F' => write!(out, "{}-{:02}-{:02}", self.year, self.month, self.day),
            b'D' => write!(out, "{:02}/{:02}/{:02}", self.month, self.day, self.year % 100),
            b'A' => out.write_all(weekday.as_bytes()),
            b'a' => out.write_all(short(weekday).as_bytes()),
            b'B' => out.write_all(month.as_bytes()),
            b'b' | b'h' => out.write_all(short(month).as_bytes()),
            b'u' => write!(out, "{}", if self.weekday == 0 { 7 } else { self.weekday }),
            b'w' => write!(out, "{}", self.weekday),
            b'Z' => out.write_all(b"UTC"),
            b'z' => out.write_all(b"+0000"),
            b'n' => out.write_all(b" "),
            b't' => out.write_all(b"\t"),
            _ => out.write_all(b"%"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: &str, seconds: u64, nanos: u32) -> String {
        let mut out = Vec::new();
        let time = UNIX_EPOCH + Duration::new(seconds, nanos);
        TimeFormat::parse(format).unwrap().write(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_read_as_strftime_writes_them() {
        let check = |format: &str, expected: &str| {
            assert_eq!(written(format, 1_795_622_400, 7_080_900), expected, "{format}");
        };
        check(DEFAULT, "2026-11-25T16:00:00.007Z");
        check("%s.%3f", "1795622400.007");
        check("%f %1f %9f", "007080900 0 007080900");
        check(
            "%a, %e %b %Y %I:%M %p day %j",
            "Wed, 25 Nov 2026 04:00 PM day 329",
        );
        check(
            "%F %T%z %Z %D %R 100%%",
            "2026-11-25 16:00:00+0000 UTC 11/25/26 16:00 100%",
        );
        check("%E0S %E6S", "00 00.007080");
    }

    #[test]
    fn leap_years_and_the_epoch_are_right() {
        assert_eq!(written("%F %A %j", 0, 0), "1970-01-01 Thursday 001");
        assert_eq!(written("%F %j", 951_782_400, 0), "2000-02-29 060");
        assert_eq!(written("%F %j", 951_868_800, 0), "2000-03-01 061");
        assert_eq!(written("%F %j", 1_735_603_200, 0), "2024-12-31 366");
    }

    #[test]
    fn an_unknown_letter_is_named_by_its_place() {
        assert_eq!(TimeFormat::parse("%Y-%Q"), Err(3));
        assert_eq!(TimeFormat::parse("%"), Err(0));
        assert_eq!(TimeFormat::parse("%E"), Err(0));
    }
}
