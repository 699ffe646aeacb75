//! Which resources does `/config_dump` show?

use serde_json::{Map, Value};
use tidegate_xds::resource::Kind;
use tidegate_xds::text::{Format, Schema, Unknown};

use super::{Resource, Resources, file, message_name};
use crate::limits::DUMP_BYTES_MAX;

/// Where resources stand: the list, the object in its elements that has them, and the field there.
struct Shelf {
    kind: Kind,
    list: &'static str,
    state: &'static str,
    field: &'static str,
}

const fn shelf(kind: Kind, list: &'static str, state: &'static str, field: &'static str) -> Shelf {
    Shelf {
        kind,
        list,
        state,
        field,
    }
}

/// What is in force. Static route configurations are left out: they stand in their listeners, too.
const IN_FORCE: [Shelf; 8] = [
    shelf(Kind::Cluster, "static_clusters", "", "cluster"),
    shelf(Kind::Cluster, "dynamic_active_clusters", "", "cluster"),
    shelf(Kind::Listener, "static_listeners", "", "listener"),
    shelf(Kind::Listener, "dynamic_listeners", "active_state", "listener"),
    shelf(Kind::Routes, "dynamic_route_configs", "", "route_config"),
    shelf(Kind::Endpoints, "dynamic_endpoint_configs", "", "endpoint_config"),
    shelf(Kind::Secret, "static_secrets", "", "secret"),
    shelf(Kind::Secret, "dynamic_active_secrets", "", "secret"),
];
const KNOWN: Shelf = shelf(Kind::Endpoints, "static_endpoint_configs", "", "endpoint_config");
const WARMING: [Shelf; 2] = [
    shelf(Kind::Cluster, "dynamic_warming_clusters", "", "cluster"),
    shelf(Kind::Listener, "dynamic_listeners", "warming_state", "listener"),
];

pub(super) fn read(name: &str, text: &[u8]) -> Result<Resources, String> {
    if text.len() > DUMP_BYTES_MAX {
        return Err(format!("it is longer than {} MiB", DUMP_BYTES_MAX >> 20));
    }
    let dump: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let configs = dump.get("configs").and_then(Value::as_array);
    let configs = configs.ok_or("it has no 'configs': it is no configuration dump")?;
    let reader = Reader {
        schema: Schema::for_contents(&Kind::ALL.map(message_name), [text]),
    };
    let mut found = Resources {
        name: name.to_owned(),
        redacted: true,
        ..Resources::default()
    };
    for config in configs {
        for shelf in &IN_FORCE {
            reader.take(config, shelf, &mut found.list)?;
        }
        reader.take(config, &KNOWN, &mut found.known)?;
        remark(config, &mut found.remarks);
    }
    Ok(found)
}

struct Reader {
    schema: Schema,
}

impl Reader {
    fn take(&self, config: &Value, shelf: &Shelf, into: &mut Vec<Resource>) -> Result<(), String> {
        for (index, mut body) in on(config, shelf) {
            if shelf.kind == Kind::Endpoints {
                without_no_weights(&mut body);
            }
            let place = format!("{}[{index}]", shelf.list);
            let name = message_name(shelf.kind);
            let text = serde_json::to_vec(&Value::Object(body)).map_err(|error| error.to_string())?;
            let parsed = self
                .schema
                .parse(&text, Format::Json, name, Unknown::Ignored)
                .map_err(|problem| format!("{place}: {}: {}", problem.path, problem.message))?;
            into.push(Resource {
                kind: shelf.kind,
                raw: file::raw(&parsed.encode()),
                place,
            });
        }
        Ok(())
    }
}

/// Localities without a weight are shown with one of 0, which no resource may have.
fn without_no_weights(assignment: &mut Map<String, Value>) {
    let localities = assignment.get_mut("endpoints").and_then(Value::as_array_mut);
    for locality in localities.into_iter().flatten().filter_map(Value::as_object_mut) {
        if locality.get(WEIGHT).and_then(Value::as_u64) == Some(0) {
            locality.remove(WEIGHT);
        }
    }
}

const WEIGHT: &str = "load_balancing_weight";

/// The resources on a shelf, each with the place of its element.
fn on<'a>(config: &'a Value, shelf: &'a Shelf) -> impl Iterator<Item = (usize, Map<String, Value>)> + 'a {
    let list = config.get(shelf.list).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, element)| {
            let state = match shelf.state {
                "" => element,
                state => element.get(state)?,
            };
            let mut body = state.get(shelf.field)?.as_object()?.clone();
            body.remove("@type");
            Some((index, body))
        })
}

/// What was refused, and what is not in force yet.
fn remark(config: &Value, remarks: &mut Vec<String>) {
    let Some(fields) = config.as_object() else { return };
    for element in fields.values().filter_map(Value::as_array).flatten() {
        if let Some(details) = element.pointer("/error_state/details").and_then(Value::as_str) {
            remarks.push(format!("an update was refused, what was before stays: {details}"));
        }
    }
    for shelf in &WARMING {
        for (_, body) in on(config, shelf) {
            let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
            remarks.push(format!(
                "{} '{name}' has a version that still warms and is not looked at",
                shelf.field
            ));
        }
    }
}
