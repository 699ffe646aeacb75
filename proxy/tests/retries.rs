//! What is sent again when a connection dies, what is not, and what comes back to a layer?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use socket2::{Domain, Socket, Type};
use support::{Front, HOST, by_policy, everything_to, over};
use tidegate_proxy::cluster::{Endpoint, Protocol, TransportSettings};
use tidegate_proxy::error::Kind;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::route::{ForwardPolicy, Resend};
use tidegate_proxy::upstream::{Target, Upstream as Sender};
use tidegate_proxy::{Body, Error};
use tidegate_testkit::client::{Client, get, post_request};
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream, bind, nobody};
use tidegate_testkit::wait::{eventually, soon};
use tidegate_testkit::wire::Wire;
use tower::layer::layer_fn;
use tower::{ServiceExt, service_fn};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// An upstream whose first `mortal` connections answer one request and die of the next one's head.
async fn dying(mortal: usize) -> RawUpstream {
    RawUpstream::start(move |mut connection: RawConnection| async move {
        connection.wire.message().await;
        connection.wire.send(OK).await;
        if connection.number <= mortal {
            connection.wire.head().await;
        } else {
            connection.wire.rest().await;
        }
    })
    .await
}

/// Sends one request that makes a connection a reused one, then `request`; the status of the second.
async fn after_a_first(front: &Front, request: &str) -> u16 {
    let mut wire = Wire::connect(front.address).await;
    wire.send(GET).await;
    assert_eq!(wire.message().await.status(), 200);
    wire.send(request).await;
    wire.message().await.status()
}

#[tokio::test]
async fn what_may_be_repeated_is_sent_once_more_when_a_reused_connection_dies() {
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"] {
        let upstream = dying(1).await;
        let front = Front::to(upstream.address());
        let request = format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(after_a_first(&front, &request).await, 200, "{method}");
        assert_eq!(upstream.connections(), 2, "{method}");
    }
}

#[tokio::test]
async fn what_may_have_had_an_effect_is_a_bad_gateway() {
    for head in [
        "POST / HTTP/1.1",
        "PATCH / HTTP/1.1",
        "PUT / HTTP/1.1\r\ncontent-length: 2",
    ] {
        let upstream = dying(1).await;
        let front = Front::to(upstream.address());
        let request = format!(
            "{head}\r\nhost: a\r\n\r\n{}",
            if head.contains("length") { "hi" } else { "" }
        );
        assert_eq!(after_a_first(&front, &request).await, 502, "{head}");
        assert_eq!(upstream.connections(), 1, "{head}");
    }
}

#[tokio::test]
async fn what_an_interim_response_has_come_to_is_not_sent_again() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.message().await;
        connection.wire.send(OK).await;
        connection.wire.head().await;
        connection.wire.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    for statuses in [&[200][..], &[103, 502]] {
        wire.send(GET).await;
        for status in statuses {
            assert_eq!(wire.message().await.status(), *status);
        }
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn what_was_written_is_not_sent_again_where_a_route_has_it_so() {
    let upstream = dying(1).await;
    let unwritten = ForwardPolicy {
        resend: Resend::Unwritten,
        ..ForwardPolicy::default()
    };
    let cluster = support::cluster(Protocol::Http1, &[upstream.address()]);
    let front = Front::start(by_policy(&cluster, unwritten));
    assert_eq!(after_a_first(&front, GET).await, 502);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn nothing_is_sent_a_third_time_or_again_on_a_fresh_connection() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.message().await;
        if connection.number == 1 {
            connection.wire.send(OK).await;
            connection.wire.head().await;
        }
    })
    .await;
    let front = Front::to(upstream.address());
    assert_eq!(after_a_first(&front, GET).await, 502);
    assert_eq!(upstream.connections(), 2);
    assert_eq!(get(front.address, HOST, "/").await.status, 502);
    assert_eq!(upstream.connections(), 3);
}

