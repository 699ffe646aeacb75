//! WebSocket, server-sent events and gRPC pass through, also as the very first request at zero.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

mod support;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::BodyExt;
use support::{Up, service};
use tidegate_testkit::body;
use tidegate_testkit::client::Client;
use tidegate_testkit::wait::soon;
use tidegate_testkit::websocket::WebSocket;
use tidegate_testkit::wire::Wire;

#[tokio::test]
async fn a_websocket_opens_at_zero_and_echoes() {
    let up = Up::start(&service("ws", "websocket", ""), &[]).await;
    let mut socket = WebSocket::connect(up.http, "ws.default.localhost", "/")
        .await
        .unwrap();
    for text in ["first", "second"] {
        socket.say(text).await;
        assert_eq!(socket.hear().await, text);
    }
    socket.close().await;
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn events_arrive_one_by_one_from_zero() {
    let up = Up::start(&service("sse", "sse", ""), &["--drain-timeout=1s"]).await;
    let mut client = Wire::connect(up.http).await;
    // An hour between events: only what is sent at once can arrive.
    client
        .send("GET /?interval=3600000&count=2 HTTP/1.1\r\nhost: sse.default.localhost\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.header("content-type").as_deref(), Some("text/event-stream"));
    assert!(head.header("server-timing").is_some());
    while !soon("the first event", client.line()).await.starts_with("data:") {}
    assert_eq!(up.stop().await, Some(0));
}

fn grpc(method: &str, body: body::Body) -> Request<body::Body> {
    Request::post(format!(
        "http://grpc.default.localhost/tidegate.sample.Echo/{method}"
    ))
    .version(Version::HTTP_2)
    .header("content-type", "application/grpc")
    .header("te", "trailers")
    .body(body)
    .unwrap()
}

/// A gRPC message of `tidegate.sample.Text { string message = 1; }`.
fn framed(text: &str) -> Bytes {
    let len = u8::try_from(text.len()).unwrap();
    let mut bytes = vec![0, 0, 0, 0, len + 2, 0x0a, len];
    bytes.extend_from_slice(text.as_bytes());
    bytes.into()
}

fn h2c(name: &str) -> String {
    service(name, "grpc", "").replace(
        "sample, grpc]",
        "sample, grpc]\n        ports:\n        - name: h2c",
    )
}

#[tokio::test]
async fn a_unary_call_is_answered_from_zero_with_its_trailers() {
    let up = Up::start(&h2c("grpc"), &[]).await;
    let mut client = Client::http2(up.http).await;
    let response = client
        .send(grpc("Say", body::full(framed("hello"))))
        .await
        .unwrap();
    assert!(response.headers().contains_key("server-timing"));
    let whole = response.into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(whole.to_bytes(), framed("hello"));
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn a_bidirectional_stream_opens_at_zero_and_flows_both_ways() {
    let up = Up::start(&h2c("grpc"), &[]).await;
    let mut client = Client::http2(up.http).await;
    let (feed, sent) = body::fed();
    assert!(feed.data(framed("one")).await);
    let mut response = client.send(grpc("Chat", sent)).await.unwrap();
    for text in ["one", "two", "three"] {
        if text != "one" {
            assert!(feed.data(framed(text)).await);
        }
        let frame = soon("an answer", response.body_mut().frame())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(frame.into_data().unwrap(), framed(text));
    }
    drop((client, response, feed));
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn grpc_to_a_port_that_is_not_named_h2c_says_so() {
    let up = Up::start(&service("grpc", "grpc", ""), &[]).await;
    let mut client = Client::http2(up.http).await;
    let answer = client.call(grpc("Say", body::full(framed("hello")))).await;
    assert_eq!(answer.header("grpc-status"), Some("12"));
    assert!(
        answer.header("grpc-message").unwrap().contains("h2c"),
        "{answer:?}"
    );
    assert_eq!(up.stop().await, Some(0));
}
