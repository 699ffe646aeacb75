//! Durations such as `1.5s`, and points in time as RFC 3339 writes them.

/// The longest duration, in seconds: about 10 000 years.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;

/// Seconds and nanoseconds, both negative or neither.
pub(super) fn duration(text: &str) -> Result<(i64, i32), &'static str> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (seconds, rest) = rest.split_at(digits);
    if seconds.is_empty() {
        return Err("duration must start with an integer");
    }
    let (nanos, rest) = fraction(rest).ok_or("duration had bad nanoseconds")?;
    if rest != "s" {
        return Err("duration must end with a single 's'");
    }
    let seconds: i64 = seconds.parse().map_err(|_| "duration out of range")?;
    if seconds > DURATION_SECONDS_MAX {
        return Err("duration out of range");
    }
    Ok((sign * seconds, i32::try_from(sign).unwrap_or(1) * nanos))
}

/// The nanoseconds after a dot, if there is one, and what follows.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (fraction, rest) = rest.split_at(digits);
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    format!("{fraction:0<9}").parse().ok().map(|nanos| (nanos, rest))
}

/// Seconds since 1970 and nanoseconds after them.
pub(super) fn timestamp(text: &str) -> Result<(i64, i32), &'static str> {
    const BAD: &str = "bad timestamp";
    let (year, rest) = number(text, 4).ok_or(BAD)?;
    let (month, rest) = number(rest.strip_prefix('-').ok_or(BAD)?, 2).ok_or(BAD)?;
    let (day, rest) = number(rest.strip_prefix('-').ok_or(BAD)?, 2).ok_or("bad day in timestamp")?;
    let rest = rest.strip_prefix(['T', 't']).ok_or("bad day in timestamp")?;
    let (hour, rest) = number(rest, 2).ok_or(BAD)?;
    let (minute, rest) = number(rest.strip_prefix(':').ok_or(BAD)?, 2).ok_or(BAD)?;
    let (second, rest) = number(rest.strip_prefix(':').ok_or(BAD)?, 2).ok_or(BAD)?;
    let (nanos, zone) = fraction(rest).ok_or(BAD)?;
    let is_valid = (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_valid || hour > 23 || minute > 59 || second > 59 {
        return Err(BAD);
    }
    let offset = match zone {
        "Z" | "z" => 0,
        zone => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let (hours, rest) = number(zone.strip_prefix(['+', '-']).ok_or(BAD)?, 2).ok_or(BAD)?;
            let (minutes, rest) = number(rest.strip_prefix(':').ok_or(BAD)?, 2).ok_or(BAD)?;
            if !rest.is_empty() || hours > 23 || minutes > 59 {
                return Err(BAD);
            }
            sign * (hours * 3600 + minutes * 60)
        }
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Ok((seconds, nanos))
}

fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (digits, rest) = text.split_at_checked(digits)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok().map(|number| (number, rest)))?
}

/// Days since 1970-01-01 in the Gregorian calendar. Years begin in March, so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
