use super::*;
use crate::connection::Peer;

fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let builder = Request::builder().uri(uri);
    headers
        .iter()
        .fold(builder, |builder, (name, value)| builder.header(*name, *value))
        .body(())
        .unwrap()
}

fn refused(uri: &str, headers: &[(&str, &str)], reason: &str) {
    let error = head(&mut request(uri, headers), &Peer::unknown()).unwrap_err();
    assert!(error.to_string().contains(reason), "{uri} {headers:?}: {error}");
}

#[test]
fn the_host_is_one_valid_and_the_same_everywhere() {
    refused("/", &[], "no Host");
    refused("/", &[("host", "a"), ("host", "a")], "more than one");
    refused("http://a/", &[("host", "b")], "differs");
    for (host, reason) in [
        ("", "empty"),
        ("u@a", "valid host name"),
        ("a:99999", "port"),
        ("a:", "port"),
        ("a:+80", "port"),
        ("a:1:2", "port"),
        ("[::1", "unclosed"),
        ("[::1]x", "']'"),
        ("[zz]", "valid host name"),
        ("a b", "valid host name"),
        ("a/b", "valid host name"),
        (".", "valid host name"),
        ("a..", "valid host name"),
    ] {
        refused("/", &[("host", host)], reason);
    }
}

#[test]
fn hosts_are_looked_up_lower_case_without_port_and_trailing_dot() {
    let check = |host: &str, expected: &str| {
        let mut request = request("/", &[("host", host)]);
        assert_eq!(
            head(&mut request, &Peer::unknown()).unwrap().host.name(),
            expected
        );
        assert_eq!(
            request.headers()[HOST],
            host,
            "the upstream sees what the client sent"
        );
    };
    check("Hello.Default.Localhost:8080", "hello.default.localhost");
    check("a.", "a");
    check("[::1]:80", "[::1]");
    check("127.0.0.1", "127.0.0.1");
}

#[test]
fn paths_are_resolved_and_only_that() {
    let check = |uri: &str, expected: &str| {
        let mut request = request(uri, &[("host", "a")]);
        head(&mut request, &Peer::unknown()).unwrap();
        assert_eq!(request.uri().to_string(), expected, "{uri}");
    };
    check("/a/../b//c%2fd?x=/../y", "/b//c%2fd?x=/../y");
    check("/a/%2e%2E/../../b/.", "/b/");
    check("/..", "/");
    check("/a/..", "/");
    check("/a/.../b", "/a/.../b");
    check("/%2e%2e%2e/", "/%2e%2e%2e/");
    check("http://a/x", "/x");
    check("http://a", "/");
    refused("/a%00b", &[("host", "a")], "%00");
    refused("/a%zz", &[("host", "a")], "hexadecimal");
}

#[test]
fn hop_by_hop_fields_go_and_cannot_take_others_along() {
    let mut request = request(
        "/",
        &[
            ("host", "a"),
            ("connection", "close, x-private, x-forwarded-for, host"),
            ("x-private", "1"),
            ("keep-alive", "1"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("te", "gzip, trailers"),
            ("x-kept", "1"),
        ],
    );
    head(&mut request, &Peer::unknown()).unwrap();
    let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "te", "x-forwarded-proto", "x-kept"]);
    assert_eq!(request.headers()[TE], "trailers");
}

#[test]
fn only_a_bodyless_websocket_upgrade_goes_through() {
    let base = [
        ("host", "a"),
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
    ];
    let mut upgrade = request("/", &base);
    head(&mut upgrade, &Peer::unknown()).unwrap();
    assert_eq!(upgrade.headers()[UPGRADE], "websocket");
    assert_eq!(upgrade.headers()[CONNECTION], "upgrade");
    refused("/", &[base[0], base[1], base[2], ("content-length", "3")], "body");
    let mut other = request("/", &[base[0], base[1], ("upgrade", "foo")]);
    head(&mut other, &Peer::unknown()).unwrap();
    assert!(!other.headers().contains_key(UPGRADE));
}

#[test]
fn other_upgrades_pass_where_that_was_said_but_never_h2c() {
    let settings = HttpSettings {
        other_upgrades: OtherUpgrades::Passed,
        ..HttpSettings::default()
    };
    let check = |offer, expected: Option<&str>| {
        let request = request("/", &[("connection", "upgrade"), ("upgrade", offer)]);
        let upgrade = upgrade(&request, &settings).unwrap();
        assert_eq!(upgrade.as_ref().map(|value| value.to_str().unwrap()), expected);
    };
    check("SPDY/3.1", Some("SPDY/3.1"));
    check("h2c, foo/2", Some("foo/2"));
    check("H2C", None);
    // With a body such an offer is ignored, and one that is known here is refused.
    let with_body = |offer| {
        let fields = [
            ("connection", "upgrade"),
            ("upgrade", offer),
            ("content-length", "1"),
        ];
        upgrade(&request("/", &fields), &settings)
    };
    assert_eq!(with_body("TLS/1.2").unwrap(), None);
    assert!(with_body("websocket").is_err());
}

#[test]
fn listed_names_never_pass_however_they_are_spelt() {
    let edge = edge::EdgePolicy::removing([HeaderName::from_static("k-network-hash")]);
    let mut request = request(
        "/",
        &[("k-network-hash", "1"), ("K_Network_Hash", "2"), ("k-other", "3")],
    );
    edge.apply(request.headers_mut());
    let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["k-other"]);
}

