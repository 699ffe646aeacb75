//! `/runtime` and `/runtime_modify`: what the layers of the bootstrap say; there is nothing here to change.

use http::StatusCode;

use super::Admin;
use super::answer::Answer;
use super::json::{map, text};
use super::parameters::Parameters;
use crate::stats::Memory;
use tidegate_xds::text::Json;
use tidegate_xds::translate::bootstrap::bootstrap;
use tidegate_xds::translate::runtime::shown;

/// Every key with what each layer says for it. Read from the bootstrap anew: nobody asks often.
pub(super) fn values(admin: &Admin) -> Answer {
    let read = bootstrap(&admin.settings().bootstrap.message);
    let layers = read.map(|bootstrap| bootstrap.runtime).unwrap_or_default();
    let entries = shown(&layers).into_iter().map(|(key, shown)| {
        let said = shown.layers.into_iter().map(Json::Text).collect();
        let entry = map([
            ("layer_values", Some(Json::List(said))),
            ("final_value", Some(Json::Text(shown.held))),
        ]);
        (key.into(), entry)
    });
    let values = map([
        ("entries", Some(Json::Map(entries.collect()))),
        (
            "layers",
            Some(Json::List(layers.iter().map(|layer| text(&layer.name)).collect())),
        ),
    ]);
    Answer::json(values.pretty() + "\n")
}

pub(super) fn modify(parameters: &Parameters) -> Answer {
    if parameters.len() == 0 {
        return Answer::text(
            StatusCode::BAD_REQUEST,
            "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n       or send the parameters as form values\n\
             use an empty value to remove a previously added override",
        );
    }
    Answer::text(StatusCode::SERVICE_UNAVAILABLE, "No admin layer specified")
}

/// What the process holds, in Envoy's fields; its allocator does not say what is cached.
pub(super) fn memory() -> Answer {
    let memory = Memory::now();
    let bytes = |bytes: u64| Some(Json::Text(bytes.to_string()));
    let memory = map([
        ("allocated", bytes(memory.resident)),
        ("heap_size", bytes(memory.data)),
        ("pageheap_unmapped", bytes(0)),
        ("pageheap_free", bytes(0)),
        ("total_thread_cache", bytes(0)),
        ("total_physical_bytes", bytes(memory.resident)),
    ]);
    Answer::json(memory.pretty() + "\n")
}
