//! Is every configuration either refused at a place in it, or a message that is written as JSON and read again as the same?
//!
//! Input: a byte that chooses the format, and the text of an `envoy.config.cluster.v3.Cluster`.

use std::sync::OnceLock;

use tidegate_xds::text::{Format, Schema, Secrets, Unknown};

const MESSAGE: &str = "envoy.config.cluster.v3.Cluster";

/// Runs one input.
///
/// # Panics
/// When a property is broken.
pub fn run(data: &[u8]) {
    // Loading it takes longer than everything else.
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| Schema::for_contents(&[MESSAGE], []));
    let Some((&first, text)) = data.split_first() else {
        return;
    };
    let format = match first % 4 {
        0 => Format::Yaml,
        1 => Format::Json,
        2 => Format::ProtoText,
        _ => Format::Binary,
    };
    let lines = text.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
    match schema.parse(text, format, MESSAGE, Unknown::Ignored) {
        Err(problem) => {
            assert!(!problem.message.is_empty(), "{problem:?}");
            assert!((1..=lines).contains(&(problem.at.line as usize)), "{problem:?}");
            assert!(problem.at.column >= 1, "{problem:?}");
        }
        Ok(parsed) => {
            let json = schema.to_json(MESSAGE, &parsed.encode(), Secrets::Shown);
            let json = json.expect("what was read is a message of its type");
            // A message may hold what JSON has no form for, such as a duration of ten million years.
            let again = schema.parse(json.pretty().as_bytes(), Format::Json, MESSAGE, Unknown::Refused);
            if let Ok(again) = again {
                let second = schema.to_json(MESSAGE, &again.encode(), Secrets::Shown);
                assert_eq!(second, Some(json), "read again it is the same");
            }
        }
    }
}
