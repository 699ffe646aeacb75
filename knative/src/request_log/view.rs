//! What can a template of the request log ask for? What Go's request and response have, by their names there.

use std::net::SocketAddr;
use std::time::Duration;

use http::header::{
    CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, REFERER, TRANSFER_ENCODING, USER_AGENT,
};
use http::{Method, Request, Uri, Version};

use super::{Came, Described};
use crate::template::{Object, Value};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const B3_TRACE: HeaderName = HeaderName::from_static("x-b3-traceid");

const NAMED_COUNT: usize = 5;
/// The fields that have a name of their own in templates.
const NAMED: [HeaderName; NAMED_COUNT] = [HOST, USER_AGENT, REFERER, TRACEPARENT, B3_TRACE];

/// A request as it came.
#[derive(Debug)]
pub(super) struct Asked {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    /// -1 where it is not known before the end.
    content_length: i64,
    from: Option<SocketAddr>,
    is_tls: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) latency: Duration,
}

/// All of it, the root of a template.
pub(super) struct Exchange<'a> {
    pub(super) asked: &'a Asked,
    pub(super) told: Told,
    pub(super) about: Revision<'a>,
    pub(super) tells_trace: bool,
}

/// Which of the fields that have a name of their own a template asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// All fields there are.
    all: bool,
    named: [bool; NAMED_COUNT],
}

struct Headers<'a>(&'a HeaderMap);

/// The values of one header.
struct Values<'a>(Vec<&'a HeaderValue>);

impl Asked {
    /// With the fields that are wanted.
    pub(super) fn of<B>(request: &Request<B>, came: &Came, wanted: Wanted) -> Self {
        let headers = request.headers();
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let is_open = headers.contains_key(TRANSFER_ENCODING) || came.has_body;
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: wanted.of(headers),
            content_length: length.unwrap_or(if is_open { -1 } else { 0 }),
            from: came.from,
            is_tls: came.is_tls,
        }
    }

    fn text(&self, name: impl http::header::AsHeaderName) -> &str {
        text(self.headers.get(name))
    }

    /// The trace that the request is a part of, as its headers say (Knative `pkg/http/request_log.go`).
    fn trace_id(&self) -> &str {
        let mut parent = self.text(TRACEPARENT).split('-');
        match (parent.next(), parent.next()) {
            (Some(_version), Some(trace)) => trace,
            _ => self.text(B3_TRACE),
        }
    }

    fn address(&self) -> String {
        self.from.as_ref().map(SocketAddr::to_string).unwrap_or_default()
    }

    fn protocol(&self) -> &'static str {
        match self.version {
            Version::HTTP_2 => "HTTP/2.0",
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        }
    }
}

impl Wanted {
    /// By the names that `mentions` finds in a template.
    pub(super) fn by(mentions: impl Fn(&str) -> bool) -> Self {
        let trace = mentions("TraceID");
        Self {
            all: mentions("Header"),
            named: [
                mentions("Host"),
                mentions("UserAgent"),
                mentions("Referer"),
                trace,
                trace,
            ],
        }
    }

    /// Copies of these: the values are shared.
    fn of(self, headers: &HeaderMap) -> HeaderMap {
        if self.all {
            return headers.clone();
        }
        let mut named = HeaderMap::new();
        for (name, _) in NAMED.into_iter().zip(self.named).filter(|(_, wanted)| *wanted) {
            if let Some(value) = headers.get(&name) {
                named.insert(name, value.clone());
            }
        }
        named
    }
}

fn text(value: Option<&HeaderValue>) -> &str {
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl Exchange<'_> {
    /// What is written where the template asks for what is not there.
    pub(super) fn of_invalid_template(&self) -> String {
        let Told { status, latency, .. } = self.told;
        let (method, uri, latency) = (&self.asked.method, &self.asked.uri, latency.as_secs_f64());
        format!(
            "Invalid request log template: method: {method}, response code: {status}, latency: {latency}, url: {uri}\n"
        )
    }
}

