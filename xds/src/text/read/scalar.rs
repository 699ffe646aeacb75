//! Numbers, strings, booleans, bytes and enum values: what of a text is one, and in which range.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{EnumDescriptor, Kind, Value as Field};

use crate::text::tree::Value;

/// A value that is no message and no enum; what is wrong is told as a sentence.
pub(super) fn read(value: &Value, kind: &Kind) -> Result<Field, String> {
    Ok(match kind {
        Kind::Double => Field::F64(float(value)?),
        Kind::Float => {
            let wide = float(value)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "what does not fit is refused below"
            )]
            let narrow = wide as f32;
            if wide.is_finite() && narrow.is_infinite() {
                return Err("float out of range".to_owned());
            }
            Field::F32(narrow)
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Field::I32(integer(value)?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Field::I64(integer(value)?),
        Kind::Uint32 | Kind::Fixed32 => Field::U32(integer(value)?),
        Kind::Uint64 | Kind::Fixed64 => Field::U64(integer(value)?),
        Kind::Bool => Field::Bool(boolean(value)?),
        Kind::String => match value {
            Value::Text(text) => Field::String(text.as_ref().to_owned()),
            other => {
                return Err(format!(
                    "expected a string, but found {}; put it in quotes",
                    other.kind()
                ));
            }
        },
        Kind::Bytes => match value {
            Value::Text(text) => Field::Bytes(base64(text).ok_or("corrupt base64")?.into()),
            other => return Err(format!("expected base64, but found {}", other.kind())),
        },
        Kind::Message(_) | Kind::Enum(_) => return Err("expected a scalar".to_owned()),
    })
}

/// Why there is no enum value.
pub(super) enum EnumProblem {
    /// There is none of this name.
    Unknown(String),
    /// It is neither a name nor a number.
    Kind,
}

/// By name in any case, or by number, also of a value that is not there.
pub(super) fn enumeration(value: &Value, descriptor: &EnumDescriptor) -> Result<i32, EnumProblem> {
    match value {
        Value::Null => Ok(0),
        Value::Number(_) => integer(value).map_err(|_| EnumProblem::Kind),
        Value::Text(name) => descriptor
            .get_value_by_name(name)
            .or_else(|| {
                descriptor
                    .values()
                    .find(|found| found.name().eq_ignore_ascii_case(name))
            })
            .map(|found| found.number())
            .or_else(|| name.parse().ok())
            .ok_or_else(|| EnumProblem::Unknown(name.as_ref().to_owned())),
        _ => Err(EnumProblem::Kind),
    }
}

/// A whole number, also one written as `1e3` or `5.0`, or in quotes, there also in hexadecimal.
fn integer<T: TryFrom<i128>>(value: &Value) -> Result<T, String> {
    let (Value::Number(text) | Value::Text(text)) = value else {
        return Err(format!("expected number or string, but found {}", value.kind()));
    };
    let number = match text.parse::<i128>().ok().or_else(|| hexadecimal(text)) {
        Some(number) => number,
        None => whole(text)?,
    };
    T::try_from(number).map_err(|_| "integer out of range".to_owned())
}

fn hexadecimal(text: &str) -> Option<i128> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let is_hex = digits.len() <= 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| i128::from_str_radix(digits, 16).ok()).flatten()
}

fn whole(text: &str) -> Result<i128, String> {
    let number = decimal(text)?;
    if !number.is_finite() || number.fract() != 0.0 {
        return Err("expected integer, but JSON number had fractional part".to_owned());
    }
    if number.abs() > 2e19 {
        return Err("integer out of range".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and not too large")]
    let number = number as i128;
    Ok(number)
}

fn float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Number(text) => decimal(text),
        Value::Text(text) => match text.as_ref() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            text => match hexadecimal(text) {
                #[expect(clippy::cast_precision_loss, reason = "as close as a float gets")]
                Some(number) => Ok(number as f64),
                None => decimal(text),
            },
        },
        other => Err(format!("expected number or string, but found {}", other.kind())),
    }
}

fn decimal(text: &str) -> Result<f64, String> {
    if text.contains(|c: char| c.is_ascii_whitespace()) {
        return Err("non-number characters in quoted number".to_owned());
    }
    let is_decimal = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = text.parse::<f64>().ok().filter(|_| is_decimal);
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| format!("invalid number: '{text}'"))
}

fn boolean(value: &Value) -> Result<bool, String> {
    let refused = || "expected 'true' or 'false'".to_owned();
    match value {
        Value::Bool(value) => Ok(*value),
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Ok(true),
            "false" | "f" | "no" | "n" | "0" => Ok(false),
            _ => Err(refused()),
        },
        _ => Err(refused()),
    }
}

/// In either alphabet, with padding or without.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = if text.contains(['-', '_']) {
        alphabet::URL_SAFE
    } else {
        alphabet::STANDARD
    };
    GeneralPurpose::new(&alphabet, config).decode(text).ok()
}
