//! Which commands a header's value has, and whether Envoy would know them.

use super::Reject;

/// The commands of which the proxy's header values have every form that Envoy takes, or say what is wrong with one.
const SUPPORTED: [&str; 5] = [
    "REQ",
    "RESP",
    "PROTOCOL",
    "START_TIME",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
];

/// Commands of Envoy that are accepted and then not written.
const KNOWN: [&str; 46] = [
    "ACCESS_LOG_TYPE",
    "ATTEMPT_COUNT",
    "BYTES_RECEIVED",
    "BYTES_RETRANSMITTED",
    "BYTES_SENT",
    "CLUSTER_METADATA",
    "COALESCE",
    "COMMON_DURATION",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "CUSTOM_FLAGS",
    "DURATION",
    "DYNAMIC_METADATA",
    "EMIT_TIME",
    "EMIT_TIME_LOCAL",
    "ENVIRONMENT",
    "FILTER_CHAIN_NAME",
    "FILTER_STATE",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "LOCAL_REPLY_BODY",
    "METADATA",
    "PACKETS_RETRANSMITTED",
    "PATH",
    "PER_REQUEST_STATE",
    "QUERY_PARAM",
    "QUERY_PARAMS",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "ROUTE_NAME",
    "SPAN_ID",
    "START_TIME_LOCAL",
    "STREAM_ID",
    "TRACE_ID",
];
/// Commands that need no list: there is one for each fact.
const KNOWN_PREFIXES: [&str; 6] = [
    "DOWNSTREAM_",
    "UPSTREAM_",
    "TLS_",
    "TRAILER",
    "UNIQUE_ID",
    "VIRTUAL_",
];
const NEED_ARGUMENTS: [&str; 2] = ["REQ", "RESP"];

/// The first command of a value that Envoy knows and the proxy's header values do not.
///
/// # Errors
/// As Envoy, for a `%` that begins no command, and for a command that nobody knows.
pub(super) fn unsupported(value: &str) -> Result<Option<&str>, Reject> {
    let (mut rest, mut found) = (value, None);
    while let Some(at) = rest.find('%') {
        let after = rest.get(at + 1..).unwrap_or_default();
        if let Some(after) = after.strip_prefix('%') {
            rest = after;
            continue;
        }
        let place = value.len() - after.len() - 1;
        let Some((name, argument, after)) = command(after) else {
            let why =
                format!("Incorrect configuration: {value}. Couldn't find valid command at position {place}");
            return Err(Reject::Resource(why));
        };
        if !SUPPORTED.contains(&name) {
            let known = KNOWN.contains(&name) || KNOWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            if !known {
                let why = format!("Not supported field in StreamInfo: {name}");
                return Err(Reject::Resource(why));
            }
            found = found.or(Some(name));
        } else if NEED_ARGUMENTS.contains(&name) && argument.is_none() {
            return Err(Reject::Resource(format!("{name} requires parameters")));
        }
        rest = after;
    }
    Ok(found)
}

/// A command without its first `%`: its name, its argument, and what follows its last `%`.
fn command(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = text.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')?;
    let (name, rest) = text.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
    let (argument, rest) = match rest.strip_prefix('(') {
        Some(rest) => {
            let (argument, rest) = rest.split_once(')')?;
            (Some(argument), rest)
        }
        None => (None, rest),
    };
    let rest = match rest.strip_prefix(':') {
        Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    Some((name, argument, rest.strip_prefix('%')?))
}
