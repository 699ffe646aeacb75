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

/// All of it but the name of the pod, which is not known yet.
pub(super) fn request(
    head: &mut HeaderMap,
    client: Option<SocketAddr>,
    passthrough_host: Option<&HeaderValue>,
) {
    // A DomainMapping that led here has said it already.
    let is_direct = head.get(ORIGINAL_HOST).is_none_or(HeaderValue::is_empty);
    if is_direct && let Some(host) = head.get(HOST).cloned() {
        head.insert(ORIGINAL_HOST, host);
    }
    head.insert(
        PROXY_REQUEST,
        HeaderValue::from_static(headers::PROXY_REQUEST_ACTIVATOR),
    );
    if let Some(host) = passthrough_host {
        head.insert(HOST, host.clone());
        head.append(PASSTHROUGH_LB, HeaderValue::from_static(headers::TRUE));
    }
    head.remove(SERVING_REVISION);
    head.remove(SERVING_NAMESPACE);
    if let Some(client) = client {
        append_address(head, client.ip());
    }
}

/// Sends the request in the name of its pod.
pub(super) fn name_pod(head: &mut HeaderMap, pod: &Address) {
    if let Ok(host) = HeaderValue::try_from(pod.to_string()) {
        head.insert(HOST, host);
    }
}
