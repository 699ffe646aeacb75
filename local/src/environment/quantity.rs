//! How much is a Kubernetes quantity such as `500m` or `1Gi`, divided by another?

/// Everything counts in billionths: the smallest suffix is `n`.
const UNIT: i128 = 1_000_000_000;

const SUFFIXES: [(&str, i128); 16] = [
    ("", UNIT),
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("k", UNIT * 1_000),
    ("M", UNIT * 1_000_000),
    ("G", UNIT * 1_000_000_000),
    ("T", UNIT * 1_000_000_000_000),
    ("P", UNIT * 1_000_000_000_000_000),
    ("E", UNIT * 1_000_000_000_000_000_000),
    ("Ki", UNIT << 10),
    ("Mi", UNIT << 20),
    ("Gi", UNIT << 30),
    ("Ti", UNIT << 40),
    ("Pi", UNIT << 50),
    ("Ei", UNIT << 60),
];

/// `value / divisor`, rounded up, as the downward API writes it. `None` when either is no quantity, is too large to
/// count, or the divisor is not above zero.
pub(super) fn divide(value: &str, divisor: &str) -> Option<i128> {
    let divisor = billionths(divisor).filter(|divisor| *divisor > 0)?;
    let value = billionths(value)?;
    let rounds_up = value > 0 && value % divisor != 0;
    Some(value / divisor + i128::from(rounds_up))
}

/// source: Kubernetes `apimachinery/pkg/api/resource`, type Quantity
fn billionths(text: &str) -> Option<i128> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned.find(|character: char| !character.is_ascii_digit() && character != '.');
    let (number, suffix) = unsigned.split_at(end.unwrap_or(unsigned.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    let mantissa: i128 = digits.parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    let scaled = mantissa.checked_mul(scale(suffix)?)?;
    let divisor = 10_i128.checked_pow(places)?;
    // What is finer than a billionth is rounded up, as Kubernetes does.
    Some(sign * (scaled / divisor + i128::from(scaled % divisor != 0)))
}

fn scale(suffix: &str) -> Option<i128> {
    if let Some((_, scale)) = SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Some(*scale);
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 {
        Some(UNIT / power).filter(|scale| *scale > 0)
    } else {
        UNIT.checked_mul(power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, divisor: &str, expected: Option<i128>) {
        assert_eq!(divide(value, divisor), expected, "{value} / {divisor}");
    }

    #[test]
    fn quantities_divide_and_round_up() {
        check("2", "1", Some(2));
        check("500m", "1", Some(1));
        check("500m", "1m", Some(500));
        check("1.5", "1m", Some(1500));
        check("0", "1", Some(0));
        check("1Gi", "1Mi", Some(1024));
        check("1Gi", "1", Some(1_073_741_824));
        check("128974848", "1Ki", Some(125_952));
        check("1e3", "1", Some(1000));
        check("12E", "1", Some(12_000_000_000_000_000_000));
        check("1E2", "1", Some(100));
        check("1e-3", "1m", Some(1));
        check(".5", "1", Some(1));
        check("-1", "1", Some(-1));
    }

    #[test]
    fn what_is_no_quantity_has_no_quotient() {
        for (value, divisor) in [
            ("", "1"),
            ("x", "1"),
            ("1x", "1"),
            ("1", "0"),
            ("1", "-1"),
            ("1e99", "1"),
            ("1.2.3", "1"),
        ] {
            check(value, divisor, None);
        }
    }
}
