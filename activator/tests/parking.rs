//! Does a request wait for a replica, and for nothing else, and does its place go with it?

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails there")]

mod support;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use support::{Event, Front, HOST};
use tidegate_activator::{ActivatorLayer, Registry, Revision, observe::Unparked, reporter::Reporter};
use tidegate_proxy::{Body, error::BoxError};
use tidegate_testkit::{
    body, client,
    gate::Gate,
    upstream::Upstream,
    wait::{eventually, soon},
    websocket::WebSocket,
    wire::Wire,
};
use tokio::task::JoinSet;
use tower::{Layer, Service, service_fn};

#[tokio::test]
async fn a_request_waits_until_a_replica_is_ready() {
    let front = Front::start(1);
    let mut answers = front.get(1);
    front.parked(1).await;
    let replica = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[replica.address()]);
    let answer = soon("the answer", answers.join_next()).await.unwrap().unwrap();
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::OK, "hello".to_owned())
    );
    front.parked(0).await;
    front.idle().await;
    let receipt = answer.header("server-timing").unwrap().to_owned();
    let events = [
        Event::Parked,
        Event::Unparked(Unparked::Leased),
        Event::Answered(receipt),
    ];
    assert_eq!(front.events.take(), events);
}

#[tokio::test]
async fn a_request_that_waited_reaches_its_replica_with_all_its_fields_in_their_order() {
    let front = Front::start(1);
    let mut request = client::get_request(HOST, "/");
    for (name, value) in [
        ("x-b", "1"),
        ("x-a", "2"),
        ("x-b", "3"),
        ("cookie", "a=b"),
        ("x-b", "4"),
    ] {
        request
            .headers_mut()
            .append(name, HeaderValue::from_static(value));
    }
    let (sent, address) = (request.headers().clone(), front.address);
    let mut answers = JoinSet::new();
    answers.spawn(async move { client::Client::http1(address).await.call(request).await });
    front.parked(1).await;
    let replica = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[replica.address()]);
    let answer = soon("the answer", answers.join_next()).await.unwrap().unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    let seen = replica.seen();
    for name in sent.keys() {
        let values = |fields: &HeaderMap| fields.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(values(&seen[0].headers), values(&sent), "{name}");
    }
}

#[tokio::test]
async fn a_request_that_need_not_wait_has_no_receipt() {
    let front = Front::start(0);
    let replica = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[replica.address()]);
    let answer = client::get(front.address, HOST, "/").await;
    assert_eq!(
        (answer.status, answer.header("server-timing")),
        (StatusCode::OK, None)
    );
    assert_eq!(front.events.take(), []);
}

#[tokio::test]
async fn the_replica_sees_who_forwarded_and_no_configuration_hash() {
    let front = Front::start(0);
    let replica = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[replica.address()]);
    let mut request = client::get_request(HOST, "/");
    request
        .headers_mut()
        .insert("k-network-hash", HeaderValue::from_static("abc"));
    client::Client::http1(front.address).await.call(request).await;
    let seen = &replica.seen()[0];
    assert_eq!(
        (seen.header("k-proxy-request"), seen.header("k-network-hash")),
        (Some("activator"), None)
    );
}

#[tokio::test]
async fn a_request_of_an_unknown_revision_passes_untouched() {
    let front = Front::start(1);
    let backend = Upstream::fixed(StatusCode::OK, "elsewhere").await;
    front.bypass(backend.address());
    front.registry.remove("default/hello-00001").unwrap();
    let answer = client::get(front.address, HOST, "/").await;
    assert_eq!(answer.text(), "elsewhere");
    assert_eq!(backend.seen()[0].header("k-proxy-request"), None);
}

#[tokio::test]
async fn replicas_never_see_more_at_once_than_they_take_and_nobody_is_lost() {
    let front = Front::start(1);
    let mut answers = front.get(100);
    front.parked(100).await;
    let replicas = [Upstream::echo().await, Upstream::echo().await];
    front.ready(&replicas.each_ref().map(Upstream::address));
    while let Some(answer) = soon("the next answer", answers.join_next()).await {
        assert_eq!(answer.unwrap().status, StatusCode::OK);
    }
    assert_eq!(
        replicas
            .iter()
            .map(|replica| replica.counts().requests())
            .sum::<usize>(),
        100
    );
    assert_eq!(
        replicas.each_ref().map(|replica| replica.counts().running_max()),
        [1, 1]
    );
    front.parked(0).await;
    front.idle().await;
}

