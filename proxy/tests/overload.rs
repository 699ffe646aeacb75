//! What happens above the bounds of the process: who is shed, what stays up, and does it recover?

mod support;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use http::HeaderValue;
use support::{Front, HOST, by_policy, cluster, everything_to};
use tidegate_proxy::admin::{self, Admin, Readiness};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::{Handle, limits};
use tidegate_proxy::error::Kind;
use tidegate_proxy::listener::Connections;
use tidegate_proxy::overload::{Overload, OverloadSettings};
use tidegate_proxy::process;
use tidegate_proxy::route::ForwardPolicy;
use tidegate_proxy::route::policy::{RetryOn, RetryPolicy};
use tidegate_testkit::body::{empty, full};
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::eventually;

fn bounded(upstream: &Upstream, protocol: Protocol, settings: OverloadSettings) -> Front {
    let config = Handle::new(everything_to(&cluster(protocol, &[upstream.address()]), None));
    let listener = support::listen(NonZeroUsize::MIN, Connections::default());
    Front::following(config.bounded(Overload::new(settings)), listener)
}

fn one_request() -> OverloadSettings {
    OverloadSettings {
        requests_max: 1,
        retry_after: Duration::from_secs(7),
        ..OverloadSettings::default()
    }
}

#[tokio::test]
async fn above_the_bound_requests_are_shed_and_below_it_served_again() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = bounded(&upstream, Protocol::Http1, one_request());
    let mut first = Client::http1(front.address).await;
    let mut second = Client::http1(front.address).await;
    let under_way = first.send(get_request(HOST, "/"));
    let shed = async {
        upstream.runs(1).await;
        let shed = second.get(HOST, "/").await;
        gate.open();
        shed
    };
    let (answer, shed) = tokio::join!(under_way, shed);
    assert_eq!(
        (shed.status.as_u16(), shed.header("retry-after")),
        (503, Some("7"))
    );
    assert_eq!(answer.expect("an answer").status(), 200);
    eventually("room", async || front.config.overload().requests().used() == 0).await;
    assert_eq!(second.get(HOST, "/").await.status, 200);
    assert_eq!(upstream.counts().requests(), 2);
    assert_eq!(front.books.totals().failed(Kind::Overloaded), 1);
}

#[tokio::test]
async fn a_grpc_call_that_is_shed_learns_it_in_its_own_words() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = bounded(&upstream, Protocol::Http1, one_request());
    let mut client = Client::http1(front.address).await;
    let under_way = client.send(get_request(HOST, "/"));
    let call = async {
        upstream.runs(1).await;
        let mut call = post_request(HOST, "/package.Service/Method", empty());
        let grpc = HeaderValue::from_static("application/grpc");
        call.headers_mut().insert("content-type", grpc);
        let shed = Client::http2(front.address).await.call(call).await;
        gate.open();
        shed
    };
    let (_answer, shed) = tokio::join!(under_way, call);
    assert_eq!(
        (shed.status.as_u16(), shed.header("grpc-status")),
        (200, Some("14"))
    );
}

#[tokio::test]
async fn the_admin_port_answers_while_nothing_else_does() {
    let upstream = Upstream::fixed(http::StatusCode::OK, "hello").await;
    let nothing = OverloadSettings {
        requests_max: 0,
        ..OverloadSettings::default()
    };
    let front = bounded(&upstream, Protocol::Http1, nothing);
    let readiness = Readiness::default();
    readiness.set_ready();
    let admin = admin::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = admin.local_addr().unwrap();
    let serving = Admin::new(readiness).serve(admin, front.watch.clone());
    process::spawn("admin", front.watch.unguarded(), async { serving.await.unwrap() });
    assert_eq!(get(front.address, HOST, "/").await.status, 503);
    assert_eq!(get(address, "localhost", "/ready").await.status, 200);
}

#[tokio::test]
async fn near_the_end_of_memory_requests_are_shed_and_connections_closed() {
    let upstream = Upstream::fixed(http::StatusCode::OK, "hello").await;
    let settings = OverloadSettings {
        memory_bytes_max: Some(1000),
        ..OverloadSettings::default()
    };
    let front = bounded(&upstream, Protocol::Http1, settings);
    let mut client = Client::http1(front.address).await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
    front.config.overload().note_memory(960);
    let shed = client.get(HOST, "/").await;
    assert_eq!(
        (shed.status.as_u16(), shed.header("connection")),
        (503, Some("close"))
    );
    eventually("a closed connection", async || client.is_closed()).await;
    front.config.overload().note_memory(500);
    assert_eq!(get(front.address, HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_tunnel_takes_its_place_until_it_ends() {
    let upstream = Upstream::websocket().await;
    let front = bounded(&upstream, Protocol::Http1, one_request());
    let tunnel = tidegate_testkit::websocket::WebSocket::connect(front.address, HOST, "/")
        .await
        .unwrap();
    assert_eq!(get(front.address, HOST, "/").await.status, 503);
    tunnel.close().await;
    eventually("room", async || front.config.overload().requests().used() == 0).await;
    assert_ne!(get(front.address, HOST, "/").await.status, 503);
}

/// Routes whose failures are tried again, at an upstream that fails each first try.
fn retried(upstream: &RawUpstream) -> Front {
    let retry = RetryPolicy {
        backoff_base: Duration::from_millis(1),
        ..RetryPolicy::on([RetryOn::GatewayError])
    };
    let policy = ForwardPolicy {
        retry: Some(retry),
        ..ForwardPolicy::default()
    };
    Front::start(by_policy(
        &cluster(Protocol::Http1, &[upstream.address()]),
        policy,
    ))
}

#[tokio::test]
async fn a_body_is_kept_for_another_try_only_while_the_process_has_room() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        for status in ["503 Busy", "503 Busy", "200 OK"] {
            connection.wire.message().await;
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            connection.wire.send(head).await;
        }
    })
    .await;
    let front = retried(&upstream);
    let buffered = front.config.overload().buffered().clone();
    let all = buffered.reserve(limits::BUFFERED_BYTES_MAX).expect("room");
    let mut client = Client::http1(front.address).await;
    let answer = client.call(post_request(HOST, "/", full("hello"))).await;
    assert_eq!(answer.status, 503, "it is sent once");
    drop(all);
    let answer = client.call(post_request(HOST, "/", full("hello"))).await;
    assert_eq!(answer.status, 200, "it is sent again");
    eventually("room", async || buffered.used() == 0).await;
}
