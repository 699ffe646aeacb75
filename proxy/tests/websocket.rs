//! Does a WebSocket pass, from the upgrade to the last byte, and does nothing else turn into a tunnel?

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Response, StatusCode};
use support::{Front, HOST, cluster, everything_to};
use tidegate_proxy::Body;
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::http::{DownstreamTimeouts, HttpSettings};
use tidegate_proxy::layers::Layers;
use tidegate_proxy::listener::Connections;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::soon;
use tidegate_testkit::websocket::WebSocket;
use tidegate_testkit::wire::Wire;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tower::util::MapResponseLayer;

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[tokio::test]
async fn messages_pass_both_ways_until_an_orderly_close() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let mut socket = WebSocket::connect(front.address, HOST, "/chat").await.unwrap();
    for text in ["one", "two", &"long ".repeat(100_000)] {
        socket.say(text).await;
        assert_eq!(socket.hear().await, text);
    }
    socket.close().await;
    let seen = &upstream.seen()[0];
    assert_eq!(
        (seen.header("upgrade"), seen.header("connection")),
        (Some("websocket"), Some("upgrade"))
    );
    assert_eq!(seen.header("sec-websocket-version"), Some("13"));
}

#[tokio::test]
async fn bytes_that_come_with_the_heads_are_not_lost() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection.wire.send(format!("{SWITCH}from upstream")).await;
        assert_eq!(connection.wire.bytes(11).await, b"from client");
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(format!("{UPGRADE}from client")).await;
    assert_eq!(wire.head().await.status(), 101);
    assert_eq!(wire.rest().await, b"from upstream");
    upstream.finish().await;
}

#[tokio::test]
async fn one_direction_survives_the_end_of_the_other() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection.wire.send(SWITCH).await;
        assert_eq!(connection.wire.rest().await, b"last words");
        connection.wire.send("heard").await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(UPGRADE).await;
    assert_eq!(wire.head().await.status(), 101);
    wire.send("last words").await;
    wire.half_close().await;
    assert_eq!(wire.rest().await, b"heard");
    upstream.finish().await;
}

#[tokio::test]
async fn an_upstream_that_declines_is_an_ordinary_answer() {
    for status in [StatusCode::UPGRADE_REQUIRED, StatusCode::OK] {
        let upstream = Upstream::fixed(status, "not today").await;
        let front = Front::to(upstream.address());
        let mut wire = Wire::connect(front.address).await;
        for _ in 0..2 {
            wire.send(UPGRADE).await;
            let message = wire.message().await;
            assert_eq!(
                (message.status(), message.text().as_str()),
                (status.as_u16(), "not today")
            );
        }
        assert_eq!(upstream.counts().connections(), 1);
    }
}

/// Whether it is one is decided by the answer to the upgrade, and nothing of it leaves before.
#[tokio::test]
async fn a_request_behind_an_upgrade_is_one_only_if_there_is_no_tunnel() {
    let behind = "GET /behind HTTP/1.1\r\nhost: a\r\n\r\n";
    let upstream = Upstream::fixed(StatusCode::OK, "not today").await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(format!("{UPGRADE}{behind}")).await;
    for path in ["/chat", "/behind"] {
        assert_eq!(wire.message().await.text(), "not today");
        assert_eq!(
            upstream
                .seen()
                .last()
                .map(|seen| seen.uri.path().to_owned())
                .as_deref(),
            Some(path)
        );
    }
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection.wire.send(SWITCH).await;
        assert_eq!(connection.wire.head().await.start_line(), "GET /behind HTTP/1.1");
        connection.wire.send("as it came").await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(format!("{UPGRADE}{behind}")).await;
    assert_eq!(wire.head().await.status(), 101);
    assert_eq!(wire.rest().await, b"as it came");
    assert_eq!(upstream.connections(), 1);
    upstream.finish().await;
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_moves_is_cut_where_the_listener_says_so() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection.wire.send(SWITCH).await;
        connection.wire.rest().await;
    })
    .await;
    let timeouts = DownstreamTimeouts {
        tunnel_idle: Some(Duration::from_millis(50)),
        ..DownstreamTimeouts::default()
    };
    let http = HttpSettings {
        timeouts,
        ..HttpSettings::default()
    };
    let front = Front::speaking(http, upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(UPGRADE).await;
    assert_eq!(wire.head().await.status(), 101);
    wire.ends().await;
    upstream.finish().await;
}

