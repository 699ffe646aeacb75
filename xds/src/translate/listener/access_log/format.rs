//! How lines look: text or JSON with commands in it, and what Envoy says about commands that are none.

use envoy_types::pb::envoy::config::core::v3::SubstitutionFormatString;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format as Kind;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::file_access_log::AccessLogFormat;
use envoy_types::pb::google::protobuf::{Struct, Value, value};
use serde_json::Value as Json;
use tidegate_proxy::observe::access_log::{DEFAULT_FORMAT, Format, FormatError};

use crate::translate::Reject;
use crate::translate::any::unsupported_field;
use crate::translate::notes::Notes;

/// The format of a log in a file, in each of the ways to say it.
pub(super) fn of_file(format: Option<&AccessLogFormat>, notes: &mut Notes) -> Result<Format, Reject> {
    #[expect(deprecated, reason = "it is what older control planes send")]
    match format {
        None => text(DEFAULT_FORMAT, notes),
        Some(AccessLogFormat::Format(format)) if format.is_empty() => text(DEFAULT_FORMAT, notes),
        Some(AccessLogFormat::Format(format)) => text(format, notes),
        Some(AccessLogFormat::JsonFormat(shape) | AccessLogFormat::TypedJsonFormat(shape)) => {
            json(shape, notes)
        }
        Some(AccessLogFormat::LogFormat(format)) => of_string(Some(format), notes),
    }
}

/// The format that a `SubstitutionFormatString` is, or the default one.
pub(super) fn of_string(
    format: Option<&SubstitutionFormatString>,
    notes: &mut Notes,
) -> Result<Format, Reject> {
    let Some(format) = format else {
        return text(DEFAULT_FORMAT, notes);
    };
    #[expect(deprecated, reason = "it is what older control planes send")]
    let read = match &format.format {
        None => text(DEFAULT_FORMAT, notes)?,
        Some(Kind::TextFormat(format)) => text(format, notes)?,
        Some(Kind::JsonFormat(shape)) => json(shape, notes)?,
        Some(Kind::TextFormatSource(source)) => match &source.specifier {
            Some(Specifier::InlineString(format)) => text(format, notes)?,
            Some(Specifier::InlineBytes(format)) => text(&String::from_utf8_lossy(format), notes)?,
            _ => return Err(unsupported_field("log_format", "text_format_source.filename")),
        },
    };
    Ok(if format.omit_empty_values {
        read.omit_empty()
    } else {
        read
    })
}

fn text(format: &str, notes: &mut Notes) -> Result<Format, Reject> {
    let mut format = format.to_owned();
    loop {
        match Format::text(&format) {
            Ok(read) => return Ok(read),
            Err(error) => format = without(&format, &format.clone(), &error, notes)?,
        }
    }
}

fn json(shape: &Struct, notes: &mut Notes) -> Result<Format, Reject> {
    let mut shape = object(shape, 0)?;
    clean(&mut shape, notes)?;
    Format::json(&shape).map_err(|error| Reject::Resource(error.to_string()))
}

/// Leaves in a shape only commands that are known here.
fn clean(shape: &mut Json, notes: &mut Notes) -> Result<(), Reject> {
    match shape {
        Json::String(format) => {
            while let Err(error) = Format::text(format) {
                *format = without(format, format, &error, notes)?;
            }
            Ok(())
        }
        Json::Array(items) => items.iter_mut().try_for_each(|item| clean(item, notes)),
        Json::Object(members) => members.values_mut().try_for_each(|member| clean(member, notes)),
        Json::Null | Json::Bool(_) | Json::Number(_) => Ok(()),
    }
}

/// A format without the command that an error is about, where Envoy knows that: its value is never known here.
fn without(format: &str, shown: &str, error: &FormatError, notes: &mut Notes) -> Result<String, Reject> {
    let malformed = || {
        let at = error.position;
        Reject::Resource(format!(
            "Incorrect configuration: {shown}. Couldn't find valid command at position {at}"
        ))
    };
    let (before, rest) = format.split_at_checked(error.position).ok_or_else(malformed)?;
    let rest = rest.strip_prefix('%').ok_or_else(malformed)?;
    let name: String = rest
        .chars()
        .take_while(|c| c.is_ascii_uppercase() || *c == '_' || c.is_ascii_digit())
        .collect();
    let mut after = rest.get(name.len()..).ok_or_else(malformed)?;
    if after.starts_with('(') {
        let end = after.find(')').ok_or_else(malformed)?;
        after = after.get(end + 1..).unwrap_or_default();
    }
    let end = after.find('%').ok_or_else(malformed)?;
    let after = after.get(end + 1..).unwrap_or_default();
    if name.is_empty() {
        return Err(malformed());
    }
    if !WITHOUT_VALUE.contains(&name.as_str()) {
        return Err(Reject::Resource(format!(
            "Not supported field in StreamInfo: {name}"
        )));
    }
    notes.add("", format!("%{name}% is always unknown"));
    Ok(format!("{before}-{after}"))
}

/// Envoy's other commands.
const WITHOUT_VALUE: [&str; 62] = [
    "ACCESS_LOG_TYPE",
    "BYTES_RETRANSMITTED",
    "CEL",
    "CLUSTER_METADATA",
    "COMMON_DURATION",
    "CONNECTION_TERMINATION_DETAILS",
    "COOKIE",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DYNAMIC_METADATA",
    "EMIT_TIME",
    "FILTER_CHAIN_NAME",
    "FILTER_STATE",
    "GRPC_STATUS_STRING",
    "LOCAL_REPLY_BODY",
    "METADATA",
    "PACKETS_RETRANSMITTED",
    "PATH",
    "PEER_SUBJECT",
    "QUERY_PARAM",
    "QUERY_PARAMS",
    "REQUEST_HEADER",
    "REQ_WITHOUT_QUERY",
    "RESPONSE_TRAILERS_BYTES",
    "ROUNDTRIP_DURATION",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "UNIQUE_ID",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_FILTER_STATE",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_METADATA",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_PROTOCOL",
];

/// How deep an object may be; deeper ones refuse the resource.
const DEPTH_MAX: usize = 32;

fn object(shape: &Struct, depth: usize) -> Result<Json, Reject> {
    let members = shape
        .fields
        .iter()
        .map(|(name, value)| Ok((name.clone(), json_of(value, depth + 1)?)));
    members
        .collect::<Result<serde_json::Map<_, _>, Reject>>()
        .map(Json::Object)
}

fn json_of(of: &Value, depth: usize) -> Result<Json, Reject> {
    if depth > DEPTH_MAX {
        return Err(Reject::Resource("json_format is nested too deeply".to_owned()));
    }
    Ok(match &of.kind {
        None | Some(value::Kind::NullValue(_)) => Json::Null,
        Some(value::Kind::NumberValue(number)) => (*number).into(),
        Some(value::Kind::StringValue(text)) => text.as_str().into(),
        Some(value::Kind::BoolValue(value)) => (*value).into(),
        Some(value::Kind::StructValue(members)) => object(members, depth)?,
        Some(value::Kind::ListValue(items)) => {
            let items = items.values.iter().map(|item| json_of(item, depth + 1));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
    })
}
