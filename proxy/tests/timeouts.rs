//! When does a route's time end a request, and what does the client see of it?

mod support;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use support::{Front, HOST, by_policy, cluster};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::http::{DownstreamTimeouts, HttpSettings};
use tidegate_proxy::listener::Connections;
use tidegate_proxy::route::ForwardPolicy;
use tidegate_proxy::route::policy::RouteTimeouts;
use tidegate_testkit::body;
use tidegate_testkit::client::{Client, get, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wire::Wire;

const SHORT: Duration = Duration::from_millis(100);

async fn front(timeouts: RouteTimeouts, protocol: Protocol, upstream: SocketAddr) -> Front {
    let policy = ForwardPolicy {
        timeouts,
        ..ForwardPolicy::default()
    };
    Front::start(by_policy(&cluster(protocol, &[upstream]), policy))
}

fn request_timeout() -> RouteTimeouts {
    RouteTimeouts {
        request: Some(SHORT),
        ..RouteTimeouts::default()
    }
}

/// Begins every response, and ends none.
async fn beginning() -> RawUpstream {
    RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
        connection.wire.send(head).await;
        connection.wire.rest().await;
    })
    .await
}

#[tokio::test]
async fn an_answer_that_is_late_is_504() {
    let upstream = Upstream::held(&Gate::closed()).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let front = front(request_timeout(), protocol, upstream.address()).await;
        let answer = get(front.address, HOST, "/").await;
        let expected = (504, "request timeout\n");
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), expected);
        upstream.runs(0).await;
    }
}

#[tokio::test]
async fn an_answer_that_started_in_time_and_does_not_end_is_cut() {
    let upstream = beginning().await;
    let front = front(request_timeout(), Protocol::Http1, upstream.address()).await;
    let mut client = Wire::connect(front.address).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
    let rest = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it looks complete: {rest:?}");
    upstream.finish().await;
}

#[tokio::test]
async fn an_answer_in_time_is_whole() {
    let upstream = Upstream::echo().await;
    let timeouts = RouteTimeouts {
        request: Some(Duration::from_secs(60)),
        stream_max: Some(Duration::from_secs(60)),
        ..RouteTimeouts::default()
    };
    let front = front(timeouts, Protocol::Http1, upstream.address()).await;
    let mut client = Client::http1(front.address).await;
    for _ in 0..2 {
        let answer = client.call(post_request(HOST, "/", body::full("hello"))).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello"));
    }
    assert_eq!(upstream.counts().connections(), 1);
}

#[tokio::test]
async fn a_stream_that_lasts_too_long_is_504() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let timeouts = RouteTimeouts {
        stream_max: Some(SHORT),
        ..RouteTimeouts::default()
    };
    let front = front(timeouts, Protocol::Http1, upstream.address()).await;
    assert_eq!(get(front.address, HOST, "/").await.status, 504);
}

/// A listener where no stream lasts longer than [`SHORT`].
fn short_streams(upstream: SocketAddr, stream_max: Option<Duration>) -> Front {
    let http = HttpSettings {
        timeouts: DownstreamTimeouts {
            stream_max: Some(SHORT),
            ..DownstreamTimeouts::default()
        },
        ..HttpSettings::default()
    };
    let policy = ForwardPolicy {
        timeouts: RouteTimeouts {
            stream_max,
            ..RouteTimeouts::default()
        },
        ..ForwardPolicy::default()
    };
    let listener = support::listen(NonZeroUsize::MIN, Connections::default()).speaking(http);
    let cluster = cluster(Protocol::Http1, &[upstream]);
    Front::behind(listener, by_policy(&cluster, policy))
}

#[tokio::test]
async fn a_listener_says_how_long_streams_last_and_a_route_otherwise() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = short_streams(upstream.address(), None);
    assert_eq!(get(front.address, HOST, "/").await.status, 504);
    let for_ever = short_streams(upstream.address(), Some(Duration::ZERO));
    let answer = get(for_ever.address, HOST, "/");
    let (answer, ()) = tokio::join!(answer, async {
        upstream.runs(1).await;
        assert_eq!(get(front.address, HOST, "/").await.status, 504);
        gate.open();
    });
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_stream_whose_request_has_not_come_in_time_is_408() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.rest().await;
    })
    .await;
    let front = short_streams(upstream.address(), None);
    let mut client = Wire::connect(front.address).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.head().await.status(), 408);
    let mut whole = Wire::connect(front.address).await;
    whole.send([head, "123456789"].concat()).await;
    assert_eq!(whole.head().await.status(), 504);
}

#[tokio::test]
async fn a_response_that_lasts_too_long_for_its_listener_is_cut() {
    let upstream = beginning().await;
    let front = short_streams(upstream.address(), None);
    let mut client = Wire::connect(front.address).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
    let rest = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it looks complete: {rest:?}");
}

#[tokio::test]
async fn a_grpc_client_says_how_long_it_waits() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let timeouts = RouteTimeouts {
        grpc_timeout_max: Some(Duration::from_secs(60)),
        ..RouteTimeouts::default()
    };
    let front = front(timeouts, Protocol::Http2, upstream.address()).await;
    let mut request = post_request(HOST, "/", body::empty());
    request
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    request
        .headers_mut()
        .insert("grpc-timeout", "100m".parse().unwrap());
    let answer = Client::http2(front.address).await.call(request).await;
    assert_eq!(answer.header("grpc-status"), Some("4"));
    let seen = upstream.seen();
    let forwarded = seen[0].headers["grpc-timeout"].to_str().unwrap();
    let micros: u64 = forwarded.trim_end_matches('u').parse().unwrap();
    assert!((1..=100_000).contains(&micros), "{forwarded}");
}
