//! How are spans written for whoever reads standard output? With the keys of OpenTelemetry's exporter for Go.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::otlp::{self, Span};
use crate::observe::access_log::rfc3339;
use crate::observe::lines::Lines;

/// A line for each span, in one piece; says how many found no room.
pub(super) fn write(lines: &Lines, resource: &[(String, String)], spans: &[Span]) -> u64 {
    let resource: Vec<_> = resource.iter().map(|(key, value)| text(key, value)).collect();
    let before = lines.lost();
    for span in spans {
        lines.say(format!("{}\n", line(&resource, span)));
    }
    lines.lost() - before
}

fn line(resource: &[Value], span: &Span) -> Value {
    let context = |span_id: &[u8]| {
        let is_none = span_id.is_empty();
        json!({
            "TraceID": if is_none { "0".repeat(32) } else { hex(&span.trace_id) },
            "SpanID": if is_none { "0".repeat(16) } else { hex(span_id) },
            "TraceFlags": if is_none { "00" } else { "01" },
            "TraceState": "",
        })
    };
    let attributes = span.attributes.iter().map(|one| {
        let value = one.value.as_ref().and_then(|value| value.value.as_ref());
        match value {
            Some(otlp::Value::String(value)) => text(&one.key, value),
            Some(otlp::Value::Int(value)) => {
                json!({"Key": one.key, "Value": {"Type": "INT64", "Value": value}})
            }
            None => json!({"Key": one.key, "Value": null}),
        }
    });
    let has_failed = span.status.is_some();
    json!({
        "Name": span.name,
        "SpanContext": context(&span.span_id),
        "Parent": context(&span.parent_span_id),
        "SpanKind": span.kind,
        "StartTime": time(span.start_time_unix_nano),
        "EndTime": time(span.end_time_unix_nano),
        "Attributes": attributes.collect::<Vec<_>>(),
        "Status": {"Code": if has_failed { "Error" } else { "Unset" }, "Description": ""},
        "Resource": resource,
        "InstrumentationScope": {"Name": env!("CARGO_PKG_NAME"), "Version": env!("CARGO_PKG_VERSION"), "SchemaURL": ""},
    })
}

fn text(key: &str, value: &str) -> Value {
    json!({"Key": key, "Value": {"Type": "STRING", "Value": value}})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn time(nanos: u64) -> String {
    rfc3339(UNIX_EPOCH + Duration::from_nanos(nanos))
}
