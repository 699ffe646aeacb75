use super::*;

fn read(bytes: &str, method: &Method) -> Result<Option<Answer>, &'static str> {
    let limits = ResponseHeadLimits {
        bytes_max: 200,
        fields_max: 5,
    };
    Answers::default().next(&mut BytesMut::from(bytes), &limits, method)
}

#[test]
fn a_head_is_found_wherever_the_bytes_are_cut() {
    let whole = "HTTP/1.1 200 OK\r\na: b\r\n\r\nrest";
    for cut in 0..whole.len() - 4 {
        let (mut answers, limits) = (
            Answers::default(),
            ResponseHeadLimits {
                bytes_max: 99,
                fields_max: 9,
            },
        );
        let mut buffer = BytesMut::from(&whole[..cut]);
        assert!(
            answers
                .next(&mut buffer, &limits, &Method::GET)
                .unwrap()
                .is_none(),
            "{cut}"
        );
        buffer.extend_from_slice(&whole.as_bytes()[cut..]);
        let answer = answers.next(&mut buffer, &limits, &Method::GET).unwrap().unwrap();
        assert_eq!(
            (answer.head.status, &buffer[..]),
            (StatusCode::OK, &b"rest"[..]),
            "{cut}"
        );
    }
}

#[test]
fn what_follows_a_head_is_told_by_its_fields() {
    let check = |head: &str, method: Method, expected: &str, keeps: bool| {
        let answer = read(&format!("HTTP/1.1 {head}\r\n\r\n"), &method)
            .unwrap()
            .unwrap();
        let rest = match answer.rest {
            Remaining::Nothing => "nothing".to_owned(),
            Remaining::Framed(Decoder::Length(length)) => length.to_string(),
            Remaining::Framed(Decoder::Chunked(_)) => "chunked".to_owned(),
            Remaining::UntilClose => "close".to_owned(),
        };
        assert_eq!((rest.as_str(), answer.keeps), (expected, keeps), "{head}");
    };
    check("200 OK\r\ncontent-length: 5", Method::GET, "5", true);
    check("200 OK\r\ncontent-length: 5", Method::HEAD, "nothing", true);
    check("200 OK\r\ncontent-length: 0", Method::GET, "nothing", true);
    check(
        "200 OK\r\ncontent-length: 5\r\nconnection: close",
        Method::GET,
        "5",
        false,
    );
    check(
        "200 OK\r\ntransfer-encoding: Chunked",
        Method::GET,
        "chunked",
        true,
    );
    check(
        "204 No Content\r\ncontent-length: 5",
        Method::GET,
        "nothing",
        true,
    );
    check(
        "304 Not Modified\r\ncontent-length: 5",
        Method::GET,
        "nothing",
        true,
    );
    check("200 OK", Method::GET, "close", false);
    check("200\r\ncontent-length: 1", Method::GET, "1", true);
}

#[test]
fn a_length_that_can_be_read_in_two_ways_is_refused() {
    let refused = |fields: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        read(&head, &Method::GET).unwrap_err();
    };
    refused("content-length: 5\r\ncontent-length: 5");
    refused("content-length: 5, 5");
    refused("content-length: +5");
    refused("content-length:");
    refused("content-length: 5\r\ntransfer-encoding: chunked");
    refused("transfer-encoding: gzip, chunked");
    refused("transfer-encoding: identity");
    refused("transfer-encoding: chunked\r\ntransfer-encoding: chunked");
}

#[test]
fn interim_responses_have_no_body_whatever_they_say() {
    let head = "\r\nHTTP/1.1 103 Early Hints\r\ncontent-length: 5, 5\r\n\r\n";
    let answer = read(head, &Method::GET).unwrap().unwrap();
    assert!(matches!(answer.rest, Remaining::Nothing));
}

#[test]
fn what_is_no_response_is_refused() {
    let refused = |bytes: &str| {
        read(bytes, &Method::GET).unwrap_err();
    };
    refused("HTTP/2 200 OK\r\n\r\n");
    refused("SSH-2.0-x\r\n\r\n");
    refused("HTTP/1.1 20 OK\r\n\r\n");
    refused("HTTP/1.1 2000 OK\r\n\r\n");
    refused("HTTP/1.1 200 OK\r\na b: c\r\n\r\n");
    refused("HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n");
    refused("HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n");
    refused("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    refused(&format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(200)));
    refused(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(6)));
}

#[test]
fn lines_may_end_with_a_line_feed_alone_and_1_0_closes() {
    let answer = read("HTTP/1.0 404 Gone fishing\na: b\n\n", &Method::GET)
        .unwrap()
        .unwrap();
    assert_eq!((answer.head.status, answer.keeps), (StatusCode::NOT_FOUND, false));
    assert_eq!(answer.head.headers["a"], "b");
    let reason = answer.head.extensions.get::<ReasonPhrase>().unwrap();
    assert_eq!(reason.as_bytes(), b"Gone fishing");
    let answer = read(
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\n",
        &Method::GET,
    );
    assert!(answer.unwrap().unwrap().keeps);
}

#[test]
fn one_line_end_too_many_is_skipped_wherever_the_bytes_are_cut() {
    let check = |bytes: &str, read: bool| {
        for cut in 0..bytes.len() {
            let (mut answers, limits) = (
                Answers::default(),
                ResponseHeadLimits {
                    bytes_max: 99,
                    fields_max: 9,
                },
            );
            let mut buffer = BytesMut::from(&bytes[..cut]);
            let early = answers.next(&mut buffer, &limits, &Method::GET);
            let found = early.and_then(|early| {
                buffer.extend_from_slice(&bytes.as_bytes()[cut..]);
                assert!(early.is_none(), "{cut}");
                answers.next(&mut buffer, &limits, &Method::GET)
            });
            assert_eq!(
                found.is_ok_and(|found| found.is_some()),
                read,
                "{bytes:?} cut at {cut}"
            );
        }
    };
    check("\r\nHTTP/1.1 204 No Content\r\n\r\n", true);
    check("\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", false);
}

#[test]
fn a_reason_with_a_control_character_is_refused() {
    let check = |reason: &str, good: bool| {
        let answer = read(
            &format!("HTTP/1.1 200 {reason}\r\ncontent-length: 0\r\n\r\n"),
            &Method::GET,
        );
        assert_eq!(answer.is_ok(), good, "{reason:?}");
    };
    check("OK\rset-cookie: a", false);
    check("OK\0", false);
    check("as\twe say", true);
}