#[tokio::test]
async fn a_switch_that_was_not_asked_for_is_a_bad_gateway() {
    let other = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n";
    for (request, switch) in [("GET / HTTP/1.1\r\nhost: a\r\n\r\n", SWITCH), (UPGRADE, other)] {
        let upstream = RawUpstream::start(move |mut connection: RawConnection| async move {
            connection.wire.head().await;
            connection.wire.send(switch).await;
            connection.wire.ends().await;
        })
        .await;
        let front = Front::to(upstream.address());
        let mut wire = Wire::connect(front.address).await;
        wire.send(request).await;
        let message = wire.message().await;
        assert_eq!((message.status(), message.head.header("upgrade")), (502, None));
        upstream.finish().await;
    }
}

#[tokio::test]
async fn a_tunnels_connection_never_serves_another_request() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let mut socket = WebSocket::connect(front.address, HOST, "/").await.unwrap();
    let answer = tidegate_testkit::client::get(front.address, HOST, "/").await;
    assert_eq!(answer.status, 426);
    socket.say("still here").await;
    assert_eq!(socket.hear().await, "still here");
    assert_eq!(upstream.counts().connections(), 2);
}

#[tokio::test]
async fn other_upgrades_are_ignored() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    for protocol in ["h2c", "H2C", "TLS/1.0", "unheard-of", "websocket2"] {
        wire.send(format!(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: {protocol}\r\n\
             http2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
        ))
        .await;
        assert_eq!(wire.message().await.status(), 200, "{protocol}");
        let seen = upstream.seen().pop().unwrap();
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(seen.header(name), None, "{protocol}: {name}");
        }
    }
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_refused() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    for field in ["content-length: 2", "transfer-encoding: chunked"] {
        let mut wire = Wire::connect(front.address).await;
        wire.send(UPGRADE.replace("sec-websocket-version: 13", field))
            .await;
        assert_eq!(wire.message().await.status(), 400, "{field}");
    }
    assert_eq!(upstream.counts().requests(), 0);
}

#[tokio::test]
async fn an_http2_port_says_that_it_has_no_websockets() {
    let upstream = Upstream::echo().await;
    let front = Front::to_http2(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(UPGRADE).await;
    let message = wire.message().await;
    assert_eq!(message.status(), 502);
    assert!(message.text().contains("h2c"), "{}", message.text());
}

#[tokio::test]
async fn what_a_body_holds_is_held_to_the_tunnels_end() {
    let (lease, mut returned) = oneshot::channel::<()>();
    let lease = Arc::new(Mutex::new(Some(lease)));
    let hold = MapResponseLayer::new(move |response: Response<Body>| {
        let lease = lease.lock().unwrap().take();
        response.map(|body| body.hold(lease))
    });
    // A layer that wraps the body must not come between the connections.
    let wrap = tower_http::timeout::ResponseBodyTimeoutLayer::new(Duration::from_secs(600));
    let upstream = Upstream::websocket().await;
    let layers = Layers::new(tower::ServiceBuilder::new().layer(wrap).layer(hold));
    let front = Front::through(layers, upstream.address());
    let mut socket = WebSocket::connect(front.address, HOST, "/").await.unwrap();
    for text in ["one", "two"] {
        socket.say(text).await;
        assert_eq!(socket.hear().await, text);
        assert_eq!(returned.try_recv(), Err(TryRecvError::Empty));
    }
    socket.close().await;
    soon("the lease back", returned).await.unwrap_err();
}

#[tokio::test]
async fn a_tunnel_counts_as_a_connection() {
    let upstream = Upstream::websocket().await;
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::start_at_most(snapshot, Connections::at_most(1));
    let mut socket = WebSocket::connect(front.address, HOST, "/").await.unwrap();
    let mut second = Wire::connect(front.address).await;
    second.send("GET / HTTP/1.1\r\nhost: app.example\r\n\r\n").await;
    socket.say("still here").await;
    assert_eq!(socket.hear().await, "still here");
    assert_eq!(front.books.totals().accepted, 1);
    drop(socket);
    second.message().await;
}
