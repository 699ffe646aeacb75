//! From a message to JSON in the shape that Envoy's admin endpoints write: snake_case, `@type` first in what an `Any` holds.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value as Field};

use super::read::is_wrapper;
use super::schema::Schema;
use super::value::Json;
use crate::limits::TEXT_NESTING_MAX;

/// What becomes of private keys, passwords and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// `[redacted]` stands in their place, as in Envoy.
    Redacted,
    /// They are written.
    Shown,
}

const REDACTED: &str = "[redacted]";
/// Envoy's mark on a field that holds a secret.
const SENSITIVE: &str = "udpa.annotations.sensitive";

/// Writes messages of one schema.
pub(super) struct Writer<'s> {
    schema: &'s Schema,
    secrets: Secrets,
    depth: usize,
}

impl<'s> Writer<'s> {
    pub(super) fn new(schema: &'s Schema, secrets: Secrets) -> Self {
        Self {
            schema,
            secrets,
            depth: 0,
        }
    }

    /// A message; inside a secret (`hidden`) every string and every byte string is redacted.
    pub(super) fn message(&mut self, message: &DynamicMessage, hidden: bool) -> Json {
        if self.depth > TEXT_NESTING_MAX {
            return Json::Null;
        }
        self.depth += 1;
        let descriptor = message.descriptor();
        let json = match descriptor.full_name().strip_prefix("google.protobuf.") {
            Some("Any") => self.any(message, hidden),
            Some("Duration") => Json::Text(duration(message)),
            Some("Timestamp") => Json::Text(timestamp(message)),
            Some("FieldMask") => Json::Text(mask(message)),
            Some("Struct" | "ListValue") => self.only_field(message, hidden),
            Some("Value") => message.fields().next().map_or(Json::Null, |(field, value)| {
                self.value(value, &field.kind(), hidden)
            }),
            Some(name) if is_wrapper(name) => self.only_field(message, hidden),
            _ => Json::Map(self.fields(message, hidden)),
        };
        self.depth -= 1;
        json
    }

    fn fields(&mut self, message: &DynamicMessage, hidden: bool) -> Vec<(Box<str>, Json)> {
        let mut fields: Vec<_> = message.fields().collect();
        fields.sort_by_key(|(field, _)| field.number());
        fields
            .into_iter()
            .map(|(field, value)| {
                let hidden = hidden || self.secrets == Secrets::Redacted && is_sensitive(&field);
                (field.name().into(), self.field(value, &field, hidden))
            })
            .collect()
    }

    fn field(&mut self, value: &Field, field: &FieldDescriptor, hidden: bool) -> Json {
        match (value, field.kind()) {
            (Field::Map(map), Kind::Message(pair)) => {
                let kind = pair.map_entry_value_field().kind();
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                let entry = |(key, value)| (name(key), self.value(value, &kind, hidden));
                Json::Map(entries.into_iter().map(entry).collect())
            }
            (Field::List(items), kind) => {
                Json::List(items.iter().map(|item| self.value(item, &kind, hidden)).collect())
            }
            (value, kind) => self.value(value, &kind, hidden),
        }
    }

    fn value(&mut self, value: &Field, kind: &Kind, hidden: bool) -> Json {
        match value {
            Field::Bool(value) => Json::Bool(*value),
            Field::I32(number) => Json::Number(number.to_string().into()),
            Field::U32(number) => Json::Number(number.to_string().into()),
            // A double cannot hold them all, so JSON has them as strings.
            Field::I64(number) => Json::Text(number.to_string()),
            Field::U64(number) => Json::Text(number.to_string()),
            Field::F32(number) => float(f64::from(*number), || number.to_string()),
            Field::F64(number) => float(*number, || number.to_string()),
            Field::String(_) if hidden => Json::Text(REDACTED.to_owned()),
            Field::String(text) => Json::Text(text.clone()),
            Field::Bytes(_) if hidden => Json::Text(BASE64_STANDARD.encode(REDACTED)),
            Field::Bytes(bytes) => Json::Text(BASE64_STANDARD.encode(bytes)),
            Field::EnumNumber(number) => match kind {
                Kind::Enum(descriptor) if descriptor.full_name() == "google.protobuf.NullValue" => Json::Null,
                Kind::Enum(descriptor) => match descriptor.get_value(*number) {
                    Some(value) => Json::Text(value.name().to_owned()),
                    None => Json::Number(number.to_string().into()),
                },
                _ => Json::Number(number.to_string().into()),
            },
            Field::Message(message) => self.message(message, hidden),
            Field::List(_) | Field::Map(_) => Json::Null,
        }
    }

