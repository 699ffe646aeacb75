//! Are connections used again, on both sides, and by whom?

mod support;

use bytes::Bytes;
use http::{Response, StatusCode};
use support::{Front, HOST, cluster, everything_to, http_10};
use tidegate_proxy::cluster::Protocol;
use tidegate_testkit::body::{boxed, full};
use tidegate_testkit::client::{Client, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::soon;
use tidegate_testkit::wire::Wire;

#[tokio::test]
async fn one_connection_serves_many_requests_on_both_sides() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    let mut client = Client::http1(front.address).await;
    for _ in 0..20 {
        assert_eq!(client.get(HOST, "/").await.text(), "hello");
    }
    assert_eq!(upstream.counts().connections(), 1);
    assert_eq!(upstream.counts().requests(), 20);
}

/// What is read at once follows what came before, and what is written at once follows what was read.
#[tokio::test]
async fn large_and_small_messages_take_turns_on_one_connection() {
    let upstream = Upstream::start(|request| async { Response::new(boxed(request.into_body())) }).await;
    let front = Front::to(upstream.address());
    let mut client = Client::http1(front.address).await;
    let whole = Bytes::from((0..700_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    for bytes in [
        1, 100_000, 100_000, 8_192, 100_000, 300_000, 3, 65_536, 2_800_000, 5, 5, 5, 5, 5, 100_000,
    ] {
        let sent = whole.slice(..bytes);
        let answer = client.call(post_request(HOST, "/", full(sent.clone()))).await;
        assert!(answer.body == sent, "{bytes} bytes");
    }
    assert_eq!(upstream.counts().connections(), 1);
}

#[tokio::test]
async fn connections_are_shared_by_clients_one_after_the_other() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    for _ in 0..10 {
        let mut client = Client::http1(front.address).await;
        assert_eq!(client.get(HOST, "/").await.status, 200);
    }
    assert_eq!(upstream.counts().connections(), 1);
}

#[tokio::test]
async fn as_many_upstream_connections_as_requests_at_once() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to(upstream.address());
    let mut clients = [
        Client::http1(front.address).await,
        Client::http1(front.address).await,
        Client::http1(front.address).await,
    ];
    for round in 1..=3 {
        let answers = clients
            .each_mut()
            .map(|client| client.send(get_request(HOST, "/")));
        let answers = futures_util::future::join_all(answers);
        let (answers, ()) = tokio::join!(answers, async {
            upstream.runs(3).await;
            gate.admit(3);
        });
        drop(
            answers
                .into_iter()
                .map(|answer| answer.unwrap())
                .collect::<Vec<_>>(),
        );
        for client in &mut clients {
            client.ready().await.unwrap();
        }
        assert_eq!(upstream.counts().connections(), 3, "round {round}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    let one = "POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\none";
    let two = "POST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n";
    wire.send(format!("{one}{two}{one}")).await;
    for expected in ["one", "two", "one"] {
        let message = wire.message().await;
        assert_eq!((message.status(), message.text().as_str()), (200, expected));
    }
}

#[tokio::test]
async fn a_client_that_asks_for_the_end_gets_it() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::speaking(http_10(), upstream.address());
    for request in [
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
    ] {
        let mut wire = Wire::connect(front.address).await;
        wire.send(request).await;
        assert_eq!(wire.message().await.text(), "hello");
        wire.ends().await;
    }
    assert_eq!(
        upstream.counts().connections(),
        1,
        "the client's wish is not the upstream's"
    );
}

#[tokio::test]
async fn an_upstream_that_closes_after_each_answer_is_dialled_again() {
    let upstream = Upstream::start(async |_| {
        let mut response = tidegate_testkit::upstream::answer(StatusCode::OK, "bye");
        response
            .headers_mut()
            .insert("connection", "close".parse().unwrap());
        response
    })
    .await;
    let front = Front::to(upstream.address());
    let mut client = Client::http1(front.address).await;
    for _ in 0..3 {
        assert_eq!(client.get(HOST, "/").await.text(), "bye");
    }
    assert_eq!(upstream.counts().connections(), 3);
}

#[tokio::test]
async fn workers_share_a_port_and_keep_their_own_pools() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let (front, workers) = Front::on_workers(snapshot, 2);
    let mut clients = Vec::new();
    for _ in 0..32 {
        clients.push(Client::http1(front.address).await);
    }
    for _ in 0..3 {
        for client in &mut clients {
            assert_eq!(client.get(HOST, "/").await.status, 200);
        }
    }
    assert_eq!(
        upstream.counts().connections(),
        2,
        "32 clients spread over two workers"
    );
    drop(clients);
    assert_eq!(front.finish(support::GRACE).await.forced, 0);
    let joined = tokio::task::spawn_blocking(|| workers.join());
    assert_eq!(soon("the threads' end", joined).await.unwrap(), 0);
}