#[test]
fn a_client_cannot_say_who_it_is() {
    let spoofed = [
        ("host", "a"),
        ("x-forwarded-for", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
    ];
    let mut request = request("/", &spoofed);
    head(&mut request, &Peer::at("10.0.0.9:1".parse().unwrap())).unwrap();
    assert_eq!(request.headers()[X_FORWARDED_FOR], "10.0.0.9");
    assert_eq!(request.headers()[X_FORWARDED_PROTO], "http");
    assert!(!request.headers().contains_key(FORWARDED));
}

#[test]
fn a_field_that_is_overwritten_has_one_value_however_the_client_spelt_it() {
    let name = HeaderName::from_static("x-hop");
    let edge = edge::EdgePolicy::default().overwriting(name.clone(), HeaderValue::from_static("ours"));
    for client in [&[][..], &[("X-Hop", "a"), ("x-hop", "b"), ("x_hop", "c")]] {
        let mut request = request("/", client);
        edge.apply(request.headers_mut());
        let fields: Vec<_> = request.headers().iter().collect();
        assert_eq!(fields, [(&name, &HeaderValue::from_static("ours"))]);
    }
}

#[test]
fn a_path_becomes_what_its_policy_says() {
    use path::{DotSegments, EscapedSlashes, PathPolicy, Slashes, Unreserved};
    let policy = |dots, slashes, escaped_slashes| PathPolicy {
        dots,
        slashes,
        escaped_slashes,
        ..PathPolicy::default()
    };
    let check = |policy: PathPolicy, path: &str, expected: Result<&str, &str>| {
        let found = path::normalize(path, &policy);
        let found = found.map(|changed| changed.map_or(path.to_owned(), |changed| changed.path));
        match expected {
            Ok(expected) => assert_eq!(found.as_deref(), Ok(expected), "{policy:?} {path}"),
            Err(reason) => assert!(
                found.is_err_and(|found| found.contains(reason)),
                "{policy:?} {path}"
            ),
        }
    };
    let as_it_is = policy(DotSegments::Keep, Slashes::Keep, EscapedSlashes::Keep);
    check(as_it_is, "/a/../b//c%2F%00\\%zz", Ok("/a/../b//c%2F%00\\%zz"));
    let decoding = PathPolicy {
        unreserved: Unreserved::Decode,
        ..PathPolicy::default()
    };
    check(decoding, "/%61%7e%2D/b/%2e%2E/%C3%A9%20", Ok("/a~-/%C3%A9%20"));
    check(decoding, "/a%2561", Ok("/a%2561"));
    let merging = policy(DotSegments::Resolve, Slashes::Merge, EscapedSlashes::Keep);
    check(merging, "//a/./b///c%2F/", Ok("/a/b/c%2F/"));
    let refusing = policy(DotSegments::Resolve, Slashes::Keep, EscapedSlashes::Refuse);
    check(refusing, "/a%2fb", Err("escaped slash"));
    check(refusing, "/a%5Cb", Err("escaped slash"));
    check(refusing, "/a%20b", Ok("/a%20b"));
    let unescaping = policy(DotSegments::Resolve, Slashes::Merge, EscapedSlashes::Unescape);
    check(unescaping, "/a%2f..%2Fb%252f%e2%82%ac", Ok("/b%252f%e2%82%ac"));
    check(unescaping, "/a%5cb", Err("backslash"));
}

#[test]
fn a_dot_at_the_end_of_a_host_is_taken_off_where_that_is_said() {
    use crate::normalize::host::HostDot;
    let check = |authority: &'static str, expected: Option<&str>| {
        let removed = HostDot::Remove.apply(&HeaderValue::from_static(authority));
        assert_eq!(removed.as_ref().and_then(|host| host.to_str().ok()), expected);
    };
    check("a.example.", Some("a.example"));
    check("a.example.:80", Some("a.example:80"));
    check("a.example", None);
    check("a.example..", None);
    check("[::1]:80", None);
    assert_eq!(HostDot::Keep.apply(&HeaderValue::from_static("a.")), None);
}

#[test]
fn a_port_is_taken_off_a_host_where_that_is_asked_for() {
    use crate::normalize::host::HostPort;
    let check = |policy: HostPort, host: &'static str, expected: Option<&str>| {
        let changed = policy.apply(&HeaderValue::from_static(host), Some(8080));
        let changed = changed.as_ref().map(|host| host.to_str().unwrap());
        assert_eq!(changed, expected, "{policy:?} {host}");
    };
    check(HostPort::Keep, "a.example:8080", None);
    check(HostPort::Remove, "a.example:80", Some("a.example"));
    check(HostPort::Remove, "[::1]:80", Some("[::1]"));
    check(HostPort::Remove, "a.example", None);
    check(HostPort::RemoveOwn, "a.example:8080", Some("a.example"));
    check(HostPort::RemoveOwn, "a.example:80", None);
}

#[test]
fn fields_with_underscores_pass_or_go_or_refuse_the_request() {
    use crate::normalize::edge::Underscores;
    let check = |policy: Underscores, left: Option<usize>| {
        let names = ["x_one", "x-two", "x_three"];
        let fields = names.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")));
        let mut headers = HeaderMap::from_iter(fields);
        let applied = policy.apply(&mut headers);
        assert_eq!(applied.ok().map(|()| headers.len()), left, "{policy:?}");
    };
    check(Underscores::Keep, Some(3));
    check(Underscores::Remove, Some(1));
    check(Underscores::Refuse, None);
}

#[test]
fn each_field_that_ends_at_this_hop_is_dropped_where_it_is_alone() {
    let others = [CONNECTION, TE, UPGRADE, HTTP2_SETTINGS];
    for name in HOP_BY_HOP.iter().chain(&others) {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static("x-other"));
        headers.insert(HOST, HeaderValue::from_static("a.example"));
        drop_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), [HOST], "{name}");
    }
}
