//! What an unquoted scalar stands for, by the rules of the YAML reader that Kubernetes' tools use.
//!
//! That reader follows YAML 1.1: `yes` and `on` are booleans, `0644` is octal, `1_000` is a thousand. A file that
//! means one thing here and another in a cluster would be worse than an old rule.

/// The type of a scalar, with its value where the text does not say it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ScalarType {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Another number, or a whole one beyond 64 bits.
    Float(f64),
    /// Text.
    Text,
}

impl ScalarType {
    /// The type of an unquoted scalar without a tag.
    pub(super) fn of_plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
                return Self::Boolean(true);
            }
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
                return Self::Boolean(false);
            }
            ".nan" | ".NaN" | ".NAN" => return Self::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Self::Float(f64::INFINITY),
            "-.inf" | "-.Inf" | "-.INF" => return Self::Float(f64::NEG_INFINITY),
            _ => {}
        }
        if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
            return Self::Text;
        }
        let digits = text.replace('_', "");
        integer(&digits)
            .map(Self::Integer)
            .or_else(|| float(&digits).map(Self::Float))
            .unwrap_or(Self::Text)
    }

    /// What it is, for messages.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text => "text",
        }
    }
}

fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, digits.get(2..)?),
        Some("0o" | "0O") => (8, digits.get(2..)?),
        Some("0b" | "0B") => (2, digits.get(2..)?),
        Some(_) if digits.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

fn float(text: &str) -> Option<f64> {
    // Rust also reads "inf", "nan" and "infinity", which are text in YAML.
    let is_number = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::ScalarType::{self, *};

    #[test]
    fn unquoted_scalars_have_the_types_a_cluster_sees() {
        for (text, expected) in [
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("nil", Text),
            ("true", Boolean(true)),
            ("Yes", Boolean(true)),
            ("off", Boolean(false)),
            ("n", Boolean(false)),
            ("tRue", Text),
            ("8080", Integer(8080)),
            ("-1", Integer(-1)),
            ("+1", Integer(1)),
            ("0", Integer(0)),
            ("0644", Integer(0o644)),
            ("0o644", Integer(0o644)),
            ("0x1F", Integer(31)),
            ("0b101", Integer(5)),
            ("1_000", Integer(1000)),
            ("-9223372036854775808", Integer(i64::MIN)),
            ("9223372036854775808", Float(9_223_372_036_854_775_808.0)),
            ("08", Float(8.0)),
            ("1.5", Float(1.5)),
            (".5", Float(0.5)),
            ("1e3", Float(1000.0)),
            (".inf", Float(f64::INFINITY)),
            ("inf", Text),
            ("nan", Text),
            ("-", Text),
            ("--1", Text),
            ("0x", Text),
            ("0x-1", Text),
            ("1.2.3", Text),
            ("500m", Text),
            ("2020-01-01", Text),
            ("10.0.0.1", Text),
            ("é", Text),
            ("0é", Text),
        ] {
            assert_eq!(ScalarType::of_plain(text), expected, "{text:?}");
        }
        assert!(matches!(ScalarType::of_plain(".nan"), Float(value) if value.is_nan()));
    }
}
