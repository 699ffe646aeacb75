//! How does a person read a constant's value? `Duration::from_secs(300)` is 5 min.

/// The value as prose; an expression that is not understood, as it stands.
pub(super) fn shown(name: &str, kind: &str, expression: &str) -> String {
    let understood = match kind {
        "Duration" => duration(expression),
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => {
            number(expression).map(|number| with_unit(name, number))
        }
        "f64" => Some(expression.to_owned()),
        _ => None,
    };
    understood.unwrap_or_else(|| format!("`{expression}`"))
}

fn duration(expression: &str) -> Option<String> {
    let (unit, rest) = expression.strip_prefix("Duration::from_")?.split_once('(')?;
    let number = number(rest.strip_suffix(')')?)?;
    let ms = match unit {
        "millis" => number,
        "secs" => number.checked_mul(1000)?,
        "mins" => number.checked_mul(60_000)?,
        "hours" => number.checked_mul(3_600_000)?,
        "days" => number.checked_mul(86_400_000)?,
        _ => return None,
    };
    Some(time(ms))
}

/// In the largest unit of which there are at least two, or one hour or second.
fn time(ms: u64) -> String {
    const UNITS: [(u64, u64, &str); 5] = [
        (86_400_000, 2, "d"),
        (3_600_000, 1, "h"),
        (60_000, 2, "min"),
        (1000, 1, "s"),
        (1, 0, "ms"),
    ];
    let fitting = UNITS
        .into_iter()
        .find(|(unit, least, _)| ms.is_multiple_of(*unit) && ms / unit >= *least);
    let (unit, _, name) = fitting.unwrap_or((1, 0, "ms"));
    format!("{} {name}", grouped(ms / unit))
}

fn with_unit(name: &str, number: u64) -> String {
    let words: Vec<&str> = name.split('_').collect();
    let has = |word| words.contains(&word);
    match number {
        _ if has("MS") => time(number),
        _ if !has("BYTES") => grouped(number),
        0 => "0 B".to_owned(),
        _ if number.is_multiple_of(1024 * 1024) => format!("{} MiB", grouped(number >> 20)),
        _ if number.is_multiple_of(1024) => format!("{} KiB", grouped(number >> 10)),
        _ => format!("{} B", grouped(number)),
    }
}

/// A product of integers, or a power of two.
fn number(expression: &str) -> Option<u64> {
    if let Some((left, right)) = expression.split_once("<<") {
        return number(left)?.checked_shl(number(right)?.try_into().ok()?);
    }
    let factors = expression.split('*');
    factors
        .map(|factor| factor.trim().replace('_', "").parse::<u64>().ok())
        .try_fold(1, |product: u64, factor| product.checked_mul(factor?))
}

/// 100000 as `100 000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digits.len() > 4 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_said_as_people_say_them() {
        let check = |name, kind, expression, expected| {
            assert_eq!(shown(name, kind, expression), expected, "{expression}");
        };
        check("X", "Duration", "Duration::from_secs(60)", "60 s");
        check("X", "Duration", "Duration::from_secs(3600)", "1 h");
        check("X", "Duration", "Duration::from_secs(300)", "5 min");
        check("X", "Duration", "Duration::from_secs(48 * 60 * 60)", "2 d");
        check("X", "Duration", "Duration::from_millis(1500)", "1500 ms");
        check("X", "Duration", "OTHER", "`OTHER`");
        check("X_BYTES_MAX", "usize", "64 * 1024", "64 KiB");
        check("X_BYTES_MAX", "usize", "4 << 20", "4 MiB");
        check("X_BYTES", "u32", "1_000", "1000 B");
        check("X_MAX", "usize", "100_000", "100 000");
        check("X_MS_MAX", "u64", "300_000", "5 min");
        check("X", "f64", "0.7", "0.7");
        check("X", "&str", "\"a\"", "`\"a\"`");
    }
}
