//! What does an access log say about a request, whatever became of it, and can a client make it say something else?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::sync::{Arc, Mutex};

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use support::{Front, HOST};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::observe::access_log::{
    AccessLog, FileSink, Filter, Format, FormatError, Sink, Target, ValueMatch,
};
use tidegate_testkit::body::full;
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{Upstream, nobody};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;

/// Keeps the lines.
#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl Sink for Lines {
    fn write(&self, line: Vec<u8>) {
        let line = String::from_utf8(line).expect("lines are UTF-8");
        self.0.lock().expect("no panic so far").push(line);
    }
}

impl Lines {
    async fn first(&self) -> String {
        eventually("a line", async || {
            self.0.lock().expect("no panic so far").first().cloned()
        })
        .await
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic so far").clone()
    }
}

fn logging(log: AccessLog) -> HttpSettings {
    HttpSettings {
        access_logs: vec![log],
        ..HttpSettings::default()
    }
}

/// A log in this format, and its lines.
fn text(format: &str) -> (Arc<Lines>, HttpSettings) {
    let lines = Arc::new(Lines::default());
    let log = AccessLog::new(Format::text(format).expect("a format"), lines.clone());
    (lines, logging(log))
}

#[tokio::test]
async fn the_default_format_is_envoys() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let lines = Arc::new(Lines::default());
    let http = logging(AccessLog::new(Format::default(), lines.clone()));
    let front = Front::speaking(http, upstream.address());
    let mut request = post_request(HOST, "/path?query", full("body"));
    let agent = HeaderValue::from_static("test/1");
    request.headers_mut().insert("user-agent", agent);
    Client::http1(front.address).await.call(request).await;
    let line = lines.first().await;
    let (time, rest) = line.split_once("] ").unwrap();
    assert_eq!(time.len(), "[2026-11-25T16:00:00.000Z".len(), "{time}");
    let words: Vec<_> = rest.split(' ').collect();
    assert_eq!(
        words[..7],
        ["\"POST", "/path?query", "HTTP/1.1\"", "200", "-", "4", "5"]
    );
    assert_eq!(words[8..9], ["-"], "{line}");
    assert!(line.contains("\"test/1\" \"-\""), "{line}");
    let end = format!("\"{HOST}\" \"{}\"\n", upstream.address());
    assert!(line.ends_with(&end), "{line}");
}

#[tokio::test]
async fn a_failure_has_its_flag_its_details_and_what_the_transport_said() {
    let dead = nobody().await;
    let (lines, http) = text(
        "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER% \
         %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_TRANSPORT_FAILURE_REASON%",
    );
    let front = Front::speaking(http, dead);
    get(front.address, HOST, "/").await;
    let line = lines.first().await;
    let expected = "503 UF UpstreamConnectionFailure \
         upstream_reset_before_response_started{remote_connection_failure} app 1 ";
    let reason = line.strip_prefix(expected).expect(&line);
    assert!(!reason.is_empty() && !reason.contains(' '), "{reason}");
}

#[tokio::test]
async fn an_upstream_that_breaks_off_and_a_client_that_leaves_are_told_apart() {
    let upstream = Upstream::breaking_off("half").await;
    let (lines, http) = text("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_SENT%");
    let front = Front::speaking(http, upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
    wire.rest().await;
    let broken = "200 UC upstream_reset_after_response_started{connection_termination} 4";
    assert_eq!(lines.first().await, broken);

    let upstream = Upstream::held(&Gate::closed()).await;
    let (lines, http) = text("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_SENT%");
    let front = Front::speaking(http, upstream.address());
    let mut streams = Client::http2(front.address).await;
    let given_up = streams.send(get_request(HOST, "/"));
    tokio::select! { _ = given_up => panic!("the gate is closed"), () = upstream.runs(1) => {} }
    assert_eq!(lines.first().await, "0 DC downstream_remote_disconnect 0");
}

#[tokio::test]
async fn json_has_numbers_and_nulls_or_leaves_out_what_is_not_known() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let shape = json!({
        "status": "%RESPONSE_CODE%",
        "line": "%REQ(:METHOD)% %REQ(:PATH)%",
        "nested": { "tls": "%DOWNSTREAM_TLS_VERSION%" },
        "fixed": 7,
    });
    let check = async |omit: bool, expected: Value| {
        let format = Format::json(&shape).expect("a format");
        let format = if omit { format.omit_empty() } else { format };
        let lines = Arc::new(Lines::default());
        let front = Front::speaking(logging(AccessLog::new(format, lines.clone())), upstream.address());
        get(front.address, HOST, "/").await;
        let line: Value = serde_json::from_str(&lines.first().await).expect("JSON");
        assert_eq!(line, expected);
    };
    let known = json!({ "status": 200, "line": "GET /", "nested": { "tls": null }, "fixed": 7 });
    check(false, known).await;
    check(true, json!({ "status": 200, "line": "GET /", "fixed": 7 })).await;
}

#[tokio::test]
async fn no_client_can_forge_a_line() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (lines, http) = text("\"%REQ(X-ONE)%\" \"%REQ(X-TWO):4%\"");
    let front = Front::speaking(http, upstream.address());
    let mut wire = Wire::connect(front.address).await;
    let mut head =
        format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nx-two: abcdefgh\r\nx-one: a\" \"b\\\t").into_bytes();
    head.extend_from_slice(b"\xff\r\n\r\n");
    wire.send(head).await;
    assert_eq!(wire.message().await.head.status(), 200);
    assert_eq!(lines.first().await, r#""a\x22 \x22b\x5c\x09\xff" "abcd""#);
}

