//! What a route matches, by chance.

use fastrand::Rng;
use serde_json::{Value, json};

use super::world::{one, put, rarely};

pub(crate) fn matches(rng: &mut Rng) -> Value {
    let mut matches = match rng.usize(..12) {
        0 => json!({"prefix": "/a"}),
        1 => json!({"prefix": "/a/"}),
        2 => json!({"path": "/a/b"}),
        3 => json!({"path_separated_prefix": "/a"}),
        4 => json!({"safe_regex": {"regex": "/a(/.*)?|/b"}}),
        5 => json!({"prefix": "/a", "case_sensitive": false}),
        6 => json!({"path": "/A/B", "case_sensitive": false}),
        7 => json!({"safe_regex": {"regex": r"/a/\d+"}}),
        8 => json!({"path_separated_prefix": "/A/b", "case_sensitive": false}),
        _ => json!({"prefix": "/"}),
    };
    let headers: Vec<_> = (0..rng.usize(..5) / 3).map(|_| header(rng)).collect();
    if !headers.is_empty() {
        put(&mut matches, "headers", json!(headers));
    }
    if rarely(rng, 6) {
        put(&mut matches, "query_parameters", json!([query(rng)]));
    }
    if rarely(rng, 20) {
        put(&mut matches, "grpc", json!({}));
    }
    if rarely(rng, 12) {
        let share = json!({"default_value": {"numerator": one(rng, &[0, 100]), "denominator": "HUNDRED"}});
        put(&mut matches, "runtime_fraction", share);
    }
    matches
}

fn header(rng: &mut Rng) -> Value {
    let name = one(
        rng,
        &[
            "x-h",
            "x-h",
            "x-h",
            "X-H",
            ":path",
            ":authority",
            ":method",
            ":scheme",
            "host",
            "cookie",
            "x-b",
        ],
    );
    let mut header = match rng.usize(..6) {
        0 => json!({}),
        1 => json!({"present_match": rng.bool()}),
        2 => json!({"range_match": {"start": one(rng, &[-5, 1]), "end": one(rng, &[7, 12])}}),
        _ => json!({"string_match": text(rng)}),
    };
    put(&mut header, "name", json!(name));
    if rarely(rng, 4) {
        put(&mut header, "invert_match", json!(true));
    }
    if rarely(rng, 4) {
        put(&mut header, "treat_missing_header_as_empty", json!(true));
    }
    header
}

fn query(rng: &mut Rng) -> Value {
    let mut query = match rng.usize(..4) {
        0 => json!({"present_match": rng.bool()}),
        1 => json!({}),
        _ => json!({"string_match": text(rng)}),
    };
    put(&mut query, "name", json!(one(rng, &["q", "q", "r", "Q"])));
    query
}

fn text(rng: &mut Rng) -> Value {
    let mut text = match rng.usize(..5) {
        0 => json!({"exact": one(rng, &["1", "ABC", "/a/b", "GET", "a.example", ""])}),
        1 => json!({"prefix": one(rng, &["1", "/a", "aB", "P"])}),
        2 => json!({"suffix": one(rng, &["2", "b", "C", "example"])}),
        3 => json!({"contains": one(rng, &["b", "A", ",", "ex"])}),
        _ => return json!({"safe_regex": {"regex": one(rng, &["[a-z/]*", "[0-9]+", ".*", "(?i)abc", "a?"])}}),
    };
    if rarely(rng, 3) {
        put(&mut text, "ignore_case", json!(true));
    }
    text
}
