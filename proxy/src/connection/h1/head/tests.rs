use http::header::HOST;

use super::*;

const RULES: fn() -> Rules = || Rules {
    limits: HeadLimits::default(),
    http_10: Http10::Refused,
};

/// What the bytes are, arriving in two pieces.
fn read(bytes: &[u8], cut: usize, rules: &Rules) -> Result<Option<Head>, Error> {
    let (mut heads, mut buffer) = (Heads::default(), BytesMut::from(&bytes[..cut]));
    let first = heads.next(&mut buffer, rules)?;
    if first.is_some() {
        return Ok(first);
    }
    buffer.extend_from_slice(&bytes[cut..]);
    heads.next(&mut buffer, rules)
}

/// The same outcome wherever the bytes are cut.
#[track_caller]
fn outcome(bytes: &[u8], rules: &Rules) -> Result<Head, u16> {
    let mut outcomes = (0..bytes.len()).map(|cut| match read(bytes, cut, rules) {
        Ok(head) => Ok(head.unwrap_or_else(|| panic!("not complete: {:?}", String::from_utf8_lossy(bytes)))),
        Err(error) => Err(error.kind().row().status.as_u16()),
    });
    let first = outcomes.next().unwrap();
    for other in outcomes {
        let status = |outcome: &Result<Head, u16>| outcome.as_ref().err().copied();
        assert_eq!(
            status(&other),
            status(&first),
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
    first
}

#[track_caller]
fn accepted(bytes: impl AsRef<[u8]>) -> Head {
    outcome(bytes.as_ref(), &RULES()).unwrap_or_else(|status| panic!("{status}"))
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, expected: u16) {
    let bytes = bytes.as_ref();
    let status = outcome(bytes, &RULES()).err();
    assert_eq!(status, Some(expected), "{:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn a_request_line_has_one_form() {
    for (line, status) in [
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET\t/ HTTP/1.1", 400),
        (" GET / HTTP/1.1", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1.32", 400),
        ("GET / HTTP/1.", 400),
        ("GET / HTTPS/1.1", 400),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/9.9", 505),
        ("GET / HTTP/1.0", 426),
        ("G@T / HTTP/1.1", 400),
        ("GET !", 400),
        ("GET ! HTTP/1.1", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET /a#b HTTP/1.1", 400),
        ("GET /a\x0b HTTP/1.1", 400),
        ("GET /a\x00 HTTP/1.1", 400),
        ("GET /a\x7f HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET a:80 HTTP/1.1", 400),
        ("GET ftp://a/ HTTP/1.1", 400),
        ("GET http:///x HTTP/1.1", 400),
        ("CONNECT / HTTP/1.1", 400),
        ("CONNECT http://a/ HTTP/1.1", 400),
        ("\x16\x03\x01", 400),
    ] {
        refused(format!("{line}\r\nhost: a\r\n\r\n"), status);
    }
}

#[test]
fn targets_come_in_four_forms() {
    for (method, target) in [
        ("GET", "/"),
        ("GET", "//a/../b?c=/d&e"),
        ("get", "/"),
        ("M-SEARCH", "/"),
        ("GET", "http://a/"),
        ("GET", "https://a:1/b?c"),
        ("OPTIONS", "*"),
        ("OPTIONS", "/"),
        ("CONNECT", "a:80"),
    ] {
        let head = accepted(format!("{method} {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(head.request.uri().to_string(), target);
        assert_eq!(head.request.method().as_str(), method);
    }
}

#[test]
fn what_a_target_may_not_hold_but_scripts_send_is_encoded() {
    for (target, expected) in [
        (r#"/q?filter={"a":[1,2]}"#, "/q?filter={%22a%22:[1,2]}"),
        ("/<a>`b`?<c>`d`", "/%3Ca%3E%60b%60?%3Cc%3E`d`"),
        (r#"/"a"<"?"?""#, r#"/"a"%3C"?%22?%22"#),
        ("/a?u=http://x/<", "/a?u=http://x/%3C"),
        ("http://a/`?\"", "http://a/%60?%22"),
        ("http://a?<", "http://a/?%3C"),
    ] {
        let head = accepted(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(head.request.uri().to_string(), expected);
    }
    for target in [
        "http://a<b/",
        "http://a`/",
        "<",
        "a<b:80",
        "/<\u{7f}",
        "/<\t",
        "/<#",
        "http<://a/",
    ] {
        refused(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"), 400);
    }
}

#[test]
fn a_field_line_has_one_form() {
    for field in [
        "x : 1",
        "x\t: 1",
        " x: 1",
        "\tx: 1",
        "x",
        ": 1",
        "x y: 1",
        "x\u{e9}: 1",
        "x(: 1",
        "x\x00: 1",
        "x: 1\x00",
        "x: 1\x0b2",
        "x: \x7f",
        "x: 1\r2",
        "x: 1\r",
        "x: 1\n",
        "x: 1\r\n y",
        "x: 1\r\n\ty: 2",
    ] {
        refused(format!("GET / HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n"), 400);
        refused(format!("GET / HTTP/1.1\r\n{field}\r\nhost: a\r\n\r\n"), 400);
    }
}

#[test]
fn values_pass_as_they_are() {
    let head = accepted(b"GET / HTTP/1.1\r\nhost:a\r\nx: \t a \xff\"b\" \t\r\ny:\r\nX: 2\r\n\r\n");
    let headers = head.request.headers();
    let values: Vec<_> = headers
        .get_all("x")
        .iter()
        .map(|value| value.as_bytes())
        .collect();
    assert_eq!(values, [b"a \xff\"b\"".as_slice(), b"2"]);
    assert_eq!(
        (headers["y"].as_bytes(), headers[HOST].as_bytes()),
        (b"".as_slice(), b"a".as_slice())
    );
}

#[test]
fn there_is_one_host() {
    for fields in ["", "x: 1\r\n", "host: a\r\nhost: a\r\n", "host: a\r\nHost: b\r\n"] {
        refused(format!("GET / HTTP/1.1\r\n{fields}\r\n"), 400);
    }
}

#[test]
fn lines_end_with_cr_lf() {
    for head in [
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET / HTTP/1.1\r\nhost: a\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\n",
        "GET / HTTP/1.1\r\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\rhost: a\r\n\r\n",
        "GET\n/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        refused(head, 400);
    }
    accepted("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n");
}

#[test]
fn framing_is_never_a_matter_of_opinion() {
    let check = |fields: &str, expected: Result<Framing, u16>| {
        let bytes = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n");
        let found = outcome(bytes.as_bytes(), &RULES()).map(|head| head.framing);
        assert_eq!(found, expected, "{fields:?}");
    };
    check("x: 1", Ok(Framing::Empty));
    check("content-length: 0", Ok(Framing::Empty));
    check("content-length:\t10 ", Ok(Framing::Length(10)));
    check(
        "content-length: 9223372036854775807",
        Ok(Framing::Length(i64::MAX as u64)),
    );
    for length in [
        "", "+5", "-5", "-0", "0x10", "1_0", "5 5", "5,5", "5, 5", "010", "00", "5.0", "a", "\u{b2}",
    ] {
        check(&format!("content-length: {length}"), Err(400));
    }
    for length in [
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999",
    ] {
        check(&format!("content-length: {length}"), Err(400));
    }
    check("content-length: 5\r\ncontent-length: 5", Err(400));
    check("content-length: 5\r\nContent-Length: 6", Err(400));
    check("transfer-encoding: chunked", Ok(Framing::Chunked));
    check("transfer-encoding:\tChunked ", Ok(Framing::Chunked));
    for coding in ["gzip", "xchunked", "identity", "gzip, chunked", "chunke"] {
        check(&format!("transfer-encoding: {coding}"), Err(501));
    }
    for coding in [
        "",
        ",chunked",
        "chunked,",
        "chunked, chunked",
        "chunked, identity",
        "\"chunked\"",
        "chunked;q=1",
    ] {
        check(&format!("transfer-encoding: {coding}"), Err(400));
    }
    for coding in ["\u{b}chunked", "\u{a0}chunked", "chunked\u{0}", "chun\tked"] {
        check(&format!("transfer-encoding: {coding}"), Err(400));
    }
    check(
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        Err(400),
    );
    check("transfer-encoding : chunked", Err(400));
    check("content-length: 5\r\ntransfer-encoding: chunked", Err(400));
    check("transfer-encoding: chunked\r\ncontent-length: 5", Err(400));
}

#[test]
fn http_10_is_spoken_where_it_is_allowed() {
    let rules = Rules {
        http_10: Http10::Accepted,
        ..RULES()
    };
    let check = |fields: &str| {
        let bytes = format!("GET / HTTP/1.0\r\nhost: a\r\n{fields}\r\n");
        outcome(bytes.as_bytes(), &rules).map(|head| (head.persistence, head.expectation))
    };
    assert_eq!(check(""), Ok((Persistence::Close, Expectation::Nothing)));
    assert_eq!(
        check("connection: Keep-Alive\r\n"),
        Ok((Persistence::KeepAlive, Expectation::Nothing))
    );
    assert_eq!(
        check("expect: 100-continue\r\n"),
        Ok((Persistence::Close, Expectation::Nothing))
    );
    assert_eq!(check("transfer-encoding: chunked\r\n"), Err(400));
}

#[test]
fn what_a_client_wants_of_the_connection_is_heard() {
    let check = |fields: &str| {
        let bytes = format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        outcome(bytes.as_bytes(), &RULES()).map(|head| (head.persistence, head.expectation))
    };
    assert_eq!(check(""), Ok((Persistence::KeepAlive, Expectation::Nothing)));
    assert_eq!(
        check("connection: x, Close\r\n"),
        Ok((Persistence::Close, Expectation::Nothing))
    );
    assert_eq!(
        check("connection: x\r\nconnection: close\r\n").unwrap().0,
        Persistence::Close
    );
    assert_eq!(
        check("expect: 100-Continue\r\n"),
        Ok((Persistence::KeepAlive, Expectation::Continue))
    );
    assert_eq!(check("expect: 200-ok\r\n"), Err(417));
    assert_eq!(
        check("expect: 100-continue\r\nexpect: 100-continue\r\n"),
        Err(417)
    );
}

#[test]
fn what_is_too_large_is_refused_before_it_is_complete() {
    let small = |limits| Rules { limits, ..RULES() };
    let (bytes, fields) = (
        HeadLimits {
            bytes_max: 100,
            ..HeadLimits::default()
        },
        HeadLimits {
            fields_max: 3,
            ..HeadLimits::default()
        },
    );
    let target = HeadLimits {
        target_bytes_max: 50,
        ..HeadLimits::default()
    };
    let check = |limits, bytes: &str, expected: Result<bool, u16>| {
        let found = read(bytes.as_bytes(), 0, &small(limits)).map(|head| head.is_some());
        assert_eq!(
            found.map_err(|error| error.kind().row().status.as_u16()),
            expected,
            "{bytes:?}"
        );
    };
    check(
        bytes,
        &format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(100)),
        Err(431),
    );
    check(bytes, "GET / HTTP/1.1\r\nhost: a\r\n\r\n", Ok(true));
    check(fields, "GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nc: 3\r\n", Ok(false));
    check(
        fields,
        "GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n",
        Err(431),
    );
    check(
        target,
        &format!("GET /{} HTTP/1.1\r\n", "x".repeat(50)),
        Ok(false),
    );
    check(
        target,
        &format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(50)),
        Err(414),
    );
    check(target, &format!("GET /{}", "x".repeat(100)), Err(414));
    check(
        target,
        &format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(49)),
        Ok(true),
    );
}

#[test]
fn what_follows_a_head_stays_in_the_buffer() {
    let (mut heads, mut buffer) = (
        Heads::default(),
        BytesMut::from("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\nrest"),
    );
    for path in ["/1", "/2"] {
        let head = heads.next(&mut buffer, &RULES()).unwrap().unwrap();
        assert_eq!(head.request.uri().path(), path);
    }
    assert_eq!(buffer, "rest");
}
