//! Do the scripted upstreams do what their script says, over both protocols?

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Version};

use super::*;
use crate::body::fed;
use crate::client::{Answer, Client, get, get_request, post_request};
use crate::websocket::WebSocket;
use crate::wire::Wire;

#[tokio::test]
async fn echo_streams_back_over_both_protocols() {
    let upstream = Upstream::echo().await;
    let clients = [
        Client::http1(upstream.address()).await,
        Client::http2(upstream.address()).await,
    ];
    for mut client in clients {
        let mut request = post_request("a.example", "/x?y", body::full("hello"));
        request
            .headers_mut()
            .insert(CONTENT_TYPE, "text/x".parse().expect("a header"));
        let answer = client.call(request).await;
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.header("content-type"), Some("text/x"));
    }
    let seen = upstream.seen();
    assert_eq!(
        seen.iter().map(|seen| seen.version).collect::<Vec<_>>(),
        [Version::HTTP_11, Version::HTTP_2]
    );
    assert_eq!(seen[0].header("host"), Some("a.example"));
    assert_eq!(seen[1].uri, "http://a.example/x?y");
    assert_eq!((seen[0].connection, seen[1].connection), (1, 2));
}

#[tokio::test]
async fn echo_is_bidirectional_and_keeps_trailers() {
    let upstream = Upstream::echo().await;
    let mut client = Client::http2(upstream.address()).await;
    let (feed, body) = fed();
    let response = client
        .send(post_request("a.example", "/", body))
        .await
        .expect("a head before the end");
    assert!(feed.data("first").await);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "yes".parse().expect("a header"));
    let (answer, _) = tokio::join!(Answer::read(response), feed.trailers(trailers));
    let answer = answer.expect("the body ends well");
    assert_eq!(answer.text(), "first");
    assert_eq!(answer.trailers.expect("trailers")["x-end"], "yes");
}

#[tokio::test]
async fn held_requests_are_counted_while_they_run() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let mut client = Client::http2(upstream.address()).await;
    let first = client.send(get_request("a.example", "/1"));
    let second = client.send(get_request("a.example", "/2"));
    let scenario = async {
        upstream.runs(2).await;
        gate.open();
    };
    let (first, second, ()) = tokio::join!(first, second, scenario);
    assert_eq!(
        Answer::read(first.expect("an answer"))
            .await
            .expect("a body")
            .text(),
        "held"
    );
    drop(second);
    upstream.runs(0).await;
    assert_eq!(upstream.counts().running_max(), 2);
    assert_eq!(upstream.counts().connections(), 1);
}

#[tokio::test]
async fn a_body_breaks_off_after_its_text() {
    let upstream = Upstream::breaking_off("half").await;
    let mut wire = Wire::connect(upstream.address()).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(
        wire.head().await.header("transfer-encoding").as_deref(),
        Some("chunked")
    );
    assert_eq!(wire.rest().await, b"4\r\nhalf\r\n");
}

#[tokio::test]
async fn cut_connections_end_and_the_port_stays() {
    let upstream = Upstream::fixed(StatusCode::OK, "here").await;
    let mut wire = Wire::connect(upstream.address()).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(wire.message().await.text(), "here");
    upstream.cut_connections();
    wire.ends().await;
    assert_eq!(get(upstream.address(), "a.example", "/").await.text(), "here");
}

#[tokio::test]
async fn websocket_messages_come_back() {
    let upstream = Upstream::websocket().await;
    let mut socket = WebSocket::connect(upstream.address(), "a.example", "/")
        .await
        .expect("an upgrade");
    socket.say("one").await;
    assert_eq!(socket.hear().await, "one");
    socket.close().await;
    assert_eq!(
        get(upstream.address(), "a.example", "/").await.status,
        StatusCode::UPGRADE_REQUIRED
    );
}

#[tokio::test]
#[should_panic(expected = "a script failed")]
async fn a_script_that_fails_fails_the_test() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        assert_eq!(connection.wire.line().await, "something else");
    })
    .await;
    let mut wire = Wire::connect(upstream.address()).await;
    wire.send("a line\r\n").await;
    wire.ends().await;
    upstream.finish().await;
}