/// A client that sends `bytes`, is parked, and goes.
async fn check_abandoned(bytes: &str) {
    let front = Front::start(1);
    let mut wire = Wire::connect(front.address).await;
    wire.send(bytes).await;
    front.parked(1).await;
    drop(wire);
    front.parked(0).await;
    eventually("the observer", async || {
        front
            .events
            .take()
            .contains(&Event::Unparked(Unparked::Abandoned))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_place_of_a_client_that_leaves_is_free_at_once() {
    check_abandoned("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    check_abandoned("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nunread").await;
    check_abandoned("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_is_not_asked_for_its_body_while_it_waits() {
    let front = Front::start(1);
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n")
        .await;
    front.parked(1).await;
    wire.stays_silent(Duration::from_millis(50)).await;
    let replica = Upstream::echo().await;
    front.ready(&[replica.address()]);
    assert_eq!(wire.head().await.status(), 100);
    wire.send("hello").await;
    assert_eq!(wire.message().await.text(), "hello");
}

#[tokio::test]
async fn a_tunnel_holds_its_replica_until_it_ends() {
    let front = Front::start(1);
    let (mut sockets, address) = (JoinSet::new(), front.address);
    sockets.spawn(async move { WebSocket::connect(address, HOST, "/").await.unwrap() });
    front.parked(1).await;
    let replica = Upstream::websocket().await;
    front.ready(&[replica.address()]);
    let mut socket = soon("the socket", sockets.join_next()).await.unwrap().unwrap();
    socket.say("hello").await;
    assert_eq!(socket.hear().await, "hello");
    let mut answers = front.get(1);
    front.parked(1).await;
    socket.close().await;
    let answer = soon("the answer", answers.join_next()).await.unwrap().unwrap();
    assert_eq!(answer.status, StatusCode::UPGRADE_REQUIRED);
}

#[tokio::test]
async fn a_switch_of_protocols_has_a_receipt_too() {
    let front = Front::start(1);
    let mut wire = Wire::connect(front.address).await;
    wire.send(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .await;
    front.parked(1).await;
    let replica = Upstream::websocket().await;
    front.ready(&[replica.address()]);
    let head = wire.head().await;
    assert_eq!(head.status(), 101);
    assert!(head.header("server-timing").unwrap().starts_with("queue;dur="));
}

#[tokio::test]
async fn the_receipt_is_appended_to_what_the_application_timed() {
    let front = Front::start(1);
    let mut answers = front.get(1);
    front.parked(1).await;
    let replica = Upstream::start(async |_| {
        let mut response = Response::new(body::full("hello"));
        response
            .headers_mut()
            .insert("server-timing", HeaderValue::from_static("db;dur=53"));
        response
    })
    .await;
    front.ready(&[replica.address()]);
    let answer = soon("the answer", answers.join_next()).await.unwrap().unwrap();
    let timings = values(&answer.headers);
    assert_eq!((timings.len(), &*timings[0]), (2, "db;dur=53"));
    let phases: Vec<_> = timings[1]
        .split(", ")
        .filter_map(|phase| phase.split_once(";dur="))
        .collect();
    assert_eq!(
        phases.iter().map(|phase| phase.0).collect::<Vec<_>>(),
        ["queue", "start", "ready", "connect", "app"]
    );
    assert!(phases.iter().all(|phase| phase.1.parse::<f64>().is_ok()));
}

fn values(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all("server-timing")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_replica_is_held_until_the_response_has_ended() {
    let (front, gate) = (Front::start(1), Gate::closed());
    let replica = Upstream::held(&gate).await;
    front.ready(&[replica.address()]);
    let mut answers = front.get(2);
    replica.runs(1).await;
    front.parked(1).await;
    gate.open();
    while let Some(answer) = soon("the next answer", answers.join_next()).await {
        assert_eq!(answer.unwrap().text(), "held");
    }
    assert_eq!(replica.counts().running_max(), 1);
    front.idle().await;
}

#[test]
fn what_a_request_in_the_activator_takes_stays_small() {
    let registry = Registry::new();
    let reporter = Reporter::new(Arc::clone(&registry), "activator", |_: &Arc<Revision>, _| {});
    let stub = service_fn(async |_: Request<Body>| Ok::<_, BoxError>(Response::new(Body::empty())));
    let mut activator = ActivatorLayer::new(registry, reporter, ()).layer(stub);
    let future = activator.call(Request::new(Body::empty()));
    let bytes = size_of_val(&*future);
    // A size that the allocator has; the next larger one is 1 280.
    assert!(bytes <= 1024, "{bytes} bytes");
}
