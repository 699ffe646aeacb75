//! What does a client see when there is no answer: for each kind of error, in the language that it speaks?

mod support;

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use support::{Front, HOST, cluster, everything_to, host, route};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::route::{Route, Split};
use tidegate_testkit::body::full;
use tidegate_testkit::client::{Client, get, post_request};
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream, nobody};
use tidegate_testkit::wire::Wire;

/// Four hosts: one works, one names a cluster that is not there, one has no endpoint, one answers by itself.
async fn front() -> (Front, Upstream) {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let missing = Route::forward(Split::single("not-there", [].into()));
    let empty = Route::forward(Split::single("empty", [].into()));
    let teapot = Route::respond(StatusCode::IM_A_TEAPOT, "short and stout");
    let hosts = [
        host(HOST, vec![route(None)]),
        host("missing.example", vec![Arc::new(missing)]),
        host("empty.example", vec![Arc::new(empty)]),
        host("teapot.example", vec![Arc::new(teapot)]),
    ];
    let empty = tidegate_proxy::cluster::ClusterSettings::new("empty");
    let clusters = [
        cluster(Protocol::Http1, &[upstream.address()]),
        tidegate_proxy::cluster::Cluster::new(empty),
    ];
    (Front::start(Snapshot::new(hosts, clusters)), upstream)
}

#[tokio::test]
async fn each_reason_has_its_status_and_text() {
    let (front, _upstream) = front().await;
    let mut client = Client::http1(front.address).await;
    for (host, status, text) in [
        (HOST, 200, "hello"),
        ("unknown.example", 404, "no route matches this host and path\n"),
        (
            "missing.example",
            503,
            "the route names a cluster that does not exist\n",
        ),
        ("empty.example", 503, "no healthy upstream\n"),
        ("teapot.example", 418, "short and stout"),
    ] {
        let answer = client.get(host, "/").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (status, text),
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_head_that_breaks_the_rules_is_refused_and_ends_the_connection() {
    let (front, upstream) = front().await;
    for (head, status) in [
        ("GET / HTTP/1.1", 400),
        ("GET / HTTP/1.1\r\nhost:", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a", 400),
        ("GET / HTTP/1.1\r\nhost: a b", 400),
        ("GET / HTTP/1.1\r\nhost: user@a", 400),
        ("GET / HTTP/1.1\r\nhost: a:0x50", 400),
        ("GET http://b/ HTTP/1.1\r\nhost: a", 400),
        ("GET /%00 HTTP/1.1\r\nhost: a", 400),
        ("GET /%zz HTTP/1.1\r\nhost: a", 400),
        ("GET a HTTP/1.1\r\nhost: a", 400),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a:80", 405),
        ("GET / HTTP/1.1\r\nhost: a\r\nx : y", 400),
    ] {
        let mut wire = Wire::connect(front.address).await;
        wire.send(format!("{head}\r\n\r\n")).await;
        assert_eq!(wire.message().await.status(), status, "{head}");
        wire.ends().await;
    }
    assert_eq!(upstream.counts().requests(), 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (front, _upstream) = front().await;
    for (target, fields, status) in [
        ("/".to_owned(), "x: y\r\n".repeat(100), 431),
        ("/".to_owned(), "x: y\r\n".repeat(10_000), 431),
        ("/".to_owned(), format!("x: {}\r\n", "y".repeat(70_000)), 431),
        ("/".to_owned(), format!("x: {}\r\n", "y".repeat(1 << 20)), 431),
        (format!("/{}", "y".repeat(64 << 10)), String::new(), 414),
    ] {
        let mut wire = Wire::connect(front.address).await;
        let head = format!("GET {target} HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        // It may be refused before it has been sent whole.
        wire.try_send(head).await.unwrap_or_default();
        assert_eq!(wire.message().await.status(), status);
        wire.ends().await;
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_http_is_a_bad_gateway() {
    for (response, text) in [
        ("nonsense\r\n\r\n", "upstream sent an invalid response\n"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "upstream sent an invalid response\n",
        ),
        ("HTTP/1.1 20", "upstream closed the connection early\n"),
        ("", "upstream closed the connection early\n"),
    ] {
        let upstream = RawUpstream::start(move |mut connection: RawConnection| async move {
            connection.wire.head().await;
            connection.wire.send(response).await;
        })
        .await;
        let front = Front::to(upstream.address());
        let answer = get(front.address, HOST, "/").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (502, text),
            "{response}"
        );
    }
}

/// The status line of gRPC's errors: code and message.
async fn grpc(front: &Front, host: &str) -> (StatusCode, Option<String>, Option<String>) {
    let mut request = post_request(host, "/package.Service/Method", full("call"));
    request
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc+proto"));
    let answer = Client::http2(front.address).await.call(request).await;
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
    assert_eq!(answer.text(), "");
    let field = |name| answer.header(name).map(str::to_owned);
    (answer.status, field("grpc-status"), field("grpc-message"))
}

#[tokio::test]
async fn a_grpc_client_is_told_by_grpc_status() {
    let (front, _upstream) = front().await;
    let (unimplemented, unavailable) = ("12", "14");
    for (host, code, message) in [
        (
            "unknown.example",
            unimplemented,
            "no route matches this host and path",
        ),
        ("empty.example", unavailable, "no healthy upstream"),
    ] {
        let expected = (StatusCode::OK, Some(code.to_owned()), Some(message.to_owned()));
        assert_eq!(grpc(&front, host).await, expected);
    }
    let nobody = Front::to_http2(nobody().await);
    assert_eq!(grpc(&nobody, HOST).await.1.as_deref(), Some(unavailable));
}

#[tokio::test]
async fn grpc_to_an_http1_port_says_what_to_change() {
    let (front, upstream) = front().await;
    let (status, code, message) = grpc(&front, HOST).await;
    assert_eq!((status, code.as_deref()), (StatusCode::OK, Some("12")));
    assert!(message.unwrap().contains("declare it as h2c"));
    assert_eq!(upstream.counts().requests(), 0);
}

#[tokio::test]
async fn an_error_leaves_the_connection_to_the_next_request() {
    let (front, upstream) = front().await;
    drop(upstream);
    let mut client = Client::http1(front.address).await;
    for _ in 0..3 {
        assert_eq!(client.get(HOST, "/").await.status, 503);
        assert_eq!(client.get("unknown.example", "/").await.status, 404);
    }
    front
        .config
        .publish(everything_to(&cluster(Protocol::Http1, &[]), None));
    assert_eq!(client.get("unknown.example", "/").await.status, 503);
}
