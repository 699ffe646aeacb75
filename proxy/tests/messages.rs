//! What of a message reaches the other side as it was sent, and what ends at the proxy?

mod support;

use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use support::{Front, HOST, http_10};
use tidegate_testkit::body::{Body, empty, full};
use tidegate_testkit::client::{Client, get_request};
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wire::Wire;

#[tokio::test]
async fn a_request_arrives_without_what_ends_here() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(
        "GET /a/./b//%2f?q=%20 HTTP/1.1\r\nHost: A.example:80\r\nConnection: x-mine, keep-alive\r\n\
         X-Mine: 1\r\nKeep-Alive: 5\r\nX-Other: 1\r\nX-Other: 2\r\nX-Forwarded-For: 10.0.0.1\r\n\
         X-Forwarded-Proto: https\r\nForwarded: for=10.0.0.1\r\nProxy-Authorization: x\r\n\r\n",
    )
    .await;
    assert_eq!(wire.message().await.status(), 200);
    let seen = &upstream.seen()[0];
    assert_eq!(seen.uri, "/a/b//%2f?q=%20");
    for (name, value) in [
        ("host", Some("A.example:80")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("forwarded", None),
        ("x-mine", None),
        ("keep-alive", None),
        ("connection", None),
        ("proxy-authorization", None),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
    assert_eq!(seen.headers.get_all("x-other").iter().count(), 2);
}

#[tokio::test]
async fn a_response_arrives_without_what_ends_here() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        let head = "HTTP/1.1 299 Quite Fine\r\nset-cookie: a\r\nset-cookie: b\r\nconnection: x-mine\r\nx-mine: 1\r\n";
        connection.wire.send(format!("{head}keep-alive: timeout=5\r\ncontent-length: 2\r\n\r\nhi")).await;
        connection.wire.rest().await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let message = wire.message().await;
    assert_eq!(message.head.start_line(), "HTTP/1.1 299 Quite Fine");
    assert_eq!(message.head.headers("set-cookie"), ["a", "b"]);
    for gone in ["connection", "x-mine", "keep-alive"] {
        assert_eq!(message.head.header(gone), None, "{gone}");
    }
    assert_eq!(message.text(), "hi");
}

/// Answers as the path and the method say, with a body of five bytes if with any.
async fn five_bytes(request: Request<Incoming>) -> Response<Body> {
    let mut response = Response::new(empty());
    match request.uri().path() {
        "/204" => *response.status_mut() = StatusCode::NO_CONTENT,
        "/304" => *response.status_mut() = StatusCode::NOT_MODIFIED,
        _ if request.method() == Method::HEAD => {
            response.headers_mut().insert("content-length", 5.into());
        }
        _ => *response.body_mut() = full("hello"),
    }
    response
}

#[tokio::test]
async fn answers_without_a_body_keep_their_length_and_the_connection() {
    let upstream = Upstream::start(five_bytes).await;
    for front in [Front::to(upstream.address()), Front::to_http2(upstream.address())] {
        for mut client in [
            Client::http1(front.address).await,
            Client::http2(front.address).await,
        ] {
            for (method, path, status, length) in [
                (Method::HEAD, "/", 200, Some("5")),
                (Method::GET, "/204", 204, None),
                (Method::GET, "/304", 304, None),
                (Method::GET, "/", 200, Some("5")),
            ] {
                let mut request = get_request(HOST, path);
                *request.method_mut() = method.clone();
                let answer = client.call(request).await;
                let found = (answer.status.as_u16(), answer.header("content-length"));
                assert_eq!(found, (status, length), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_length_that_is_known_is_passed_on() {
    let upstream = Upstream::echo().await;
    for front in [Front::to(upstream.address()), Front::to_http2(upstream.address())] {
        for mut client in [
            Client::http1(front.address).await,
            Client::http2(front.address).await,
        ] {
            let request = Request::put(format!("http://{HOST}/"))
                .body(full("hello"))
                .unwrap();
            assert_eq!(client.call(request).await.text(), "hello");
        }
    }
    for seen in upstream.seen() {
        assert_eq!(
            (seen.header("content-length"), seen.header("transfer-encoding")),
            (Some("5"), None)
        );
    }
}

#[tokio::test]
async fn a_get_without_a_body_gets_none_on_the_way() {
    let upstream = Upstream::echo().await;
    for front in [Front::to(upstream.address()), Front::to_http2(upstream.address())] {
        for mut client in [
            Client::http1(front.address).await,
            Client::http2(front.address).await,
        ] {
            client.get(HOST, "/").await;
        }
    }
    for seen in upstream.seen() {
        assert_eq!(
            (seen.header("content-length"), seen.header("transfer-encoding")),
            (None, None)
        );
    }
}

#[tokio::test]
async fn an_http10_client_gets_what_it_can_read() {
    let upstream = Upstream::echo().await;
    let front = Front::speaking(http_10(), upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.0\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    let message = wire.message().await;
    assert_eq!(
        (message.head.start_line().as_str(), message.text().as_str()),
        ("HTTP/1.0 200 OK", "hello")
    );
    assert_eq!(message.head.header("transfer-encoding"), None);
    wire.ends().await;
}

#[tokio::test]
async fn an_http10_client_does_not_take_a_broken_response_for_a_whole_one() {
    let upstream = Upstream::breaking_off("half").await;
    let front = Front::speaking(http_10(), upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    wire.reset_by_peer().await;
}

#[tokio::test]
async fn a_body_that_waits_for_permission_gets_it() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(wire.head().await.status(), 100);
    wire.send("hello").await;
    assert_eq!(wire.message().await.text(), "hello");
}

#[tokio::test]
async fn options_of_the_server_itself_pass() {
    let upstream = Upstream::start(async |_| {
        let mut response = Response::new(empty());
        response
            .headers_mut()
            .insert("allow", HeaderValue::from_static("GET"));
        response
    })
    .await;
    for front in [Front::to(upstream.address()), Front::to_http2(upstream.address())] {
        let mut wire = Wire::connect(front.address).await;
        wire.send("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(wire.message().await.head.header("allow").as_deref(), Some("GET"));
    }
    let targets: Vec<_> = upstream
        .seen()
        .iter()
        .map(|seen| seen.uri.path().to_owned())
        .collect();
    assert_eq!(targets, ["*", "*"]);
}
