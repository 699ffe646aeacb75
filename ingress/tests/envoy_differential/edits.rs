//! Changes of fields by chance, which say who made them.

use fastrand::Rng;
use serde_json::{Value, json};

use super::world::{one, put, rarely};

const NAMES: [&str; 8] = [
    "x-a",
    "x-b",
    "x-h",
    "X-New",
    "user-agent",
    "content-type",
    "x-forwarded-host",
    "x-to",
];

const ACTIONS: [&str; 4] = [
    "APPEND_IF_EXISTS_OR_ADD",
    "ADD_IF_ABSENT",
    "OVERWRITE_IF_EXISTS_OR_ADD",
    "OVERWRITE_IF_EXISTS",
];

/// Values that are the same at both. Other commands of Envoy are taken and not written, which is settled.
const FORMATS: [&str; 9] = [
    "%REQ(x-h)%",
    "%REQ(:method)% %REQ(x-none?x-h)% 5%%",
    "%REQ(:path):3%",
    "%REQ(:authority)%",
    "%REQ(:PATH)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "%PROTOCOL%",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "%REQ(x-none)%",
    "%RESP(x-up)%",
];

/// Adds some to a message that has the four lists.
pub(crate) fn add(rng: &mut Rng, message: &mut Value, who: &str) {
    for (added, removed) in [
        ("request_headers_to_add", "request_headers_to_remove"),
        ("response_headers_to_add", "response_headers_to_remove"),
    ] {
        let edits: Vec<_> = (0..rng.usize(..6) / 3).map(|_| edit(rng, who)).collect();
        if !edits.is_empty() {
            put(message, added, json!(edits));
        }
        if rarely(rng, 8) {
            put(
                message,
                removed,
                json!([one(rng, &["x-h", "x-a", "X-Up", "cookie"])]),
            );
        }
    }
}

fn edit(rng: &mut Rng, who: &str) -> Value {
    let value = match rng.usize(..6) {
        0 | 1 => format!("{who} {}", one(rng, &FORMATS)),
        2 => one(rng, &FORMATS).to_owned(),
        3 => String::new(),
        _ => who.to_owned(),
    };
    // What becomes the host has to be one.
    let name = one(rng, &NAMES);
    let overwrites = ["OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS"];
    let (value, action) = match name {
        "x-to" => ("edited.example".to_owned(), one(rng, &overwrites)),
        _ => (value, one(rng, &ACTIONS)),
    };
    let mut edit = json!({"header": {"key": name, "value": value}, "append_action": action});
    if rarely(rng, 4) {
        put(&mut edit, "keep_empty_value", json!(true));
    }
    edit
}