/// All in one thread: the connection ends in the same moment in which the request comes, so that hyper has taken
/// the request and not written it.
#[tokio::test]
async fn what_was_not_sent_is_sent_elsewhere_whatever_the_method() {
    let upstream = bind().await;
    let front = Front::to(upstream.local_addr().unwrap());
    let mut client = Wire::connect(front.address).await;
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    client.send(post).await;
    let mut first = Wire::new(soon("a connection", upstream.accept()).await.unwrap().0);
    assert_eq!(first.message().await.text(), "hello");
    first.send(OK).await;
    assert_eq!(client.message().await.status(), 200);
    client.send(post).await;
    drop(first);
    let mut second = Wire::new(soon("another connection", upstream.accept()).await.unwrap().0);
    assert_eq!(second.message().await.text(), "hello");
    second.send(OK).await;
    assert_eq!(client.message().await.status(), 200);
}

#[tokio::test]
async fn an_http2_connection_that_died_is_dialled_anew() {
    let upstream = Upstream::echo().await;
    let front = Front::to_http2(upstream.address());
    let mut client = Client::http1(front.address).await;
    for round in 1..=3 {
        let body = tidegate_testkit::body::full("hello");
        assert_eq!(client.call(post_request(HOST, "/", body)).await.text(), "hello");
        assert_eq!(upstream.counts().connections(), round);
        upstream.cut_connections();
        eventually("the cut", async || upstream.counts().connections_open() == 0).await;
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let address = nobody().await;
    for front in [Front::to(address), Front::to_http2(address)] {
        let body = tidegate_testkit::body::full("hello");
        let answer = Client::http1(front.address)
            .await
            .call(post_request(HOST, "/", body))
            .await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "upstream connect failed\n")
        );
    }
}

#[tokio::test]
async fn who_does_not_accept_in_time_is_unavailable() {
    let busy = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    busy.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    busy.listen(0).unwrap();
    let address = busy.local_addr().unwrap().as_socket().unwrap();
    let _in_its_queue = Wire::connect(address).await;
    let settings = TransportSettings {
        connect_timeout: Duration::from_millis(50),
        ..TransportSettings::default()
    };
    let front = Front::start(everything_to(&over(settings, &[address]), None));
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (503, "upstream connect timed out\n")
    );
}

/// Sends each request to `first`, and what comes back unsent to `second`.
fn second_choice(first: Arc<Endpoint>, second: Arc<Endpoint>) -> Layers {
    Layers::new(layer_fn(move |upstream: Sender| {
        let (first, second) = (Arc::clone(&first), Arc::clone(&second));
        service_fn(move |mut request: Request<Body>| {
            let (first, second, upstream) = (Arc::clone(&first), Arc::clone(&second), upstream.clone());
            async move {
                request.extensions_mut().get_mut::<Target>().unwrap().endpoint = Some(first);
                let error = match upstream.clone().oneshot(request).await {
                    Ok(response) => return Ok(response),
                    Err(error) => Error::from_boxed(error),
                };
                assert_eq!(error.kind(), Kind::ConnectFailed);
                let mut request = error.into_unsent().unwrap();
                request.extensions_mut().get_mut::<Target>().unwrap().endpoint = Some(second);
                upstream.oneshot(request).await
            }
        })
    }))
}

#[tokio::test]
async fn a_layer_gets_back_what_was_not_sent() {
    let upstream = Upstream::echo().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let endpoints = (Endpoint::new(nobody().await), Endpoint::new(upstream.address()));
        let layers = second_choice(endpoints.0.into(), endpoints.1.into());
        let front = Front::start(everything_to(&support::cluster(protocol, &[]), Some(layers)));
        let mut client = Client::http1(front.address).await;
        let request = post_request(HOST, "/x?y", tidegate_testkit::body::full("hello"));
        assert_eq!(client.call(request).await.text(), "hello");
    }
    let hosts: Vec<_> = upstream.seen().iter().map(|seen| seen.uri.to_string()).collect();
    assert_eq!(hosts, ["/x?y", "http://app.example/x?y"]);
}

#[tokio::test]
async fn a_connection_that_was_idle_for_too_long_is_closed() {
    let upstream = Upstream::echo().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let settings = TransportSettings {
            protocol,
            idle_timeout: Duration::from_millis(1),
            ..TransportSettings::default()
        };
        let front = Front::start(everything_to(&over(settings, &[upstream.address()]), None));
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
        eventually("the end of the idle connection", async || {
            upstream.counts().connections_open() == 0
        })
        .await;
    }
}
