//! What does each operator of a format mean? The names and meanings are Envoy's.

use std::borrow::Cow;
use std::env;
use std::net::SocketAddr;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName};
use http::{Uri, Version};
use rustls::ProtocolVersion;

use super::Fields;
use super::time::{self, TimeFormat};
use crate::cluster::Address;
use crate::connection::TlsFacts;
use crate::observe::access_log::operators::grpc::GrpcStyle;
use crate::observe::record::Entry;
use crate::route::HostName;

mod grpc;

/// One operator with its argument.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    StartTime(TimeFormat),
    RequestField(Name, Option<Name>),
    ResponseField(HeaderName, Option<HeaderName>),
    Trailer(HeaderName, Option<HeaderName>),
    GrpcStatus(GrpcStyle),
    /// What is the same for every request: the host's name, the environment.
    Fixed(Option<Box<str>>),
    Plain(fn(&Entry<'_>) -> Value<'static>),
    Shared(for<'a> fn(&Entry<'a>) -> Value<'a>),
}

/// A field of the request, or a part of its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Method,
    Path,
    Authority,
    Scheme,
    Field(HeaderName),
}

/// What an operator says about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Unknown,
    Number(u64),
    Text(Cow<'a, [u8]>),
}

impl Operator {
    pub(super) fn parse(name: &str, argument: Option<&str>) -> Result<Self, String> {
        let argument = argument.filter(|argument| !argument.is_empty());
        let needed = || argument.ok_or_else(|| format!("{name} needs an argument in parentheses"));
        let wrong = |problem: String| format!("{name}: {problem}");
        Ok(match name {
            "START_TIME" => {
                let format = argument.unwrap_or(time::DEFAULT);
                let unknown = |at| wrong(format!("nothing is known that begins at byte {at} of '{format}'"));
                Self::StartTime(TimeFormat::parse(format).map_err(unknown)?)
            }
            "REQ" => {
                let (first, second) = either(needed()?, Name::parse).map_err(wrong)?;
                Self::RequestField(first, second)
            }
            "RESP" => {
                let (first, second) = either(needed()?, field).map_err(wrong)?;
                Self::ResponseField(first, second)
            }
            "TRAILER" => {
                let (first, second) = either(needed()?, field).map_err(wrong)?;
                Self::Trailer(first, second)
            }
            "GRPC_STATUS" => Self::GrpcStatus(GrpcStyle::parse(argument).map_err(wrong)?),
            "GRPC_STATUS_NUMBER" => Self::GrpcStatus(GrpcStyle::Number),
            "HOSTNAME" => Self::Fixed(host_name()),
            "ENVIRONMENT" => Self::Fixed(env::var(needed()?).ok().map(Into::into)),
            _ if argument.is_some() => return Err(wrong("it takes no argument, or is not known".to_owned())),
            _ => plain(name).ok_or_else(|| format!("there is no operator {name}"))?,
        })
    }

    pub(super) fn value<'a>(&'a self, entry: &Entry<'a>) -> Value<'a> {
        let progress = entry.progress;
        match self {
            Self::StartTime(format) => {
                let mut text = Vec::new();
                format.write(entry.record.started_at, &mut text);
                Value::Text(text.into())
            }
            Self::RequestField(first, second) => match request_field(entry, first) {
                Value::Unknown => second
                    .as_ref()
                    .map_or(Value::Unknown, |second| request_field(entry, second)),
                known => known,
            },
            Self::ResponseField(first, second) => header(&progress.response_fields, first, second.as_ref()),
            Self::Trailer(first, second) => header(&progress.trailers, first, second.as_ref()),
            Self::GrpcStatus(style) => style.value(entry),
            Self::Fixed(text) => text.as_deref().map_or(Value::Unknown, shared),
            Self::Plain(value) => value(entry),
            Self::Shared(value) => value(entry),
        }
    }

    /// Says which fields have to be kept for this operator.
    pub(super) fn fields(&self, fields: &mut Fields) {
        match self {
            Self::RequestField(first, second) => {
                for name in [Some(first), second.as_ref()].into_iter().flatten() {
                    if let Name::Field(name) = name {
                        fields.request.push(name.clone());
                    }
                }
            }
            Self::ResponseField(first, second) => {
                fields
                    .response
                    .extend([Some(first), second.as_ref()].into_iter().flatten().cloned());
            }
            Self::Trailer(first, second) => {
                fields
                    .trailers
                    .extend([Some(first), second.as_ref()].into_iter().flatten().cloned());
            }
            Self::GrpcStatus(_) => {
                fields.response.push(grpc::STATUS);
                fields.trailers.push(grpc::STATUS);
            }
            Self::StartTime(_) | Self::Fixed(_) | Self::Plain(_) | Self::Shared(_) => {}
        }
    }
}

