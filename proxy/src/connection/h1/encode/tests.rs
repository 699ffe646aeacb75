use super::*;

const DATE_VALUE: HeaderValue = HeaderValue::from_static("today");
const PEER: Recipient = Recipient {
    version: Version::HTTP_11,
    head_only: false,
    persistence: Persistence::KeepAlive,
};

fn written(
    response: http::response::Builder,
    body: &SizeHint,
    to: Recipient,
) -> (String, Framing, Persistence) {
    let (parts, ()) = response.body(()).unwrap().into_parts();
    let mut out = BytesMut::new();
    let (framing, persistence) = head(&parts, body, to, &DATE_VALUE, &mut out);
    (String::from_utf8(out.to_vec()).unwrap(), framing, persistence)
}

fn unknown() -> SizeHint {
    SizeHint::default()
}

#[test]
fn a_head_says_how_its_body_is_framed() {
    let ok = || Response::builder().header("x", "1");
    let (text, framing, _) = written(ok(), &SizeHint::with_exact(1234), PEER);
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nx: 1\r\ndate: today\r\ncontent-length: 1234\r\n\r\n"
    );
    assert_eq!(framing, Framing::Length(1234));
    let (text, framing, _) = written(ok(), &unknown(), PEER);
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nx: 1\r\ndate: today\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    assert_eq!(framing, Framing::Chunked);
    let declared = ok().header("content-length", "7").header("date", "then");
    let (text, framing, _) = written(declared, &unknown(), PEER);
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nx: 1\r\ndate: then\r\ncontent-length: 7\r\n\r\n"
    );
    assert_eq!(framing, Framing::Length(7));
    let (text, ..) = written(ok(), &SizeHint::with_exact(0), PEER);
    assert!(text.ends_with("content-length: 0\r\n\r\n"));
}

#[test]
fn what_a_layer_left_of_framing_is_not_believed() {
    let lying = Response::builder()
        .header("content-length", "7")
        .header("transfer-encoding", "chunked")
        .header("connection", "x, close");
    let (text, framing, persistence) = written(lying, &SizeHint::with_exact(3), PEER);
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\ndate: today\r\nconnection: close\r\ncontent-length: 3\r\n\r\n"
    );
    assert_eq!((framing, persistence), (Framing::Length(3), Persistence::Close));
    let two = Response::builder()
        .header("content-length", "7")
        .header("content-length", "8");
    assert_eq!(written(two, &unknown(), PEER).1, Framing::Chunked);
}

#[test]
fn some_responses_have_no_body() {
    let to_head = Recipient {
        head_only: true,
        ..PEER
    };
    let check = |status, length: Option<&str>, body: &SizeHint, to, field: &str| {
        let response = Response::builder().status(status);
        let response = length.into_iter().fold(response, |response, length| {
            response.header("content-length", length)
        });
        let (text, framing, _) = written(response, body, to);
        assert_eq!(framing, Framing::Empty);
        assert!(text.ends_with(&format!("date: today\r\n{field}\r\n")), "{text}");
    };
    check(
        200,
        Some("5"),
        &SizeHint::with_exact(0),
        to_head,
        "content-length: 5\r\n",
    );
    check(200, None, &SizeHint::with_exact(0), to_head, "");
    check(
        404,
        None,
        &SizeHint::with_exact(9),
        to_head,
        "content-length: 9\r\n",
    );
    check(204, Some("5"), &unknown(), PEER, "");
    check(
        304,
        Some("5"),
        &SizeHint::with_exact(0),
        PEER,
        "content-length: 5\r\n",
    );
}

#[test]
fn http_10_gets_what_it_can_read() {
    let old = |persistence| Recipient {
        version: Version::HTTP_10,
        persistence,
        ..PEER
    };
    let keep = old(Persistence::KeepAlive);
    let (text, framing, persistence) = written(Response::builder(), &unknown(), keep);
    assert_eq!(
        text,
        "HTTP/1.0 200 OK\r\ndate: today\r\nconnection: close\r\n\r\n"
    );
    assert_eq!((framing, persistence), (Framing::Close, Persistence::Close));
    let (text, framing, persistence) = written(Response::builder(), &SizeHint::with_exact(3), keep);
    assert_eq!(
        text,
        "HTTP/1.0 200 OK\r\ndate: today\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\n"
    );
    assert_eq!(
        (framing, persistence),
        (Framing::Length(3), Persistence::KeepAlive)
    );
}

#[test]
fn an_unusual_reason_passes_unless_it_would_break_the_line() {
    let with = |reason: &'static [u8]| {
        let response = Response::builder().status(299);
        match ReasonPhrase::try_from(reason) {
            Ok(reason) => response.extension(reason),
            Err(_) => response,
        }
    };
    assert!(
        written(with(b"Quite Fine"), &unknown(), PEER)
            .0
            .starts_with("HTTP/1.1 299 Quite Fine\r\n")
    );
    assert!(
        written(with(b"a\r\nb: c"), &unknown(), PEER)
            .0
            .starts_with("HTTP/1.1 299 \r\n")
    );
}

#[test]
fn chunks_and_trailers_have_their_form() {
    for (size, expected) in [
        (1, "1\r\n"),
        (15, "f\r\n"),
        (16, "10\r\n"),
        (0x1_abcd, "1abcd\r\n"),
    ] {
        let mut out = BytesMut::new();
        chunk_head(size, &mut out);
        assert_eq!(out, expected);
    }
    let trailers = HeaderMap::from_iter([("x".parse().unwrap(), HeaderValue::from_static("1"))]);
    let mut out = BytesMut::new();
    last_chunk(Some(&trailers), &mut out);
    last_chunk(None, &mut out);
    assert_eq!(out, "0\r\nx: 1\r\n\r\n0\r\n\r\n");
}

#[test]
fn an_interim_response_has_neither_framing_nor_date() {
    let response = Response::builder()
        .status(103)
        .header("link", "</a>")
        .header("content-length", "3");
    let mut out = BytesMut::new();
    interim(&response.body(()).unwrap(), &mut out);
    assert_eq!(out, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
}
