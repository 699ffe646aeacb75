//! Many requests at zero: all are answered, none sees a replica over its limit, a client that leaves is forgotten.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

mod support;

use support::{Up, script, service};
use tidegate_testkit::client;
use tidegate_testkit::wire::Wire;
use tokio::task::JoinSet;

const PARKED: &str = "tidegate_activator_parked_requests";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_zero_are_all_answered_one_at_a_time_each_replica() {
    let yaml = service("sleep", "sleep", "containerConcurrency: 1").replace(
        "autoscaling.knative.dev/window: 6s",
        "autoscaling.knative.dev/max-scale: \"4\"",
    );
    let up = Up::start(&yaml, &["--workers=2"]).await;
    let http = up.http;
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        calls.spawn(async move { client::get(http, "sleep.default.localhost", "/?ms=20").await });
    }
    while let Some(call) = calls.join_next().await {
        let answer = call.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-concurrency-max"), Some("1"), "{}", answer.text());
    }
    up.metric_becomes(PARKED, 0.0).await;
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_is_forgotten_at_once() {
    // It never listens: requests wait.
    let up = Up::start(&script("mute", "exec sleep 60"), &[]).await;
    for request in [
        "GET / HTTP/1.1\r\nhost: mute.default.localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: mute.default.localhost\r\ncontent-length: 9\r\n\r\nunread",
        "POST / HTTP/1.1\r\nhost: mute.default.localhost\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
    ] {
        let mut client = Wire::connect(up.http).await;
        client.send(request).await;
        up.metric_becomes(PARKED, 1.0).await;
        drop(client);
        up.metric_becomes(PARKED, 0.0).await;
    }
    assert_eq!(up.stop().await, Some(0));
}