impl Object for Exchange<'_> {
    fn get(&self, name: &str, _: &[Value<'_>]) -> Option<Value<'_>> {
        Some(match name {
            "Request" => Value::Object(self.asked),
            "Response" => Value::Object(&self.told),
            "Revision" => Value::Object(&self.about),
            "TraceID" if !self.tells_trace => Value::from(""),
            "TraceID" => Value::from(self.asked.trace_id()),
            _ => return None,
        })
    }
}

impl Object for Asked {
    fn get(&self, name: &str, _: &[Value<'_>]) -> Option<Value<'_>> {
        Some(match name {
            "Method" => Value::from(self.method.as_str()),
            "RequestURI" | "URL" => match (self.uri.scheme(), self.uri.path_and_query()) {
                // As most are.
                (None, Some(target)) => Value::from(target.as_str()),
                _ => Value::from(self.uri.to_string()),
            },
            "Proto" => Value::from(self.protocol()),
            "ProtoMajor" => Value::Int(if self.version == Version::HTTP_2 { 2 } else { 1 }),
            "ProtoMinor" => Value::Int(i64::from(self.version == Version::HTTP_11)),
            "Host" => Value::from(self.text(HOST)),
            "Header" => Value::Made(Box::new(Headers(&self.headers))),
            "ContentLength" => Value::Int(self.content_length),
            "RemoteAddr" => Value::from(self.address()),
            "UserAgent" => Value::from(self.text(USER_AGENT)),
            "Referer" => Value::from(self.text(REFERER)),
            "TLS" if !self.is_tls => Value::Nil,
            "TLS" => Value::from("{}"),
            _ => return None,
        })
    }
}

impl Object for Told {
    fn get(&self, name: &str, _: &[Value<'_>]) -> Option<Value<'_>> {
        Some(match name {
            "Code" => Value::Int(self.status.into()),
            "Size" => Value::Int(i64::try_from(self.bytes).unwrap_or(i64::MAX)),
            "Latency" => Value::Float(self.latency.as_secs_f64()),
            _ => return None,
        })
    }
}

/// Whose requests they are.
pub(super) struct Revision<'a>(pub(super) &'a dyn Described);

impl Object for Revision<'_> {
    fn get(&self, name: &str, _: &[Value<'_>]) -> Option<Value<'_>> {
        let is_known = [
            "Name",
            "Namespace",
            "Service",
            "Configuration",
            "PodName",
            "PodIP",
        ]
        .contains(&name);
        is_known.then(|| Value::from(self.0.get(name).unwrap_or_default()))
    }
}

impl Object for Headers<'_> {
    fn get(&self, name: &str, arguments: &[Value<'_>]) -> Option<Value<'_>> {
        match (name, arguments) {
            ("Get", [Value::Text(name)]) => Some(Value::from(text(self.0.get(name.as_ref())))),
            _ => None,
        }
    }

    fn index(&self, key: &Value<'_>) -> Option<Value<'_>> {
        let Value::Text(name) = key else { return None };
        Some(Value::Made(Box::new(Values(
            self.0.get_all(name.as_ref()).iter().collect(),
        ))))
    }

    fn entries(&self) -> Option<usize> {
        Some(self.0.keys_len())
    }

    /// In the order of the names, as Go prints a map.
    fn print(&self) -> String {
        let mut names: Vec<_> = self
            .0
            .keys()
            .map(|name| (canonical(name.as_str()), name))
            .collect();
        names.sort_by(|(one, _), (other, _)| one.cmp(other));
        let entries = names.into_iter().map(|(canonical, name)| {
            let values = Values(self.0.get_all(name).iter().collect());
            format!("{canonical}:{}", values.print())
        });
        format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
    }
}

impl Object for Values<'_> {
    fn get(&self, _: &str, _: &[Value<'_>]) -> Option<Value<'_>> {
        None
    }

    fn index(&self, key: &Value<'_>) -> Option<Value<'_>> {
        let Value::Int(place) = key else { return None };
        let value = self.0.get(usize::try_from(*place).ok()?)?;
        Some(Value::from(text(Some(value))))
    }

    fn entries(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn print(&self) -> String {
        let values: Vec<_> = self.0.iter().map(|value| text(Some(value))).collect();
        format!("[{}]", values.join(" "))
    }
}

/// A header's name as Go writes it: `X-Forwarded-For`.
fn canonical(name: &str) -> String {
    let mut begins = true;
    let letters = name.chars().map(|letter| {
        let written = if begins {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        begins = letter == '-';
        written
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qp_64_the_trace_is_the_one_that_the_headers_tell() {
        let check = |fields: &[(&'static str, &'static str)], expected: &str| {
            let mut request = Request::new(());
            for (name, value) in fields {
                request
                    .headers_mut()
                    .insert(*name, HeaderValue::from_static(value));
            }
            let asked = Asked::of(&request, &Came::default(), Wanted::by(|_| true));
            assert_eq!(asked.trace_id(), expected, "{fields:?}");
        };
        check(&[], "");
        check(&[("traceparent", "00-abc-def-01"), ("x-b3-traceid", "b3")], "abc");
        check(&[("x-b3-traceid", "b3")], "b3");
        check(&[("traceparent", "invalid")], "");
        check(&[("traceparent", "00")], "");
    }

    #[test]
    fn names_and_maps_are_written_as_go_writes_them() {
        let mut headers = HeaderMap::new();
        headers.append("x-b", HeaderValue::from_static("1"));
        headers.append("x-b", HeaderValue::from_static("2"));
        headers.append("accept", HeaderValue::from_static("*/*"));
        assert_eq!(Headers(&headers).print(), "map[Accept:[*/*] X-B:[1 2]]");
    }
}
