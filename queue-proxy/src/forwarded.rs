//! What does an application see that reads `Forwarded` (RFC 7239), where only `X-Forwarded-*` came?

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Adds `Forwarded` from the first lines of `X-Forwarded-For`, `-Host` and `-Proto` (Knative
/// `pkg/queue/forwarded_shim.go`). Nothing happens if it is there already, or if none of these is.
pub(crate) fn synthesize(headers: &mut HeaderMap) {
    if !first(headers, &FORWARDED).is_empty() {
        return;
    }
    let element = render(
        first(headers, &FORWARDED_FOR),
        first(headers, &FORWARDED_HOST),
        first(headers, &FORWARDED_PROTO),
    );
    if let Some(value) = element.and_then(|element| HeaderValue::try_from(element).ok()) {
        headers.insert(FORWARDED, value);
    }
}

/// The first line of a header; empty if it is absent or not text.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

fn render(forwarded_for: &str, host: &str, proto: &str) -> Option<String> {
    if forwarded_for.is_empty() && host.is_empty() && proto.is_empty() {
        return None;
    }
    let mut nodes = nodes(forwarded_for);
    let first_node = nodes.next();
    let mut rendered = first_node
        .map(|node| format!("for={}", quoted(node)))
        .unwrap_or_default();
    // Only a node with a name counts as a part before, as Knative has it.
    let mut has_part = first_node.is_some_and(|node| !node.is_empty());
    for (name, value) in [("host", host), ("proto", proto)] {
        if !value.is_empty() {
            rendered.push_str(if has_part { ";" } else { "" });
            rendered.push_str(&format!("{name}={value}"));
            has_part = true;
        }
    }
    for node in nodes {
        rendered.push_str(&format!(", for={}", quoted(node)));
    }
    Some(rendered)
}

/// The nodes of `X-Forwarded-For`; an empty one after the last comma is none.
fn nodes(forwarded_for: &str) -> impl Iterator<Item = &str> {
    let (list, rest) = forwarded_for.rsplit_once(',').unwrap_or(("", forwarded_for));
    let last = Some(rest.trim()).filter(|last| !last.is_empty());
    let has_list = forwarded_for.contains(',');
    list.split(',')
        .filter(move |_| has_list)
        .map(str::trim)
        .chain(last)
}

/// A node with a port or an IPv6 address has to be quoted, and the latter in brackets (RFC 7239 section 6).
fn quoted(node: &str) -> String {
    if node.contains(':') {
        format!("\"[{node}]\"")
    } else {
        node.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QP-21: `X-Forwarded-For`, `-Host`, `-Proto` (empty: absent), and the `Forwarded` that comes of it.
    fn check(from: [&'static str; 3], expected: Option<&'static str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in [FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO]
            .into_iter()
            .zip(from)
        {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        synthesize(&mut headers);
        let got = headers.get(FORWARDED).map(|value| value.to_str().unwrap());
        assert_eq!(got, expected, "{from:?}");
    }

    #[test]
    fn qp_21_forwarded_is_made_of_what_came() {
        check(
            ["127.0.0.1, ::1", "h", "p"],
            Some(r#"for=127.0.0.1;host=h;proto=p, for="[::1]""#),
        );
        check(["127.0.0.1", "h", "p"], Some("for=127.0.0.1;host=h;proto=p"));
        check(["127.0.0.1, ::1", "", ""], Some(r#"for=127.0.0.1, for="[::1]""#));
        check(
            ["127.0.0.1, ::1", "", "p"],
            Some(r#"for=127.0.0.1;proto=p, for="[::1]""#),
        );
        check(["", "h", ""], Some("host=h"));
        check(["", "", "p"], Some("proto=p"));
        check(["", "h", "p"], Some("host=h;proto=p"));
        check([",,,", "", ""], Some("for=, for=, for="));
        check(["1.2.3.4,", "", ""], Some("for=1.2.3.4"));
    }

    #[test]
    fn qp_21_without_anything_forwarded_there_is_none() {
        check(["", "", ""], None);
    }

    #[test]
    fn qp_21_what_is_there_stays() {
        let there = HeaderValue::from_static("for=a, for=b");
        let mut headers = HeaderMap::from_iter([
            (FORWARDED, there.clone()),
            (FORWARDED_FOR, HeaderValue::from_static("127.0.0.1")),
        ]);
        synthesize(&mut headers);
        assert_eq!(headers[FORWARDED], there);
    }
}