/// The operators without an argument.
fn plain(name: &str) -> Option<Operator> {
    Some(match name {
        "PROTOCOL" => Operator::Plain(|entry| {
            entry
                .record
                .version
                .map_or(Value::Unknown, |version| shared(protocol(version)))
        }),
        "RESPONSE_CODE" => {
            Operator::Plain(|entry| number(entry.status().map_or(0, |status| u64::from(status.as_u16()))))
        }
        "RESPONSE_CODE_DETAILS" => Operator::Plain(|entry| match entry.record.version {
            Some(_) => owned(entry.code_details()),
            None => Value::Unknown,
        }),
        "RESPONSE_FLAGS" => Operator::Plain(|entry| entry.flag().map_or(Value::Unknown, shared)),
        "RESPONSE_FLAGS_LONG" => Operator::Plain(|entry| entry.flag().map_or(Value::Unknown, long_flags)),
        "BYTES_RECEIVED" => Operator::Plain(|entry| number(entry.progress.received)),
        "BYTES_SENT" => Operator::Plain(|entry| number(entry.sent)),
        "REQUEST_HEADERS_BYTES" => Operator::Plain(|entry| number(entry.progress.request_head_bytes)),
        "RESPONSE_HEADERS_BYTES" => Operator::Plain(|entry| number(entry.progress.response_head_bytes)),
        "DURATION" => Operator::Plain(|entry| millis(Some(entry.duration))),
        "REQUEST_DURATION" => Operator::Plain(|entry| millis(entry.progress.request_end)),
        "REQUEST_TX_DURATION" => {
            Operator::Plain(|entry| millis(entry.progress.request_end.filter(|_| entry.last_try().is_some())))
        }
        "RESPONSE_DURATION" => Operator::Plain(|entry| millis(upstream_start(entry))),
        "RESPONSE_TX_DURATION" => Operator::Plain(|entry| {
            millis(upstream_start(entry).map(|start| entry.duration.saturating_sub(start)))
        }),
        "UPSTREAM_HOST" => Operator::Plain(|entry| {
            entry
                .last_try()
                .map_or(Value::Unknown, |last| address(&last.upstream))
        }),
        "UPSTREAM_LOCAL_ADDRESS" => {
            Operator::Plain(|entry| socket(entry.last_try().and_then(|last| last.local)))
        }
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Operator::Plain(|entry| number(entry.progress.tries_count)),
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Operator::Plain(|entry| {
            let failure = entry.last_try().and_then(|last| last.failure.as_deref());
            // One word, as Envoy writes it.
            failure.map_or(Value::Unknown, |failure| owned(failure.replace(' ', "_")))
        }),
        "UPSTREAM_CLUSTER" => Operator::Shared(|entry| maybe(entry.progress.cluster.as_deref())),
        "ROUTE_NAME" => Operator::Shared(|entry| maybe(entry.progress.route.as_deref())),
        "VIRTUAL_HOST_NAME" => {
            Operator::Shared(|entry| maybe(entry.progress.virtual_host.as_ref().map(HostName::as_str)))
        }
        "REQUESTED_SERVER_NAME" => {
            Operator::Shared(|entry| maybe(tls(entry).and_then(|tls| tls.server_name.as_deref())))
        }
        "DOWNSTREAM_TLS_VERSION" => Operator::Shared(|entry| maybe(tls(entry).and_then(tls_version))),
        "CONNECTION_ID" => Operator::Plain(|entry| number(entry.record.peer.id())),
        "STREAM_ID" => Operator::Plain(|entry| owned(format!("{:016x}", entry.record.id))),
        _ => return addresses(name),
    })
}

/// The operators that name an address of the downstream connection.
fn addresses(name: &str) -> Option<Operator> {
    Some(match name {
        "DOWNSTREAM_REMOTE_ADDRESS" => {
            Operator::Shared(|entry| told(entry).unwrap_or_else(|| socket(entry.record.peer.remote())))
        }
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => {
            Operator::Shared(|entry| told(entry).unwrap_or_else(|| ip(entry.record.peer.remote())))
        }
        "DOWNSTREAM_REMOTE_PORT" => Operator::Plain(|entry| port(entry.record.peer.remote())),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => Operator::Plain(|entry| socket(entry.record.peer.remote())),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => {
            Operator::Plain(|entry| ip(entry.record.peer.remote()))
        }
        "DOWNSTREAM_DIRECT_REMOTE_PORT" => Operator::Plain(|entry| port(entry.record.peer.remote())),
        "DOWNSTREAM_LOCAL_ADDRESS" => Operator::Plain(|entry| socket(entry.record.peer.local())),
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => Operator::Plain(|entry| ip(entry.record.peer.local())),
        "DOWNSTREAM_LOCAL_PORT" => Operator::Plain(|entry| port(entry.record.peer.local())),
        _ => return None,
    })
}

impl Name {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.to_ascii_lowercase().as_str() {
            ":method" => Self::Method,
            ":path" => Self::Path,
            ":authority" | "host" => Self::Authority,
            ":scheme" => Self::Scheme,
            _ => Self::Field(field(text)?),
        })
    }
}

