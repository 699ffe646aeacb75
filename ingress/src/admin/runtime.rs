//! `/runtime` and `/runtime_modify`: there are no runtime values here to look at or to change.

use http::StatusCode;

use super::answer::Answer;
use super::json::map;
use super::parameters::Parameters;
use crate::stats::Memory;
use tidegate_xds::text::Json;

pub(super) fn values() -> Answer {
    let empty = map([
        ("entries", Some(Json::Map(Vec::new()))),
        ("layers", Some(Json::List(Vec::new()))),
    ]);
    Answer::json(empty.pretty() + "\n")
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
