//! Which requests are questions to the activator itself, and what does it answer?

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header::USER_AGENT};
use tidegate_knative::headers::{self, NetworkProbe};
use tidegate_proxy::Body;

use crate::{health::Health, wire::words};

const KUBELET_PROBE: HeaderName = HeaderName::from_static(headers::KUBELET_PROBE);
const NETWORK_PROBE: HeaderName = HeaderName::from_static(headers::NETWORK_PROBE);
const NETWORK_HASH: HeaderName = HeaderName::from_static(headers::NETWORK_HASH);

/// The answer, if it is one; otherwise what only probes carry is taken out of `head`.
pub(super) fn answer(head: &mut HeaderMap, health: &Health) -> Option<Response<Body>> {
    if is_kubelet(head) {
        return Some(match health.check() {
            Ok(()) => Response::new(Body::empty()),
            Err(reason) => words::error(StatusCode::INTERNAL_SERVER_ERROR, reason),
        });
    }
    of_network(head)
}

/// The answer to those who ask about the way here, and not about the program; otherwise as [`answer`].
pub(super) fn of_network(head: &mut HeaderMap) -> Option<Response<Body>> {
    let probe = value(head, &NETWORK_PROBE);
    if probe == NetworkProbe::Ingress.as_str().as_bytes() {
        return Some(echo(head));
    }
    let response = match probe {
        b"" => None,
        probe if probe == NetworkProbe::Activator.as_str().as_bytes() => {
            Some(words::text(StatusCode::OK, NetworkProbe::Activator.as_str()))
        }
        other => Some(words::unexpected_probe(other)),
    };
    head.remove(NETWORK_HASH);
    response
}

/// By its user agent, or by a header of older probes (Knative `net:http/probe`).
fn is_kubelet(head: &HeaderMap) -> bool {
    headers::is_kube_probe_user_agent(value(head, &USER_AGENT)) || !value(head, &KUBELET_PROBE).is_empty()
}

/// An ingress asks whether it reaches an activator at all: the hash goes back.
fn echo(head: &HeaderMap) -> Response<Body> {
    match head.get(NETWORK_HASH).filter(|hash| !hash.is_empty()) {
        Some(hash) => {
            let mut response = Response::new(Body::empty());
            let hash: HeaderValue = hash.clone();
            response.headers_mut().insert(NETWORK_HASH, hash);
            response
        }
        None => words::error(
            StatusCode::BAD_REQUEST,
            "a probe request must contain a non-empty \"K-Network-Hash\" header",
        ),
    }
}

fn value<'a>(head: &'a HeaderMap, name: &HeaderName) -> &'a [u8] {
    head.get(name).map_or(b"", HeaderValue::as_bytes)
}
