//! What do the layers of the runtime say for a key? Those that stand in the bootstrap; others are nobody's yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use envoy_types::pb::envoy::r#type::v3::fractional_percent::DenominatorType;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use prost::Message as _;

use super::bootstrap::{Layer, LayerSource};
use super::fraction::{MILLION, per_million, runtime_per_million};

/// The shares that the layers say, by key. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Runtime {
    shares: Arc<BTreeMap<String, u32>>,
}

/// What is shown of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What each layer says; nothing where it does not.
    pub layers: Vec<String>,
    /// What holds.
    pub held: String,
}

impl Runtime {
    /// What these layers say together: of several that have a key the last counts.
    #[must_use]
    pub fn of(layers: &[Layer]) -> Self {
        let mut shares = BTreeMap::new();
        for layer in layers {
            for (key, value) in entries(layer) {
                // A later value that is no share leaves the default, whatever an earlier one said.
                match share(&value) {
                    Some(share) => _ = shares.insert(key, share),
                    None => _ = shares.remove(&key),
                }
            }
        }
        Self {
            shares: Arc::new(shares),
        }
    }

    /// Of a million so many: what the layers say for its key, or its default; `unset` where nothing is said.
    #[must_use]
    pub fn per_million(&self, percent: Option<&RuntimeFractionalPercent>, unset: u32) -> u32 {
        let said = percent.and_then(|percent| self.shares.get(&percent.runtime_key));
        said.copied()
            .unwrap_or_else(|| runtime_per_million(percent, unset))
    }
}

/// Every key that a layer has, as `/runtime` shows it.
#[must_use]
pub fn shown(layers: &[Layer]) -> BTreeMap<String, Shown> {
    let mut shown = BTreeMap::<String, Shown>::new();
    for (index, layer) in layers.iter().enumerate() {
        for (key, value) in entries(layer) {
            let entry = shown.entry(key).or_default();
            entry.layers.resize(index, String::new());
            entry.held = written(&value);
            entry.layers.push(entry.held.clone());
        }
    }
    for entry in shown.values_mut() {
        entry.layers.resize(layers.len(), String::new());
    }
    shown
}

/// The first key whose value can be none, a list or nothing.
pub(super) fn unusable(values: &Struct) -> Option<String> {
    let mut found = None;
    walk(values, "", &mut |key, value| {
        if matches!(value.kind, None | Some(Kind::ListValue(_) | Kind::NullValue(_))) {
            found.get_or_insert(key);
        }
    });
    found
}

fn entries(layer: &Layer) -> Vec<(String, Value)> {
    let mut entries = Vec::new();
    if let LayerSource::Static(encoded) = &layer.source
        && let Ok(values) = Struct::decode(encoded.clone())
    {
        walk(&values, "", &mut |key, value| entries.push((key, value.clone())));
    }
    entries
}

/// Says each key with its value: a struct is a folder of keys, unless it is a fraction or empty.
fn walk(values: &Struct, prefix: &str, say: &mut impl FnMut(String, &Value)) {
    // The decoder of messages bounds how deep this goes.
    for (name, value) in &values.fields {
        let key = format!("{prefix}{name}");
        match &value.kind {
            Some(Kind::StructValue(inner)) if !is_fraction(inner) => walk(inner, &format!("{key}."), say),
            _ => say(key, value),
        }
    }
}

fn is_fraction(values: &Struct) -> bool {
    let has = |name| values.fields.contains_key(name);
    values.fields.is_empty() || has("numerator") || has("denominator")
}

/// The share that a value is: a whole number, of a hundred, or a `FractionalPercent`. A text is taken for the number in it.
fn share(value: &Value) -> Option<u32> {
    match value.kind.as_ref()? {
        Kind::NumberValue(number) => of_hundred(*number),
        Kind::StringValue(text) => of_hundred(text.trim().parse().ok()?),
        Kind::StructValue(values) => fraction(values),
        Kind::BoolValue(_) | Kind::ListValue(_) | Kind::NullValue(_) => None,
    }
}

/// What is behind the point is left away, as by Envoy.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is within the range"
)]
fn of_hundred(number: f64) -> Option<u32> {
    (0.0..=U64_FLOAT_MAX)
        .contains(&number)
        .then(|| number.min(100.0) as u32 * (MILLION / 100))
}

/// Above this a number is none that Envoy would take for a whole one.
const U64_FLOAT_MAX: f64 = 18_446_744_073_709_551_615.0;

