//! Which revision is a request for? By the headers that an ingress adds, else by its Host.

use http::{HeaderMap, HeaderName, header::HOST};
use tidegate_knative::headers;

const NAMESPACE: HeaderName = HeaderName::from_static(headers::SERVING_NAMESPACE);
const REVISION: HeaderName = HeaderName::from_static(headers::SERVING_REVISION);

/// The namespace and the name of the revision; empty where nothing says it.
pub(super) fn names<'a>(head: &'a HeaderMap, cluster_domain: &str) -> (&'a str, &'a str) {
    let text = |name: &HeaderName| {
        let value = head.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    let named = (text(&NAMESPACE), text(&REVISION));
    if !named.0.is_empty() && !named.1.is_empty() {
        return named;
    }
    of_host(text(&HOST), cluster_domain).unwrap_or(named)
}

/// `<revision>.<namespace>.svc.<cluster domain>`, with or without a port.
fn of_host<'a>(host: &'a str, cluster_domain: &str) -> Option<(&'a str, &'a str)> {
    let mut parts = host.splitn(4, '.');
    let (name, namespace) = (parts.next()?, parts.next()?);
    let is_service = parts.next()? == "svc" && parts.next()?.starts_with(cluster_domain);
    is_service.then_some((namespace, name))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(host: &str, headers: [&str; 2], expected: (&str, &str)) {
        let mut head = HeaderMap::new();
        head.insert(HOST, HeaderValue::from_str(host).unwrap());
        for (name, value) in [NAMESPACE, REVISION].into_iter().zip(headers) {
            if !value.is_empty() {
                head.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        assert_eq!(names(&head, "cluster.local"), expected, "{host} {headers:?}");
    }

    #[test]
    fn ac_01_a_revision_is_found_by_headers_or_by_host() {
        check("a.example", ["ns", "rev"], ("ns", "rev"));
        check("b.c.svc.cluster.local", ["ns", "rev"], ("ns", "rev"));
        check("rev.ns.svc.cluster.local", ["", ""], ("ns", "rev"));
        check("rev.ns.svc.cluster.local:8080", ["", ""], ("ns", "rev"));
        check("rev.ns.svc.cluster.local", ["other", ""], ("ns", "rev"));
        check("rev.ns.svc.elsewhere", ["", ""], ("", ""));
        check("rev.ns.pod.cluster.local", ["", ""], ("", ""));
        check("rev.ns.svc", ["", "name"], ("", "name"));
    }
}
