//! Does a request survive that its replica dies before it takes it?

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails there")]

mod support;

use http::StatusCode;
use support::{Front, HOST};
use tidegate_testkit::{
    body, client,
    upstream::{Upstream, bind, nobody},
    wait::{eventually, soon},
};
use tokio::task::JoinSet;

#[tokio::test]
async fn a_request_of_a_dead_replica_waits_for_the_next_with_its_body_unread() {
    let front = Front::start(1);
    front.ready(&[nobody().await]);
    let mut answers = JoinSet::new();
    let address = front.address;
    answers.spawn(async move {
        let request = client::post_request(HOST, "/", body::full("the body"));
        client::Client::http1(address).await.call(request).await
    });
    eventually("a lease of the dead replica", async || {
        front.revision.pods()[0].in_flight() == 1
    })
    .await;
    front.ready(&[]);
    front.parked(1).await;
    let replica = Upstream::echo().await;
    front.ready(&[replica.address()]);
    let answer = soon("the answer", answers.join_next()).await.unwrap().unwrap();
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::OK, "the body".to_owned())
    );
    assert!(answer.header("server-timing").is_some(), "it waited");
    front.idle().await;
}

#[tokio::test]
async fn a_request_of_a_dead_replica_goes_to_another_at_once() {
    let front = Front::start(1);
    let replica = Upstream::fixed(StatusCode::OK, "alive").await;
    for _ in 0..5 {
        front.ready(&[nobody().await, replica.address()]);
        let answer = client::get(front.address, HOST, "/").await;
        assert_eq!(answer.text(), "alive");
    }
}

#[tokio::test]
async fn a_replica_that_refuses_for_a_moment_is_asked_again() {
    let front = Front::start(1);
    let listener = bind().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    front.ready(&[address]);
    let mut answers = front.get(1);
    eventually("a lease of the replica", async || {
        front.revision.pods()[0].in_flight() == 1
    })
    .await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let _replica = Upstream::start_on(listener, async |_| http::Response::new(body::full("late")));
    let answer = soon("the answer", answers.join_next()).await.unwrap().unwrap();
    assert_eq!(answer.text(), "late");
}

#[tokio::test]
async fn a_replica_that_never_accepts_is_given_up_in_the_end() {
    let front = Front::start(1);
    front.ready(&[nobody().await]);
    let answer = client::get(front.address, HOST, "/").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.text().trim_end(), "upstream connect failed");
    front.idle().await;
}