#[tokio::test]
async fn what_the_codec_refuses_is_logged_too() {
    let (lines, http) = text("%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_SENT%");
    let front = Front::speaking(http, nobody().await);
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    let refused = wire.message().await;
    assert_eq!(refused.head.status(), 400);
    let line = lines.first().await;
    assert!(
        line.starts_with("- 400 DPE ") || line.starts_with("GET 400 DPE "),
        "{line}"
    );
}

#[tokio::test]
async fn filters_choose_what_is_logged() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let probe = Filter::RequestField(
        HeaderName::from_static("user-agent"),
        ValueMatch::Prefix("probe/".into()),
    );
    let filter = Filter::All(vec![
        Filter::Not(Box::new(probe)),
        Filter::Any(vec![Filter::StatusAtLeast(500), Filter::Sample(1_000_000)]),
        Filter::Not(Box::new(Filter::Flag(Vec::new()))),
    ]);
    let lines = Arc::new(Lines::default());
    let format = Format::text("%REQ(:PATH)%").expect("a format");
    let log = AccessLog::new(format, lines.clone()).only(filter);
    let front = Front::speaking(logging(log), upstream.address());
    let mut client = Client::http1(front.address).await;
    let mut probe = get_request(HOST, "/probe");
    let agent = HeaderValue::from_static("probe/2");
    probe.headers_mut().insert("user-agent", agent);
    client.call(probe).await;
    client.get(HOST, "/user").await;
    front.at_rest().await;
    assert_eq!(lines.all(), ["/user"]);
}

#[test]
fn a_wrong_format_names_the_place_and_the_operator() {
    let check = |format: &str, position: usize, problem: &str| {
        let error: FormatError = Format::text(format).unwrap_err();
        assert_eq!(
            (error.position, error.problem.as_str()),
            (position, problem),
            "{format}"
        );
    };
    check("ok %BOGUS%", 3, "there is no operator BOGUS");
    check("%REQ%", 0, "REQ needs an argument in parentheses");
    check("a %REQ(a b)%", 2, "REQ: 'a b' is not the name of a field");
    check("%PROTOCOL", 0, "the operator is not closed with '%'");
    check("%REQ(x", 0, "the '(' is not closed");
    check("%REQ(x):y%", 0, "the length after ':' is not a number");
    check(
        "%START_TIME(%Q)%",
        0,
        "START_TIME: nothing is known that begins at byte 0 of '%Q'",
    );
    let nested = Format::json(&json!({ "a": { "b": "%NO%" } })).unwrap_err();
    assert_eq!(nested.problem, "in 'a.b': there is no operator NO");
}

#[tokio::test]
async fn a_file_gets_every_line_and_is_opened_anew_when_it_was_moved() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("access.log");
    let sink = Arc::new(FileSink::open(Target::File(path.clone())).expect("a file"));
    let format = Format::text("%REQ(:PATH)%\n").expect("a format");
    let front = Front::speaking(logging(AccessLog::new(format, sink.clone())), upstream.address());
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    get(front.address, HOST, "/1").await;
    eventually("the first line", async || read(&path) == "/1\n").await;
    let moved = directory.path().join("access.log.1");
    std::fs::rename(&path, &moved).expect("a rename");
    sink.reopen();
    get(front.address, HOST, "/2").await;
    eventually("the second line", async || read(&path) == "/2\n").await;
    assert_eq!((read(&moved).as_str(), sink.dropped()), ("/1\n", 0));
}

#[test]
fn a_file_that_is_closed_has_every_line_and_takes_no_more() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let sink = FileSink::open(Target::File(file.path().to_owned())).expect("a file");
    for line in 0..1000 {
        sink.write(format!("{line}\n").into_bytes());
    }
    sink.close();
    sink.write(b"late\n".to_vec());
    let written = std::fs::read_to_string(file.path()).expect("the file");
    assert_eq!((written.lines().count(), sink.dropped()), (1000, 1));
}

/// Every operator that is listed, in one line: what is known of a plain request is said.
#[tokio::test]
async fn every_operator_says_something_or_a_dash() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (lines, http) = text(
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% \
         %REQUESTED_SERVER_NAME% %ROUTE_NAME% %PROTOCOL% %REQUEST_HEADERS_BYTES% %GRPC_STATUS% %GRPC_STATUS_NUMBER% \
         %RESP(CONTENT-TYPE)% %TRAILER(X)% %ENVIRONMENT(NO_SUCH_VARIABLE)% %REQ(:SCHEME?HOST)% %UPSTREAM_HOST% 100%%",
    );
    let front = Front::speaking(http, upstream.address());
    Client::http2(front.address).await.get(HOST, "/").await;
    let line = lines.first().await;
    let words: Vec<_> = line.split(' ').collect();
    assert_eq!(
        words[..5],
        ["127.0.0.1", "127.0.0.1", "-", "-", "HTTP/2"],
        "{line}"
    );
    assert!(words[5].parse::<u32>().unwrap() > 0, "{line}");
    assert_eq!(words[6..8], ["-", "-"], "{line}");
    let end = format!("{} 100%", upstream.address());
    assert!(line.ends_with(&end), "{line}");
}