/// A fraction as Envoy reads it here: a numerator that is no number is 0, anything else that it does not know makes it none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what does not fit is more than all"
)]
fn fraction(values: &Struct) -> Option<u32> {
    let mut fraction = FractionalPercent::default();
    for (name, value) in &values.fields {
        match (name.as_str(), value.kind.as_ref()) {
            ("numerator", Some(Kind::NumberValue(number))) if *number < 0.0 => fraction.numerator = u32::MAX,
            ("numerator", Some(Kind::NumberValue(number))) => fraction.numerator = *number as u32,
            ("numerator", _) => {}
            ("denominator", Some(Kind::StringValue(name))) => {
                fraction.denominator = DenominatorType::from_str_name(name)?.into();
            }
            _ => return None,
        }
    }
    Some(per_million(fraction))
}

fn written(value: &Value) -> String {
    match &value.kind {
        Some(Kind::StringValue(text)) => text.clone(),
        Some(Kind::NumberValue(number)) if number.abs() >= 1e21 => format!("{number:e}"),
        Some(Kind::NumberValue(number)) => number.to_string(),
        Some(Kind::BoolValue(is)) => is.to_string(),
        Some(Kind::StructValue(values)) => {
            let mut fields: Vec<_> = values
                .fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", written(value)))
                .collect();
            fields.sort();
            format!("{{{}}}", fields.join(", "))
        }
        Some(Kind::ListValue(_) | Kind::NullValue(_)) | None => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::text::{Format, Unknown, parse};
    use crate::translate::bootstrap::bootstrap;

    /// A static layer of a bootstrap.
    pub(in crate::translate) fn layer(yaml: &str) -> Layer {
        let text = format!("layered_runtime: {{layers: [{{name: a, static_layer: {yaml}}}]}}");
        let message = "envoy.config.bootstrap.v3.Bootstrap";
        let parsed = parse(text.as_bytes(), Format::Yaml, message, Unknown::Refused).unwrap();
        bootstrap(&parsed.encode()).unwrap().runtime.remove(0)
    }

    fn percent(key: &str, numerator: u32) -> RuntimeFractionalPercent {
        RuntimeFractionalPercent {
            default_value: Some(FractionalPercent {
                numerator,
                ..FractionalPercent::default()
            }),
            runtime_key: key.to_owned(),
        }
    }

    #[test]
    fn what_a_layer_says_wins_over_the_default_where_it_is_a_share() {
        for (value, expected) in [
            ("0", Some(0)),
            ("100", Some(MILLION)),
            ("12345678901", Some(MILLION)),
            ("1.5", Some(10_000)),
            ("0.5", Some(0)),
            ("-1", None),
            ("1e21", None),
            ("true", None),
            ("hello", None),
            ("\"\"", None),
            ("\"0\"", Some(0)),
            ("{}", Some(0)),
            ("{numerator: 3}", Some(30_000)),
            ("{numerator: 3, denominator: TEN_THOUSAND}", Some(300)),
            ("{numerator: 3, denominator: 1}", None),
            ("{denominator: MILLION}", Some(0)),
            ("{numerator: x}", Some(0)),
            ("{numerator: -1}", Some(MILLION)),
            ("{numerator: 0, other: 4}", None),
            ("{other: 4}", None),
        ] {
            let runtime = Runtime::of(&[layer(&format!("{{k: {value}}}"))]);
            let found = runtime.per_million(Some(&percent("k", 70)), 5);
            assert_eq!(found, expected.unwrap_or(700_000), "{value}");
        }
        assert_eq!(Runtime::default().per_million(None, 5), 5);
    }

    #[test]
    fn a_later_layer_wins_and_structs_are_folders() {
        let layers = [layer("{a: 0, b: {c: {d: 5}}, e: 1}"), layer("{a: 100, e: true}")];
        let runtime = Runtime::of(&layers);
        let found = ["a", "b.c.d", "b", "e", ""].map(|key| runtime.per_million(Some(&percent(key, 70)), 0));
        assert_eq!(found, [MILLION, 50_000, 700_000, 700_000, 700_000]);
        let shown = shown(&layers);
        let check = |key: &str, layers: [&str; 2], held: &str| {
            let expected = Shown {
                layers: layers.map(str::to_owned).into(),
                held: held.to_owned(),
            };
            assert_eq!(shown[key], expected, "{key}");
        };
        check("a", ["0", "100"], "100");
        check("b.c.d", ["5", ""], "5");
        check("e", ["1", "true"], "true");
        assert_eq!(shown.len(), 3);
    }
}
