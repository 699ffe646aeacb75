//! Which heads are no requests, which are refused, and what does an extended CONNECT become?

use http::Request;

use super::*;
use crate::normalize::edge::EdgePolicy;

fn parts(fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::get("http://a.example/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn flaw(head: &Parts) -> Option<String> {
    match check(head, &HttpSettings::default()) {
        Ok(()) => None,
        Err(Flaw::Malformed(flaw)) => Some(flaw.to_owned()),
        Err(Flaw::Refused(error)) => Some(error.kind().name().to_owned()),
    }
}

#[test]
fn what_h2_lets_through_is_checked() {
    let check = |fields: &[(&str, &str)], expected: Option<&str>| {
        assert_eq!(flaw(&parts(fields)).as_deref(), expected, "{fields:?}");
    };
    check(&[("a", "x y"), ("b", ""), ("content-length", "0")], None);
    check(&[("a", " x")], Some("a value that begins or ends with a blank"));
    check(&[("a", "x\t")], Some("a value that begins or ends with a blank"));
    check(
        &[("content-length", "05")],
        Some("a Content-Length that is no plain number"),
    );
    check(
        &[("content-length", "5"), ("content-length", "5")],
        Some("more than one Content-Length"),
    );
    let crumbs = vec![("cookie", "a=1"); 101];
    check(&crumbs, Some("head_too_large"));
}

#[test]
fn other_schemes_and_long_targets_are_refused() {
    let check = |uri: String, expected: Option<&str>| {
        let mut head = parts(&[]);
        head.uri = uri.parse().unwrap();
        assert_eq!(flaw(&head).as_deref(), expected);
    };
    check("https://a.example/".into(), None);
    check(
        "ftp://a.example/".into(),
        Some("a scheme other than http and https"),
    );
    check(
        format!("http://a.example/{}", "x".repeat(40_000)),
        Some("target_too_long"),
    );
}

#[test]
fn trailers_frame_and_route_nothing() {
    let mut fields = parts(&[
        ("x-end", "1"),
        ("content-length", "3"),
        ("host", "b"),
        ("te", "trailers"),
    ])
    .headers;
    trailers(&mut fields, &HttpSettings::default()).unwrap();
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["x-end"]);
    let mut padded = parts(&[("x-end", "1 ")]).headers;
    trailers(&mut padded, &HttpSettings::default()).unwrap_err();
}

#[test]
fn what_is_written_anew_in_heads_is_not_added_to_trailers() {
    let edge =
        EdgePolicy::default().overwriting(HeaderName::from_static("x-hop"), HeaderValue::from_static("ours"));
    let settings = HttpSettings {
        edge,
        ..HttpSettings::default()
    };
    for given in [&[("x-end", "1")][..], &[("x_hop", "theirs"), ("x-end", "1")]] {
        let mut fields = parts(given).headers;
        trailers(&mut fields, &settings).unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["x-end"]);
    }
}

fn connect(protocol: &'static str) -> Parts {
    let mut head = parts(&[("sec-websocket-version", "13")]);
    head.method = Method::CONNECT;
    head.extensions.insert(Protocol::from_static(protocol));
    head
}

#[test]
fn an_extended_connect_becomes_an_upgrade_and_its_101_a_200() {
    let mut head = connect("WebSocket");
    let switch = Switch::of(&mut head, &HttpSettings::default()).unwrap().unwrap();
    assert_eq!(
        (&head.method, &head.headers[UPGRADE]),
        (&Method::GET, &HeaderValue::from_static("websocket"))
    );
    let accept = accept_key(head.headers[SEC_WEBSOCKET_KEY].to_str().unwrap()).unwrap();
    let answered = |accept: HeaderValue| {
        let response = http::Response::builder().status(101).header(UPGRADE, "websocket");
        let (mut head, ()) = response
            .header(SEC_WEBSOCKET_ACCEPT, accept)
            .body(())
            .unwrap()
            .into_parts();
        switch
            .opened(&mut head)
            .map(|()| (head.status, head.headers.len()))
    };
    assert_eq!(answered(accept).unwrap(), (StatusCode::OK, 0));
    answered(HeaderValue::from_static("wrong")).unwrap_err();
}

#[test]
fn a_key_of_the_client_s_own_is_not_sent() {
    let mut head = connect("websocket");
    let own = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
    head.headers.insert(SEC_WEBSOCKET_KEY, own.clone());
    Switch::of(&mut head, &HttpSettings::default()).unwrap().unwrap();
    let keys: Vec<_> = head.headers.get_all(SEC_WEBSOCKET_KEY).iter().collect();
    assert_eq!(keys.len(), 1);
    assert_ne!(keys[0], own);
}

#[test]
fn another_connect_stays_what_it_is() {
    let settings = HttpSettings::default();
    let mut head = connect("chat");
    assert!(Switch::of(&mut head, &settings).unwrap().is_none());
    assert_eq!(head.method, Method::CONNECT);
}

#[test]
fn the_accept_key_is_the_rfc_s() {
    // RFC 6455 §1.3
    let accept = accept_key("dGhlIHNhbXBsZSBub25jZQ==").unwrap();
    assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
