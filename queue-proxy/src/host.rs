//! Under which name does the application see a request, and which of Knative's headers does it never see?

use http::header::HOST;
use http::{HeaderMap, HeaderName};
use tidegate_knative::headers::{ORIGINAL_HOST, SERVING_NAMESPACE, SERVING_REVISION};

/// Restores the host that the client asked for, and removes what only the data plane needs (Knative
/// `pkg/queue/handler.go`, `pkg/http/proxy.go`).
pub(crate) fn restore(headers: &mut HeaderMap) {
    strip_revision(headers);
    if let Some(host) = headers.remove(HeaderName::from_static(ORIGINAL_HOST))
        && !host.is_empty()
    {
        headers.insert(HOST, host);
    }
}

/// Removes what tells the data plane which revision a request is for.
pub(crate) fn strip_revision(headers: &mut HeaderMap) {
    headers.remove(HeaderName::from_static(SERVING_REVISION));
    headers.remove(HeaderName::from_static(SERVING_NAMESPACE));
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(before: &[(&'static str, &'static str)], after: &[(&'static str, &'static str)]) {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect()
        };
        let mut edited = headers(before);
        restore(&mut edited);
        assert_eq!(edited, headers(after), "{before:?}");
    }

    #[test]
    fn qp_12_the_original_host_is_restored() {
        check(
            &[
                ("host", "hello-00001"),
                ("k-original-host", "nimbus.example"),
                ("k-proxy-request", "activator"),
            ],
            &[("host", "nimbus.example"), ("k-proxy-request", "activator")],
        );
        check(
            &[("host", "a.example"), ("k-original-host", "")],
            &[("host", "a.example")],
        );
        check(&[("host", "a.example")], &[("host", "a.example")]);
    }

    #[test]
    fn qp_14_the_revision_never_reaches_the_application() {
        check(
            &[
                ("knative-serving-revision", "hello-00001"),
                ("knative-serving-namespace", "default"),
            ],
            &[],
        );
    }
}
