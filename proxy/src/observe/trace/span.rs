//! Which spans tell of one request? The names are those of OpenTelemetry's conventions for HTTP.

use std::time::{Duration, UNIX_EPOCH};

use http::header::USER_AGENT;
use http::{Method, StatusCode, Version};

use super::otlp::{CLIENT, ERROR, INTERNAL, KeyValue, SERVER, Span, Status, attribute};
use super::{Context, Inner, Part, Tag, TagValue, TracingSettings, UpstreamName};
use crate::cluster::Address;
use crate::connection::Scheme;
use crate::error::Kind;
use crate::observe::ledger::Ending;
use crate::observe::record::{Entry, Try};

/// The span of the request, those of its layers, and one for each try.
pub(super) fn of(part: Part, entry: &Entry<'_>, settings: &TracingSettings) -> impl Iterator<Item = Span> {
    let mut request = request(part, entry);
    request
        .attributes
        .extend(settings.tags.iter().filter_map(|one| tag(one, entry)));
    let of_layers = entry.progress.attributes.iter();
    request
        .attributes
        .extend(of_layers.map(|(key, value)| attribute(key, &**value)));
    let name = settings.upstream_name;
    let tries = entry.progress.tries.iter().enumerate();
    let tries = tries.map(move |(count, one)| upstream(part, entry, (count as u64, name), one));
    let layers = entry
        .progress
        .inner
        .iter()
        .map(move |one| inner(part, entry, one));
    std::iter::once(request).chain(layers).chain(tries)
}

fn inner(part: Part, entry: &Entry<'_>, one: &Inner) -> Span {
    let context = Context {
        span_id: one.id,
        ..part.context
    };
    let end = one.end.unwrap_or(entry.duration);
    let mut span = Span {
        parent_span_id: one.parent.get().to_be_bytes().to_vec(),
        ..span(context, INTERNAL, one.name.to_owned(), (entry, one.start, end))
    };
    if one.has_failed {
        span.status = Some(Status {
            message: String::new(),
            code: ERROR,
        });
    }
    span
}

fn tag(tag: &Tag, entry: &Entry<'_>) -> Option<KeyValue> {
    let value = match &tag.value {
        TagValue::Text(text) => text.clone(),
        TagValue::Field { name, default } => match entry.progress.request_fields.get(name) {
            Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            None => default.clone()?,
        },
    };
    Some(attribute(&tag.name, value))
}

fn request(part: Part, entry: &Entry<'_>) -> Span {
    let (record, progress) = (entry.record, entry.progress);
    let method = method(entry);
    let scheme = match record.peer.scheme() {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let mut attributes = vec![
        attribute("http.request.method", method),
        attribute("url.scheme", scheme),
        attribute(
            "network.protocol.version",
            version(record.version.unwrap_or(Version::HTTP_11)),
        ),
    ];
    let mut add = |key: &str, value: Option<String>| {
        attributes.extend(value.map(|value| attribute(key, value)));
    };
    let path = record.line.as_ref().map(|(_, uri)| uri.path().to_owned());
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    add("url.path", path);
    add("http.route", progress.route.as_deref().map(str::to_owned));
    add("server.address", progress.authority.as_ref().map(text));
    add(
        "user_agent.original",
        progress.request_fields.get(USER_AGENT).map(text),
    );
    let peer = record.peer.remote().map(|remote| remote.ip().to_string());
    add(
        "client.address",
        progress.client.as_ref().map(text).or_else(|| peer.clone()),
    );
    add("network.peer.address", peer);
    let failure = match entry.ending {
        Ending::Failed(kind) => Some(kind.name().to_owned()),
        Ending::Aborted => Some(Kind::ClientClosed.name().to_owned()),
        Ending::Answered => server_error(entry.status()),
    };
    attributes.extend(status_code(entry.status()));
    let name = match progress.route.as_deref() {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    Span {
        parent_span_id: part.parent.map_or_else(Vec::new, |id| id.to_be_bytes().to_vec()),
        ..span(
            part.context,
            SERVER,
            name,
            (entry, Duration::ZERO, entry.duration),
        )
    }
    .ended(attributes, failure)
}

fn upstream(part: Part, entry: &Entry<'_>, (count, name): (u64, UpstreamName), one: &Try) -> Span {
    let mut attributes = vec![attribute("http.request.method", method(entry))];
    match &one.upstream {
        Address::Tcp(address) => {
            attributes.push(attribute("server.address", address.ip().to_string()));
            attributes.push(attribute("server.port", u64::from(address.port())));
        }
        Address::Unix(path) => attributes.push(attribute("server.address", path.display().to_string())),
    }
    if count > 0 {
        attributes.push(attribute("http.request.resend_count", count));
    }
    let failure = match &one.outcome {
        Some(Ok(status)) => {
            attributes.extend(status_code(Some(*status)));
            // To a client, what it asked for wrongly is an error too.
            (status.is_client_error() || status.is_server_error()).then(|| status.as_str().to_owned())
        }
        Some(Err(kind)) => Some(kind.name().to_owned()),
        None => Some("cancelled".to_owned()),
    };
    let context = Context {
        span_id: one.span_id.unwrap_or(part.context.span_id),
        ..part.context
    };
    let end = one.end.unwrap_or(entry.duration);
    let within = one.within.unwrap_or(part.context.span_id);
    Span {
        parent_span_id: within.get().to_be_bytes().to_vec(),
        ..span(
            context,
            CLIENT,
            upstream_name(entry, name),
            (entry, one.start, end),
        )
    }
    .ended(attributes, failure)
}

fn upstream_name(entry: &Entry<'_>, name: UpstreamName) -> String {
    let method = method(entry);
    match name {
        UpstreamName::Method => method.to_owned(),
        UpstreamName::HttpMethod => format!("HTTP {method}"),
        UpstreamName::MethodAndPath => {
            let path = entry.record.line.as_ref().map_or("", |(_, uri)| uri.path());
            format!("{method} {path}")
        }
    }
}

impl Span {
    fn ended(mut self, attributes: Vec<KeyValue>, failure: Option<String>) -> Self {
        self.attributes = attributes;
        if let Some(failure) = failure {
            self.attributes.push(attribute("error.type", failure));
            self.status = Some(Status {
                message: String::new(),
                code: ERROR,
            });
        }
        self
    }
}

fn span(
    context: Context,
    kind: i32,
    name: String,
    (entry, start, end): (&Entry<'_>, Duration, Duration),
) -> Span {
    let begun = entry
        .record
        .started_at
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let nanos = |offset: Duration| u64::try_from((begun + offset).as_nanos()).unwrap_or(u64::MAX);
    Span {
        trace_id: context.trace_id.get().to_be_bytes().to_vec(),
        span_id: context.span_id.get().to_be_bytes().to_vec(),
        name,
        kind,
        start_time_unix_nano: nanos(start),
        end_time_unix_nano: nanos(end),
        ..Span::default()
    }
}

/// The known methods by name, every other one by one name: a name must not be what a client chose.
fn method(entry: &Entry<'_>) -> &'static str {
    let Some((method, _)) = &entry.record.line else {
        return "_OTHER";
    };
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

fn status_code(status: Option<StatusCode>) -> Option<KeyValue> {
    status.map(|status| attribute("http.response.status_code", u64::from(status.as_u16())))
}

fn server_error(status: Option<StatusCode>) -> Option<String> {
    let status = status.filter(StatusCode::is_server_error)?;
    Some(status.as_str().to_owned())
}
