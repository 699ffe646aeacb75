//! Which fields of two messages differ?

use std::collections::HashMap;

use tidegate_xds::text::Json;

use crate::limits::VALUE_SHOWN_MAX;

/// One line for each field that differs: its path, what it was, what it is.
pub(super) fn changes(before: &Json, after: &Json) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", before, after, &mut lines);
    lines
}

/// The names of the items of a list that were added, removed and changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Items {
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    pub(super) changed: Vec<String>,
}

/// Compares the items of two lists by what names them.
pub(super) fn items(before: &[Json], after: &[Json]) -> Items {
    let (old, new) = (keyed(before), keyed(after));
    let known: HashMap<&str, &Json> = old.iter().map(|(key, item)| (key.as_str(), *item)).collect();
    let mut items = Items::default();
    for (key, item) in &new {
        match known.get(key.as_str()) {
            None => items.added.push(key.clone()),
            Some(was) if was != item => items.changed.push(key.clone()),
            Some(_) => {}
        }
    }
    let left = |key: &String| new.iter().any(|(other, _)| other == key);
    let gone = old.iter().map(|(key, _)| key).filter(|key| !left(key));
    items.removed = gone.cloned().collect();
    items
}

fn compare(path: &str, before: &Json, after: &Json, lines: &mut Vec<String>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Json::Map(old), Json::Map(new)) => {
            for (name, was) in old {
                let path = joined(path, name);
                match after.get(name) {
                    Some(is) => compare(&path, was, is, lines),
                    None => lines.push(format!("{path}: no longer {}", shown(was))),
                }
            }
            for (name, is) in new.iter().filter(|(name, _)| before.get(name).is_none()) {
                lines.push(format!("{}: now {}", joined(path, name), shown(is)));
            }
        }
        (Json::List(old), Json::List(new)) => compare_lists(path, old, new, lines),
        _ => lines.push(format!("{path}: {} -> {}", shown(before), shown(after))),
    }
}

fn compare_lists(path: &str, before: &[Json], after: &[Json], lines: &mut Vec<String>) {
    let (old, new) = (keyed(before), keyed(after));
    let found = |list: &[(String, &Json)], key: &str| list.iter().any(|(other, _)| other == key);
    let is: HashMap<&str, &Json> = new.iter().map(|(key, item)| (key.as_str(), *item)).collect();
    for (key, was) in &old {
        match is.get(key.as_str()) {
            Some(is) => compare(&format!("{path}[{key}]"), was, is, lines),
            None => lines.push(format!("{path}[{key}]: removed")),
        }
    }
    for (key, item) in new.iter().filter(|(key, _)| !found(&old, key)) {
        lines.push(format!("{path}[{key}]: added {}", shown(item)));
    }
    let old_order = old.iter().map(|(key, _)| key).filter(|key| found(&new, key));
    let new_order = new.iter().map(|(key, _)| key).filter(|key| found(&old, key));
    // Some control planes write names in another order each time, and it means nothing.
    if !old_order.eq(new_order) && !path.ends_with("server_names") && !path.ends_with("domains") {
        lines.push(format!("{path}: in another order"));
    }
}

/// The items with what tells each from the others: its name, what it matches, its address; else its place.
fn keyed(items: &[Json]) -> Vec<(String, &Json)> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let keyed = items.iter().enumerate().map(|(index, item)| {
        let key = key(item).unwrap_or_else(|| index.to_string());
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        match *count {
            1 => (key, item),
            again => (format!("{key} #{again}"), item),
        }
    });
    keyed.collect()
}

fn key(item: &Json) -> Option<String> {
    let text = |json: &Json| match json {
        Json::Text(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    };
    if let Some(scalar) = text(item) {
        return Some(scalar);
    }
    let named = item.get("name").or_else(|| item.get("key")).and_then(text);
    let header = || item.get("header")?.get("key").and_then(text);
    let address = || {
        item.get("endpoint")
            .and_then(|it| it.get("address"))
            .and_then(address)
    };
    let others = ["match", "filter_chain_match", "locality"];
    let other = || others.iter().find_map(|field| item.get(field)).map(shown);
    named.or_else(header).or_else(address).or_else(other)
}

/// `host:port` of an address.
pub(super) fn address(address: &Json) -> Option<String> {
    let socket = address.get("socket_address");
    let Some(socket) = socket else {
        return Some(shown(address));
    };
    let Some(Json::Text(host)) = socket.get("address") else {
        return None;
    };
    let port = match socket.get("port_value") {
        Some(Json::Number(port)) => port.to_string(),
        _ => "0".to_owned(),
    };
    Some(format!("{host}:{port}"))
}

fn joined(path: &str, field: &str) -> String {
    match path {
        "" => field.to_owned(),
        path => format!("{path}.{field}"),
    }
}

fn shown(value: &Json) -> String {
    let text = value.compact();
    if text.chars().count() <= VALUE_SHOWN_MAX {
        return text;
    }
    let cut: String = text.chars().take(VALUE_SHOWN_MAX).collect();
    format!("{cut}...")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        fn of(value: serde_json::Value) -> Json {
            match value {
                serde_json::Value::Null => Json::Null,
                serde_json::Value::Bool(value) => Json::Bool(value),
                serde_json::Value::Number(number) => Json::Number(number.to_string().into()),
                serde_json::Value::String(text) => Json::Text(text),
                serde_json::Value::Array(items) => Json::List(items.into_iter().map(of).collect()),
                serde_json::Value::Object(fields) => Json::Map(
                    fields
                        .into_iter()
                        .map(|(name, value)| (name.into(), of(value)))
                        .collect(),
                ),
            }
        }
        of(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn fields_are_told_by_their_path() {
        let check = |before: &str, after: &str, expected: &[&str]| {
            assert_eq!(changes(&json(before), &json(after)), expected, "{before} {after}");
        };
        check(r#"{"a": 1}"#, r#"{"a": 1}"#, &[]);
        check(r#"{"a": {"b": 1}}"#, r#"{"a": {"b": 2}}"#, &["a.b: 1 -> 2"]);
        check(
            r#"{"a": 1}"#,
            r#"{"b": "x"}"#,
            &["a: no longer 1", "b: now \"x\""],
        );
        check(
            r#"{"l": [{"name": "x", "v": 1}, {"name": "y"}]}"#,
            r#"{"l": [{"name": "z"}, {"name": "x", "v": 2}]}"#,
            &["l[x].v: 1 -> 2", "l[y]: removed", "l[z]: added {\"name\":\"z\"}"],
        );
        check(
            r#"{"l": [{"name": "x"}, {"name": "y"}]}"#,
            r#"{"l": [{"name": "y"}, {"name": "x"}]}"#,
            &["l: in another order"],
        );
        check(
            r#"{"server_names": ["x", "y"]}"#,
            r#"{"server_names": ["y", "x"]}"#,
            &[],
        );
        check(
            r#"{"l": [{"endpoint": {"address": {"socket_address": {"address": "1.2.3.4", "port_value": 5}}}}]}"#,
            r#"{"l": []}"#,
            &["l[1.2.3.4:5]: removed"],
        );
    }

    #[test]
    fn items_of_one_name_are_told_apart_by_their_number() {
        let (before, after) = (json(r#"[["x"], "x", "x"]"#), json(r#"[["x"], "x"]"#));
        let (Json::List(before), Json::List(after)) = (&before, &after) else {
            unreachable!()
        };
        let expected = Items {
            removed: vec!["x #2".to_owned()],
            ..Items::default()
        };
        assert_eq!(items(before, after), expected);
    }
}
