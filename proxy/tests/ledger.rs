//! When does a request end, and does it end in the books as what happened?

mod support;

use std::time::Duration;

use http::{Method, StatusCode};
use support::{CLUSTER, Front, GRACE, HOST, everything_to, host, route};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::error::Kind;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::observe::ledger::Totals;
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::websocket::WebSocket;
use tidegate_testkit::wire::Wire;
use tidegate_testkit::{body, client::Answer};
use tower_http::set_header::SetResponseHeaderLayer;

/// Accepted, answered, aborted, failed, in progress.
fn figures(totals: &Totals) -> [u64; 5] {
    assert_eq!(totals.difference(), 0, "{totals:?}");
    [
        totals.accepted,
        totals.answered,
        totals.aborted,
        totals.failures(),
        totals.in_progress,
    ]
}

async fn become_figures(front: &Front, expected: [u64; 5]) -> Totals {
    eventually("the figures", async || {
        let totals = front.books.totals();
        (totals.difference() == 0 && figures(&totals) == expected)
            .then(|| totals.clone())
            .ok_or(format!("{totals:?}"))
    })
    .await
}

/// Answers with a head that promises ten bytes, and half of them; the rest when the gate opens.
async fn half_an_answer(gate: &Gate) -> RawUpstream {
    let gate = gate.clone();
    RawUpstream::start(move |mut connection: RawConnection| {
        let gate = gate.clone();
        async move {
            connection.wire.head().await;
            let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
            connection.wire.send(half).await;
            gate.pass().await;
        }
    })
    .await
}

#[tokio::test]
async fn an_upstream_that_breaks_off_in_the_body_is_a_failure_with_its_reason() {
    let gate = Gate::closed();
    let upstream = half_an_answer(&gate).await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
    assert_eq!(wire.head().await.status(), 200);
    assert_eq!(figures(&front.books.totals()), [1, 0, 0, 0, 1]);
    gate.open();
    let totals = become_figures(&front, [1, 0, 0, 1, 0]).await;
    assert_eq!(totals.failed(Kind::UpstreamReset), 1);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_body_aborts() {
    let gate = Gate::closed();
    let upstream = half_an_answer(&gate).await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
    wire.head().await;
    drop(wire);
    become_figures(&front, [1, 0, 1, 0, 0]).await;
    let response = Client::http2(front.address)
        .await
        .send(get_request(HOST, "/"))
        .await;
    drop(response.expect("a head"));
    become_figures(&front, [2, 0, 2, 0, 0]).await;
}

#[tokio::test]
async fn answers_without_a_body_are_whole_with_their_head() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    for mut client in [
        Client::http1(front.address).await,
        Client::http2(front.address).await,
    ] {
        let mut head = get_request(HOST, "/");
        *head.method_mut() = Method::HEAD;
        assert_eq!(client.call(head).await.status, 200);
    }
    become_figures(&front, [2, 2, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_tunnel_is_in_progress_until_its_end() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let mut tunnel = WebSocket::connect(front.address, HOST, "/")
        .await
        .expect("an upgrade");
    tunnel.say("hello").await;
    tunnel.hear().await;
    assert_eq!(figures(&front.books.totals()), [1, 0, 0, 0, 1]);
    tunnel.close().await;
    become_figures(&front, [1, 1, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_body_that_a_foreign_layer_wrapped_is_followed_to_its_end() {
    let gate = Gate::closed();
    let upstream = half_an_answer(&gate).await;
    let header =
        SetResponseHeaderLayer::overriding(http::header::SERVER, http::HeaderValue::from_static("layered"));
    let front = Front::through(Layers::new(header), upstream.address());
    let mut client = Client::http1(front.address).await;
    let response = client.send(get_request(HOST, "/")).await.expect("a head");
    assert_eq!(figures(&front.books.totals()), [1, 0, 0, 0, 1]);
    gate.open();
    Answer::read(response).await.expect_err("the upstream broke off");
    become_figures(&front, [1, 0, 0, 1, 0]).await;
}

#[tokio::test]
async fn what_the_end_of_the_drain_cuts_failed_for_that() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let front = Front::to(upstream.address());
    let books = front.books.clone();
    let mut client = Client::http1(front.address).await;
    let cut = client.send(get_request(HOST, "/"));
    let (cut, ()) = tokio::join!(cut, async {
        upstream.runs(1).await;
        front.finish(Duration::ZERO).await;
    });
    cut.expect_err("it was cut");
    assert_eq!(books.totals().failed(Kind::DrainCut), 1);
}

#[tokio::test]
async fn errors_of_ours_are_whole_when_they_have_been_sent() {
    let front = Front::start(everything_to(&support::cluster(Protocol::Http1, &[]), None));
    assert_eq!(get(front.address, HOST, "/").await.status, 503);
    front.config.publish(tidegate_proxy::config::Snapshot::new(
        [host("other.example", vec![route(None)])],
        [],
    ));
    let sent = post_request(HOST, "/", body::full("unread"));
    assert_eq!(Client::http2(front.address).await.call(sent).await.status, 404);
    let totals = become_figures(&front, [2, 0, 0, 2, 0]).await;
    let reasons = (
        totals.failed(Kind::NoHealthyUpstream),
        totals.failed(Kind::NoRoute),
    );
    assert_eq!(reasons, (1, 1), "{CLUSTER}");
}

#[tokio::test]
async fn the_books_of_several_workers_add_up() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let snapshot = everything_to(&support::cluster(Protocol::Http1, &[upstream.address()]), None);
    let (front, workers) = Front::on_workers(snapshot, 3);
    for _ in 0..12 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
    become_figures(&front, [12, 12, 0, 0, 0]).await;
    front.finish(GRACE).await;
    assert_eq!(workers.join(), 0);
}
