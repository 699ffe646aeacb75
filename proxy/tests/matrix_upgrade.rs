//! Does a WebSocket open between every pair of protocols, carry messages both ways, and end with either side?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use support::HOST;
use support::pair::{Between, Pair, Speaks};
use tidegate_testkit::body::Body;
use tidegate_testkit::client::get_request;
use tidegate_testkit::wait::soon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// `hello` as a client sends it, masked with a key of zeros, and as a server does.
const ASKED: &[u8] = b"\x81\x85\0\0\0\0hello";
const ECHOED: &[u8] = b"\x81\x05hello";
/// Close without a code, from a client and from a server.
const CLOSE: &[u8] = b"\x88\x80\0\0\0\0";
const CLOSED: &[u8] = b"\x88\0";

/// What asks for a WebSocket in this protocol: an upgrade, or an extended CONNECT.
fn handshake(speaks: Speaks) -> Request<Body> {
    let mut request = get_request(HOST, "/chat");
    let headers = request.headers_mut();
    headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
    if speaks == Speaks::Http1 {
        headers.insert("connection", HeaderValue::from_static("upgrade"));
        headers.insert("upgrade", HeaderValue::from_static("websocket"));
        headers.insert(
            "sec-websocket-key",
            HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="),
        );
    } else {
        *request.method_mut() = Method::CONNECT;
        request
            .extensions_mut()
            .insert(Protocol::from_static("websocket"));
    }
    request
}

/// The response to a handshake. The client stays open for as long as what is kept of it.
async fn opened(between: &Between, pair: Pair) -> (Response<Incoming>, impl Sized) {
    let mut client = between.client().await;
    if pair.downstream == Speaks::Http1 {
        return (client.send(handshake(pair.downstream)).await.unwrap(), client);
    }
    // After an answer the server's SETTINGS have come, which an extended CONNECT needs.
    client.get(HOST, "/").await;
    (client.send(handshake(pair.downstream)).await.unwrap(), client)
}

async fn tunnel(mut response: Response<Incoming>) -> TokioIo<Upgraded> {
    TokioIo::new(
        soon("the tunnel", hyper::upgrade::on(&mut response))
            .await
            .unwrap(),
    )
}

#[tokio::test]
async fn a_websocket_opens_and_closes_between_every_pair() {
    for pair in Pair::all() {
        let between = pair.start_websocket().await;
        let (response, _client) = opened(&between, pair).await;
        let expected = if pair.downstream == Speaks::Http1 {
            101
        } else {
            200
        };
        assert_eq!(response.status().as_u16(), expected, "{pair:?}");
        let mut tunnel = tunnel(response).await;
        tunnel.write_all(ASKED).await.unwrap();
        let mut echoed = vec![0; ECHOED.len()];
        soon("the echo", tunnel.read_exact(&mut echoed)).await.unwrap();
        assert_eq!(echoed, ECHOED, "{pair:?}");
        tunnel.write_all(CLOSE).await.unwrap();
        let mut rest = Vec::new();
        soon("the end", tunnel.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest, CLOSED, "{pair:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_ends_the_tunnel_between_every_pair() {
    for pair in Pair::all() {
        let between = pair.start_websocket().await;
        let (response, client) = opened(&between, pair).await;
        let tunnel = tunnel(response).await;
        drop((tunnel, client));
        between.front.at_rest().await;
    }
}
