//! What is written reads as what it was.

use proptest::prelude::*;

use super::*;

/// JSON of a cluster as the writer writes it.
fn clusters() -> impl Strategy<Value = String> {
    let text = "[a-z\u{e9}\"\\\\\n<:#{}' -]{1,8}";
    let nanos = prop_oneof![
        Just(0),
        (1..1000u32).prop_map(|n| n * 1_000_000),
        1..1_000_000_000u32
    ];
    let structure = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i32>().prop_map(|value| value.to_string()),
        text.prop_map(|text| quoted(&text)),
    ]
    .prop_recursive(3, 12, 3, |inner| {
        let list =
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(",")));
        let map = prop::collection::btree_map("[a-z]{1,3}", inner, 0..3).prop_map(|fields| {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{}:{value}", quoted(name)))
                .collect();
            format!("{{{}}}", fields.join(","))
        });
        prop_oneof![list, map]
    });
    (text, 0..100_000u64, nanos, 1..u32::MAX, structure).prop_map(|(name, seconds, nanos, limit, value)| {
        let fraction = match nanos {
            0 => String::new(),
            nanos if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
            nanos if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
            nanos => format!(".{nanos:09}"),
        };
        format!(
            r#"{{"name":{},"connect_timeout":"{seconds}{fraction}s","per_connection_buffer_limit_bytes":{limit},"lb_policy":"RANDOM","metadata":{{"filter_metadata":{{"m":{{"v":{value}}}}}}}}}"#,
            quoted(&name)
        )
    })
}

fn quoted(text: &str) -> String {
    Json::Text(text.to_owned()).compact()
}

#[test]
fn json_comes_back_as_it_was() {
    let schema = Schema::for_contents(&[CLUSTER], []);
    let read = |json: &str, format| {
        let parsed = schema
            .parse(json.as_bytes(), format, CLUSTER, Unknown::Refused)
            .unwrap();
        schema.to_json(CLUSTER, &parsed.encode(), Secrets::Shown).unwrap()
    };
    proptest!(|(json in clusters())| {
        for format in [Format::Json, Format::Yaml] {
            let found = read(&json, format);
            prop_assert_eq!(&found.compact(), &json);
            prop_assert_eq!(&read(&found.pretty(), format), &found);
        }
    });
}

#[test]
fn no_text_breaks_the_readers() {
    let schema = Schema::for_contents(&[CLUSTER], []);
    proptest!(|(text in "[ \n\t:,{}\\[\\]\"'a-z0-9&*!|>@.-]{0,60}")| {
        for format in [Format::Json, Format::Yaml, Format::ProtoText] {
            if let Ok(parsed) = schema.parse(text.as_bytes(), format, CLUSTER, Unknown::Ignored) {
                prop_assert!(schema.to_json(CLUSTER, &parsed.encode(), Secrets::Shown).is_some());
            }
        }
    });
}