    /// The content of a message that stands for its only field.
    fn only_field(&mut self, message: &DynamicMessage, hidden: bool) -> Json {
        let Some(field) = message.descriptor().get_field(1) else {
            return Json::Null;
        };
        let value = message.get_field(&field);
        self.field(&value, &field, hidden)
    }

    fn any(&mut self, any: &DynamicMessage, hidden: bool) -> Json {
        let url = any.get_field_by_number(1);
        let url = url.as_ref().and_then(|url| url.as_str()).unwrap_or_default();
        if url.is_empty() {
            return Json::Map(Vec::new());
        }
        let bytes = any.get_field_by_number(2);
        let bytes = bytes
            .as_ref()
            .and_then(|bytes| bytes.as_bytes())
            .cloned()
            .unwrap_or_default();
        let name = url.rsplit('/').next().unwrap_or(url);
        let mut fields = vec![("@type".into(), Json::Text(url.to_owned()))];
        let content = self
            .schema
            .message(name)
            .and_then(|descriptor| DynamicMessage::decode(descriptor, bytes.clone()).ok());
        match content {
            Some(content) if super::read::is_well_known(name) => {
                fields.push(("value".into(), self.message(&content, hidden)));
            }
            Some(content) => fields.extend(self.fields(&content, hidden)),
            // Nobody knows what of it is secret.
            None => fields.push((
                "value".into(),
                self.value(
                    &Field::Bytes(bytes),
                    &Kind::Bytes,
                    hidden || self.secrets == Secrets::Redacted,
                ),
            )),
        }
        Json::Map(fields)
    }
}

fn is_sensitive(field: &FieldDescriptor) -> bool {
    let pool = field.parent_pool();
    let Some(mark) = pool.get_extension_by_name(SENSITIVE) else {
        return false;
    };
    field.options().get_extension(&mark).as_bool() == Some(true)
}

fn name(key: &MapKey) -> Box<str> {
    match key {
        MapKey::Bool(key) => key.to_string().into(),
        MapKey::I32(key) => key.to_string().into(),
        MapKey::I64(key) => key.to_string().into(),
        MapKey::U32(key) => key.to_string().into(),
        MapKey::U64(key) => key.to_string().into(),
        MapKey::String(key) => key.as_str().into(),
    }
}

fn float(number: f64, written: impl FnOnce() -> String) -> Json {
    if number.is_nan() {
        Json::Text("NaN".to_owned())
    } else if number.is_infinite() {
        Json::Text(if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
    } else {
        Json::Number(written().into())
    }
}

fn seconds_and_nanos(message: &DynamicMessage) -> (i64, i32) {
    let seconds = message.get_field_by_number(1).and_then(|value| value.as_i64());
    let nanos = message.get_field_by_number(2).and_then(|value| value.as_i32());
    (seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

fn duration(message: &DynamicMessage) -> String {
    let (seconds, nanos) = seconds_and_nanos(message);
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    format!(
        "{sign}{}{}s",
        seconds.unsigned_abs(),
        fraction(nanos.unsigned_abs())
    )
}

/// A fraction of a second with three, six or nine digits, or nothing.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        nanos if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        nanos if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
        nanos => format!(".{nanos:09}"),
    }
}

/// RFC 3339 in UTC.
fn timestamp(message: &DynamicMessage) -> String {
    let (seconds, nanos) = seconds_and_nanos(message);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since the first of March of the year 0, so that the leap day is a year's last.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = fraction(nanos.unsigned_abs());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

fn mask(message: &DynamicMessage) -> String {
    let paths = message.get_field_by_number(1);
    let paths = paths
        .as_ref()
        .and_then(|paths| paths.as_list())
        .unwrap_or_default();
    let paths: Vec<String> = paths.iter().filter_map(|path| path.as_str().map(camel)).collect();
    paths.join(",")
}

fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut raise = false;
    for character in name.chars() {
        if character == '_' {
            raise = true;
        } else {
            camel.push(if raise {
                character.to_ascii_uppercase()
            } else {
                character
            });
            raise = false;
        }
    }
    camel
}
