//! When may a request not wait, or not wait any longer, and what is its client told?

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails there")]

mod support;

use std::time::Duration;

use http::StatusCode;
use support::{Event, Front, HOST, settings};
use tidegate_activator::{Refusal, Registry, Revision, RevisionSettings, observe::Unparked};
use tidegate_proxy::overload::{Overload, OverloadSettings};
use tidegate_testkit::{client, client::Answer, upstream::Upstream, wait::soon};
use tokio::task::JoinSet;

async fn next(answers: &mut JoinSet<Answer>) -> Answer {
    soon("the answer", answers.join_next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_deadline_of_a_waiting_request_is_the_revisions_timeout() {
    let settings = RevisionSettings {
        timeout: Duration::from_millis(50),
        ..settings(1)
    };
    let front = Front::of(Registry::new(), Revision::new(settings));
    let answer = client::get(front.address, HOST, "/").await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.text().trim_end(), "activator request timeout");
    front.parked(0).await;
    assert_eq!(
        front.events.take(),
        [Event::Parked, Event::Unparked(Unparked::TimedOut)]
    );
}

/// One request waits; the next one, for `path`, may not.
async fn check_full(front: Front, path: &str) {
    let _first = front.get(1);
    front.parked(1).await;
    let answer = client::get(front.address, HOST, path).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.text().trim_end(), "pending request queue full");
    front.parked(1).await;
}

#[tokio::test]
async fn what_exceeds_a_bound_is_turned_away_at_once() {
    check_full(
        Front::of(Registry::new(), Revision::with_queue(settings(1), 1)),
        "/",
    )
    .await;
    check_full(
        Front::of(Registry::with_parking(1, 4096), Revision::new(settings(1))),
        "/",
    )
    .await;
    let long = format!("/{}", "x".repeat(4096));
    check_full(
        Front::of(Registry::with_parking(10, 4096), Revision::new(settings(1))),
        &long,
    )
    .await;
}

#[tokio::test]
async fn above_the_bound_of_the_process_nobody_waits_and_below_it_somebody_does_again() {
    let overload = Overload::new(OverloadSettings {
        parked_max: 1,
        retry_after: Duration::from_secs(7),
        ..OverloadSettings::default()
    });
    let front = Front::bounded(Registry::new(), Revision::new(settings(1)), &overload);
    let mut first = front.get(1);
    front.parked(1).await;
    let shed = client::get(front.address, HOST, "/").await;
    assert_eq!(
        (shed.status.as_u16(), shed.header("retry-after")),
        (503, Some("7"))
    );
    assert_eq!((front.registry.parked(), overload.parked().used()), (1, 1));
    first.abort_all();
    front.parked(0).await;
    let mut second = front.get(1);
    front.parked(1).await;
    let replica = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[replica.address()]);
    assert_eq!(next(&mut second).await.text(), "hello");
    assert_eq!(overload.parked().used(), 0);
}

fn crashed() -> Refusal {
    let message = "revision hello-00001 exits at once (exit status 3)".to_owned();
    Refusal {
        message,
        retry_after: Duration::from_secs(7),
    }
}

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.text().trim_end(), crashed().message);
}

#[tokio::test]
async fn all_who_wait_are_told_at_once_that_nothing_comes_up_and_so_is_who_comes() {
    let front = Front::start(1);
    let mut answers = front.get(5);
    front.parked(5).await;
    front.revision.refuse(crashed());
    for _ in 0..5 {
        assert_refused(&next(&mut answers).await);
    }
    assert_refused(&client::get(front.address, HOST, "/").await);
    front.parked(0).await;
}

#[tokio::test]
async fn requests_wait_again_once_they_are_accepted() {
    let front = Front::start(1);
    front.revision.refuse(crashed());
    front.revision.accept();
    let mut answers = front.get(1);
    front.parked(1).await;
    let replica = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[replica.address()]);
    assert_eq!(next(&mut answers).await.text(), "hello");
}

#[tokio::test]
async fn a_deleted_revision_keeps_nobody() {
    let front = Front::start(1);
    let mut answers = front.get(1);
    front.parked(1).await;
    front.registry.remove("default/hello-00001").unwrap();
    let answer = next(&mut answers).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.text().trim_end(),
        "revision default/hello-00001 was deleted"
    );
}
