//! Which requests does the sidecar answer by itself, because they ask for its health?

use http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Response, StatusCode};
use tidegate_knative::headers::{
    ACTIVATOR_USER_AGENT, AUTOSCALER_USER_AGENT, KUBE_PROBE_USER_AGENT_PREFIX, KUBELET_PROBE, NETWORK_HASH,
    NETWORK_PROBE, NetworkProbe, is_kube_probe_user_agent,
};
use tidegate_proxy::Body;

use super::words;

/// What a request wants.
#[expect(clippy::large_enum_variant, reason = "taken apart at once")]
#[derive(Debug)]
pub(super) enum Asked {
    /// The application.
    Traffic,
    /// To know whether the application is ready.
    Readiness,
    /// What is said here.
    Told(Response<Body>),
}

/// Finds out by the headers alone; path and method mean nothing (Knative `pkg/network/handlers/drain.go`,
/// `pkg/queue/health/handler.go`).
pub(super) fn asked(headers: &HeaderMap, is_draining: bool) -> Asked {
    let probe = value(headers, NETWORK_PROBE);
    if is_prober(headers) {
        return match NetworkProbe::from_value(probe) {
            _ if is_draining => Asked::Told(shutting_down()),
            Some(NetworkProbe::Queue) => Asked::Readiness,
            _ => Asked::Told(unexpected(probe)),
        };
    }
    if NetworkProbe::from_value(probe) != Some(NetworkProbe::Ingress) {
        return Asked::Traffic;
    }
    if is_draining {
        return Asked::Told(shutting_down());
    }
    Asked::Told(match headers.get(NETWORK_HASH).filter(|hash| !hash.is_empty()) {
        Some(hash) => words::echo(HeaderName::from_static(NETWORK_HASH), hash.clone()),
        None => words::error(
            StatusCode::BAD_REQUEST,
            r#"a probe request must contain a non-empty "K-Network-Hash" header"#,
        ),
    })
}

/// What whoever asked for readiness is told. That it is not so needs no text.
pub(super) fn readiness(is_ready: bool) -> Response<Body> {
    if is_ready {
        words::text(StatusCode::OK, NetworkProbe::Queue.as_str())
    } else {
        words::status(StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// Whether a request that is traffic is a kubelet's all the same: it passes by the limit and is not counted.
pub(super) fn is_kubelet_probe(headers: &HeaderMap) -> bool {
    !value(headers, KUBELET_PROBE).is_empty()
}

/// Whether a request is anybody's probe: the log and the numbers leave those out.
pub(super) fn is_probe(headers: &HeaderMap) -> bool {
    let agent = headers
        .get(USER_AGENT)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    is_kube_probe_user_agent(agent) || is_kubelet_probe(headers) || !value(headers, NETWORK_PROBE).is_empty()
}

/// Whether the user agent is one that only asks for health: a kubelet, an activator or the autoscaler.
fn is_prober(headers: &HeaderMap) -> bool {
    let agent = headers
        .get(USER_AGENT)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    [
        KUBE_PROBE_USER_AGENT_PREFIX,
        ACTIVATOR_USER_AGENT,
        AUTOSCALER_USER_AGENT,
    ]
    .iter()
    .any(|prefix| agent.starts_with(prefix.as_bytes()))
}

fn shutting_down() -> Response<Body> {
    words::error(StatusCode::SERVICE_UNAVAILABLE, "shutting down")
}

fn unexpected(probe: &[u8]) -> Response<Body> {
    let probe = String::from_utf8_lossy(probe);
    words::error(
        StatusCode::BAD_REQUEST,
        format_args!("unexpected probe header value: {probe}"),
    )
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a [u8] {
    headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// What becomes of a request with this user agent, probe and hash (empty: absent): `app`, `ready?`, or what it is told.
    async fn check(said: [&'static str; 3], is_draining: bool, expected: &str) {
        let names = ["user-agent", NETWORK_PROBE, NETWORK_HASH];
        let present = names.into_iter().zip(said).filter(|(_, value)| !value.is_empty());
        let headers =
            present.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let got = match asked(&headers.collect(), is_draining) {
            Asked::Traffic => "app".to_owned(),
            Asked::Readiness => "ready?".to_owned(),
            Asked::Told(response) => {
                let status = response.status();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                format!("{} {}", status.as_u16(), String::from_utf8_lossy(&body))
            }
        };
        assert_eq!(got, expected, "{said:?}");
    }

    #[tokio::test]
    async fn qp_30_probers_are_answered_by_what_they_ask() {
        let kubelet = "kube-probe/1.29";
        check([kubelet, "queue", ""], false, "ready?").await;
        check(["Knative-Activator-Probe", "queue", ""], false, "ready?").await;
        check(["Knative-Autoscaling-Probe/2", "queue", ""], false, "ready?").await;
        let other = "400 unexpected probe header value: activator\n";
        check(["Knative-Autoscaling-Probe", "activator", ""], false, other).await;
        check([kubelet, "", ""], false, "400 unexpected probe header value: \n").await;
        for probe in ["queue", "", "probe"] {
            check([kubelet, probe, ""], true, "503 shutting down\n").await;
        }
    }

    #[tokio::test]
    async fn the_ingress_hears_its_hash_and_all_else_is_traffic() {
        check(["", "probe", "abc"], false, "200 ").await;
        let no_hash = "400 a probe request must contain a non-empty \"K-Network-Hash\" header\n";
        check(["", "probe", ""], false, no_hash).await;
        check(["", "probe", "abc"], true, "503 shutting down\n").await;
        check(["", "queue", ""], false, "app").await;
        check(["", "queue", ""], true, "app").await;
        check(["knative-activator-probe", "queue", ""], false, "app").await;
        check(["Knative-Ingress-Probe", "", "abc"], false, "app").await;
        check(["", "", ""], true, "app").await;
    }
}
