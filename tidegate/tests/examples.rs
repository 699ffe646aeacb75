//! Does every file in `examples/` do what it says, from zero?

#![expect(clippy::expect_used, reason = "a test reports by panicking")]

mod support;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use support::Up;
use tidegate_testkit::body::full;
use tidegate_testkit::client::{Client, post_request};
use tidegate_testkit::websocket::WebSocket;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// All examples in one file, as `tidegate up examples` would read them.
fn all() -> String {
    let entries = folder()
        .read_dir()
        .expect("the examples")
        .map(|entry| entry.expect("an example").path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let texts: Vec<_> = files
        .map(|path| std::fs::read_to_string(path).expect("an example"))
        .collect();
    texts.join("---\n")
}

#[tokio::test]
async fn the_first_request_of_each_is_answered() {
    let up = Up::start(&all(), &[]).await;
    let check = async |name: &str, path: &str, part: &str| {
        let answer = up.get(&format!("{name}.default.localhost"), path).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert!(answer.text().contains(part), "{name}: {}", answer.text());
    };
    check("hello", "/", "Hello World!\n").await;
    check("echo", "/path?query", "GET /path?query HTTP/1.1\n").await;
    check("sleep", "/?ms=1", "\"concurrencyMax\":1").await;
    check("sse", "/?count=2&interval=1", "event 2 of 2").await;
    check("websocket", "/", "new WebSocket").await;
    check("greeter", "/", "Hello reader of a ConfigMap!").await;
    check("rollout", "/", "Hello one!").await;
    check("next-rollout", "/", "Hello one!").await;
    check("blue-split", "/", "Hello blue!").await;
    check("green-split", "/", "Hello green!").await;
    check("split", "/", "Hello ").await;
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn the_first_message_of_the_websocket_is_echoed() {
    let up = Up::start(&all(), &[]).await;
    let connected = WebSocket::connect(up.http, "websocket.default.localhost", "/").await;
    let mut socket = connected.expect("an upgrade");
    socket.say("hello").await;
    assert_eq!(socket.hear().await, "hello");
    socket.close().await;
}

#[tokio::test]
async fn the_first_grpc_call_is_answered() {
    let up = Up::start(&all(), &[]).await;
    let message = Bytes::from_static(b"\0\0\0\0\x04\x0a\x02hi");
    let mut call = post_request(
        "grpc.default.localhost",
        "/tidegate.sample.Echo/Say",
        full(message.clone()),
    );
    call.headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let answer = Client::http2(up.http).await.call(call).await;
    assert_eq!(answer.body, message);
    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
}
