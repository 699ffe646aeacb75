//! What does an access log say about a request, whatever became of it, and can a client make it say something else?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use support::{CLUSTER, Front, HOST, by_policy, cluster, host, listen, with_endpoints};
use tidegate_proxy::cluster::{ClusterSettings, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::filter::probe::{Probe, Readiness};
use tidegate_proxy::filter::{ExtAuthz, Filter as RouteFilter, RateLimit};
use tidegate_proxy::listener::Connections;
use tidegate_proxy::observe::access_log::{
    AccessLog, FileSink, Filter, Format, FormatError, Sink, Target, ValueMatch,
};
use tidegate_proxy::route::policy::{RetryOn, RetryPolicy};
use tidegate_proxy::route::{ForwardPolicy, Matcher, Route, Split};
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
    let check = async |head: &str, status: u16, expected: &str| {
        let (lines, http) = text("%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%");
        let front = Front::speaking(http, nobody().await);
        let mut wire = Wire::connect(front.address).await;
        wire.send(head).await;
        assert_eq!(wire.message().await.head.status(), status);
        assert_eq!(lines.first().await, expected);
    };
    let codec = "- 400 DPE http1.codec_error";
    check("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, codec).await;
    check("GET / HTTP/1.1\r\nhost: a\r\nx y: 1\r\n\r\n", 400, codec).await;
    check("GET / HTTP/1.0\r\n\r\n", 426, "- 426 DPE low_version").await;
}

/// Why a response is what it is, where these filters are in front of an upstream.
async fn reason(filters: &[RouteFilter], app: SocketAddr, service: SocketAddr) -> String {
    let (lines, http) = text("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%");
    let mut route = Route::forward(Split::single(CLUSTER, [].into()));
    route.filters = filters.iter().cloned().collect();
    let clusters = [
        cluster(Protocol::Http1, &[app]),
        with_endpoints(ClusterSettings::new("authz"), &[service]),
    ];
    let snapshot = Snapshot::new([host("*", vec![Arc::new(route)])], clusters);
    let listener = listen(NonZeroUsize::MIN, Connections::default()).speaking(http);
    get(Front::behind(listener, snapshot).address, HOST, "/").await;
    lines.first().await
}

#[tokio::test]
async fn an_answer_of_a_filter_says_which_one_it_is_of_in_envoys_words() {
    let app = Upstream::echo().await.address();
    let service = Upstream::fixed(StatusCode::UNAUTHORIZED, "no").await;
    let ask = |status| {
        let mut ask = ExtAuthz::new("authz", "").expect("a prefix");
        ask.status_on_error = status;
        RouteFilter::ExtAuthz(Arc::new(ask))
    };
    let denied = reason(&[ask(StatusCode::FORBIDDEN)], app, service.address()).await;
    assert_eq!(denied, "401 UAEX ext_authz_denied");
    let nobody = nobody().await;
    for (status, expected) in [
        (403, "403 UAEX ext_authz_error"),
        (502, "502 UAEX ext_authz_error"),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        assert_eq!(reason(&[ask(status)], app, nobody).await, expected);
    }
    let empty = |status| {
        let limit = RateLimit::new(1, 1, Duration::from_secs(3600)).expect("a limit");
        RouteFilter::RateLimit(Arc::new(limit.with_status(status)))
    };
    for (status, expected) in [
        (429, "429 RL local_rate_limited"),
        (503, "503 RL local_rate_limited"),
    ] {
        let limit = empty(StatusCode::from_u16(status).expect("a status"));
        // The second one finds what the first has left: nothing.
        assert_eq!(reason(&[limit.clone(), limit], app, nobody).await, expected);
    }
    let readiness = Readiness::default();
    let probe = RouteFilter::Probe(Arc::new(Probe::new(Matcher::default(), readiness.clone())));
    assert_eq!(
        reason(std::slice::from_ref(&probe), app, nobody).await,
        "200 - health_check_ok"
    );
    readiness.set_failing(true);
    assert_eq!(reason(&[probe], app, nobody).await, "503 LH health_check_failed");
}

#[tokio::test]
async fn tries_that_are_used_up_have_a_flag_beside_that_of_the_last_one() {
    let check = async |app: SocketAddr, on: RetryOn, expected: &str| {
        let (lines, http) = text("%RESPONSE_CODE% %RESPONSE_FLAGS%");
        let retry = RetryPolicy {
            backoff_base: Duration::from_millis(1),
            ..RetryPolicy::on([on])
        };
        let policy = ForwardPolicy {
            retry: Some(retry),
            ..ForwardPolicy::default()
        };
        let snapshot = by_policy(&cluster(Protocol::Http1, &[app]), policy);
        let listener = listen(NonZeroUsize::MIN, Connections::default()).speaking(http);
        get(Front::behind(listener, snapshot).address, HOST, "/").await;
        assert_eq!(lines.first().await, expected);
    };
    let busy = Upstream::fixed(StatusCode::SERVICE_UNAVAILABLE, "busy").await;
    let on_busy = RetryOn::Status(StatusCode::SERVICE_UNAVAILABLE);
    check(busy.address(), on_busy, "503 URX").await;
    check(busy.address(), RetryOn::ConnectFailure, "503 -").await;
    check(nobody().await, RetryOn::ConnectFailure, "503 URX,UF").await;
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