fn field(text: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(text).map_err(|_| format!("'{text}' is not the name of a field"))
}

/// `X?Y`: X, or Y where there is no X.
fn either<T>(argument: &str, parse: fn(&str) -> Result<T, String>) -> Result<(T, Option<T>), String> {
    match argument.split_once('?') {
        Some((first, second)) => Ok((parse(first)?, Some(parse(second)?))),
        None => Ok((parse(argument)?, None)),
    }
}

fn request_field<'a>(entry: &Entry<'a>, name: &Name) -> Value<'a> {
    let line = entry.record.line.as_ref();
    match name {
        Name::Method => maybe(line.map(|(method, _)| method.as_str())),
        Name::Path => maybe(line.map(|(_, uri)| path(uri))),
        Name::Authority => match &entry.progress.authority {
            Some(authority) => Value::Text(authority.as_bytes().into()),
            None => maybe(line.and_then(|(_, uri)| Some(uri.authority()?.as_str()))),
        },
        Name::Scheme => maybe(line.and_then(|(_, uri)| uri.scheme_str())),
        Name::Field(name) => header(&entry.progress.request_fields, name, None),
    }
}

fn path(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

fn header<'a>(fields: &'a HeaderMap, first: &HeaderName, second: Option<&HeaderName>) -> Value<'a> {
    let value = fields
        .get(first)
        .or_else(|| second.and_then(|second| fields.get(second)));
    value.map_or(Value::Unknown, |value| Value::Text(value.as_bytes().into()))
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

/// The client's address as a trusted proxy told it, which has no port.
fn told<'a>(entry: &Entry<'a>) -> Option<Value<'a>> {
    let client = entry.progress.client.as_ref()?;
    Some(Value::Text(client.as_bytes().into()))
}

/// When the last try had its response head.
fn upstream_start(entry: &Entry<'_>) -> Option<Duration> {
    let last = entry.last_try()?;
    last.end.filter(|_| matches!(last.outcome, Some(Ok(_))))
}

fn tls<'a>(entry: &Entry<'a>) -> Option<&'a TlsFacts> {
    entry.record.peer.tls()
}

/// As OpenSSL, and so Envoy, writes it.
fn tls_version(tls: &TlsFacts) -> Option<&'static str> {
    match tls.version? {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

fn host_name() -> Option<Box<str>> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| env::var("HOSTNAME").ok())?;
    Some(name.trim().into())
}

fn long_flags(flags: &'static str) -> Value<'static> {
    let long: Vec<_> = flags.split(',').map(long_flag).collect();
    owned(long.join(","))
}

fn long_flag(flag: &'static str) -> &'static str {
    match flag {
        "DPE" => "DownstreamProtocolError",
        "OM" => "OverloadManagerTerminated",
        "NR" => "NoRouteFound",
        "NC" => "NoClusterFound",
        "UH" => "NoHealthyUpstream",
        "UO" => "UpstreamOverflow",
        "UF" => "UpstreamConnectionFailure",
        "UC" => "UpstreamConnectionTermination",
        "UPE" => "UpstreamProtocolError",
        "UT" => "UpstreamRequestTimeout",
        "UR" => "UpstreamRemoteReset",
        "LR" => "ConnectionTerminatedByLocalReset",
        "SI" => "StreamIdleTimeout",
        "DT" => "DurationTimeout",
        "URX" => "UpstreamRetryLimitExceeded",
        "UMSDR" => "UpstreamMaxStreamDurationReached",
        "RL" => "RateLimited",
        "UAEX" => "UnauthorizedExternalService",
        "RLSE" => "RateLimitServiceError",
        "FI" => "FaultInjected",
        "DF" => "DnsResolutionFailed",
        "DC" => "DownstreamConnectionTermination",
        other => other,
    }
}

fn shared(text: &str) -> Value<'_> {
    Value::Text(text.as_bytes().into())
}

fn maybe(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Unknown, shared)
}

fn owned(text: String) -> Value<'static> {
    Value::Text(text.into_bytes().into())
}

fn number(number: u64) -> Value<'static> {
    Value::Number(number)
}

fn millis(duration: Option<Duration>) -> Value<'static> {
    duration.map_or(Value::Unknown, |duration| {
        number(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    })
}

fn address(address: &Address) -> Value<'static> {
    match address {
        Address::Tcp(address) => socket(Some(*address)),
        Address::Unix(path) => owned(path.display().to_string()),
    }
}

fn socket(address: Option<SocketAddr>) -> Value<'static> {
    address.map_or(Value::Unknown, |address| owned(address.to_string()))
}

fn ip(address: Option<SocketAddr>) -> Value<'static> {
    address.map_or(Value::Unknown, |address| owned(address.ip().to_string()))
}

fn port(address: Option<SocketAddr>) -> Value<'static> {
    address.map_or(Value::Unknown, |address| number(u64::from(address.port())))
}
