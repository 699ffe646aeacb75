//! What does an activator change in the head of a request (Knative `pkg/activator/handler/handler.go`)?

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header::HOST};
use tidegate_knative::headers;
use tidegate_proxy::{cluster::address::Address, normalize::forwarded::append_address};

const ORIGINAL_HOST: HeaderName = HeaderName::from_static(headers::ORIGINAL_HOST);
const PROXY_REQUEST: HeaderName = HeaderName::from_static(headers::PROXY_REQUEST);
const PASSTHROUGH_LB: HeaderName = HeaderName::from_static(headers::PASSTHROUGH_LB);
const SERVING_REVISION: HeaderName = HeaderName::from_static(headers::SERVING_REVISION);
const SERVING_NAMESPACE: HeaderName = HeaderName::from_static(headers::SERVING_NAMESPACE);

/// What was in a head where something else is now, so that it can be sent elsewhere as it came. Of a field that was there more
/// than once it has the first.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    host: Option<HeaderValue>,
    /// Whether there was no name here, or an empty one.
    original_host: Option<Blank>,
    /// In a box, as hardly anybody sends it: each request that is under way has room for this.
    proxy_request: Option<Box<HeaderValue>>,
    serving_revision: Option<HeaderValue>,
    serving_namespace: Option<HeaderValue>,
}

#[derive(Debug, Clone, Copy)]
enum Blank {
    Missing,
    Empty,
}

/// All of it but the name of the pod, which is not known yet.
pub(super) fn request(
    head: &mut HeaderMap,
    client: Option<SocketAddr>,
    passthrough_host: Option<&HeaderValue>,
) -> Replaced {
    let mut replaced = Replaced::default();
    // A DomainMapping that led here has said it already.
    let is_direct = head.get(ORIGINAL_HOST).is_none_or(HeaderValue::is_empty);
    if is_direct && let Some(host) = head.get(HOST).cloned() {
        replaced.original_host = Some(match head.insert(ORIGINAL_HOST, host) {
            None => Blank::Missing,
            Some(_) => Blank::Empty,
        });
    }
    let own = HeaderValue::from_static(headers::PROXY_REQUEST_ACTIVATOR);
    replaced.proxy_request = head.insert(PROXY_REQUEST, own).map(Box::new);
    if let Some(host) = passthrough_host {
        replaced.host = head.insert(HOST, host.clone());
        head.append(PASSTHROUGH_LB, HeaderValue::from_static(headers::TRUE));
    }
    replaced.serving_revision = head.remove(SERVING_REVISION);
    replaced.serving_namespace = head.remove(SERVING_NAMESPACE);
    if let Some(client) = client {
        append_address(head, client.ip());
    }
    replaced
}

/// Sends the request in the name of its pod. Returns in whose it was.
pub(super) fn name_pod(head: &mut HeaderMap, pod: &Address) -> Option<HeaderValue> {
    let host = HeaderValue::try_from(pod.to_string()).ok()?;
    head.insert(HOST, host)
}

impl Replaced {
    /// The same; `host` is what [`name_pod`] has replaced.
    pub(super) fn with_host(self, host: Option<HeaderValue>) -> Self {
        Self { host, ..self }
    }

    /// Makes the head what it was before a [`request`] without a client's address or a mesh, and before it was given a name.
    pub(super) fn restore(self, head: &mut HeaderMap) {
        put(head, PROXY_REQUEST, self.proxy_request.map(|value| *value));
        match self.original_host {
            Some(Blank::Missing) => put(head, ORIGINAL_HOST, None),
            Some(Blank::Empty) => put(head, ORIGINAL_HOST, Some(HeaderValue::from_static(""))),
            None => {}
        }
        for (name, before) in [
            (HOST, self.host),
            (SERVING_REVISION, self.serving_revision),
            (SERVING_NAMESPACE, self.serving_namespace),
        ] {
            if before.is_some() {
                put(head, name, before);
            }
        }
    }
}

fn put(head: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => _ = head.insert(name, value),
        None => _ = head.remove(name),
    }
}
