//! A service answers from zero, says where the time went, and is gone again after a quiet while.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

mod support;

use support::{Up, service};
use tidegate_testkit::wait::eventually_within;

const HOST: &str = "hello.default.localhost";
/// Six seconds of stable window, the grace period, and a decision every two seconds.
const QUIET: std::time::Duration = std::time::Duration::from_secs(30);

#[tokio::test]
async fn the_first_request_starts_it_and_gets_the_receipt() {
    let up = Up::start(&service("hello", "hello", ""), &[]).await;
    let first = up.get(HOST, "/").await;
    assert_eq!(
        (first.status.as_u16(), first.text().as_str()),
        (200, "Hello World!\n")
    );
    let receipt = first.header("server-timing").expect("a receipt").to_owned();
    let phases: Vec<_> = receipt
        .split(", ")
        .map(|phase| phase.split(';').next().unwrap())
        .collect();
    assert_eq!(phases, ["queue", "start", "ready", "connect", "app"], "{receipt}");
    let second = up.get(HOST, "/").await;
    assert_eq!(second.status, 200);
    assert_eq!(
        second.header("server-timing"),
        None,
        "only what waited has a receipt"
    );
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn it_goes_to_zero_after_a_quiet_while_and_comes_back() {
    let up = Up::start(
        &service("hello", "hello", ""),
        &["--scale-to-zero-grace-period=1s"],
    )
    .await;
    for _cycle in 0..2 {
        assert_eq!(up.get(HOST, "/").await.status, 200);
        eventually_within("no replica", QUIET, async || {
            let state = tidegate_testkit::client::get(up.admin, "admin", "/services")
                .await
                .text();
            state.contains("\"replicas\":0").then_some(()).ok_or(state)
        })
        .await;
    }
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn an_unknown_host_is_404_and_others_go_on() {
    let up = Up::start(&service("hello", "hello", ""), &[]).await;
    assert_eq!(up.get("nobody.default.localhost", "/").await.status, 404);
    assert_eq!(up.get("HELLO.default.localhost.:80", "/").await.status, 200);
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn an_image_runs_as_the_process_that_stands_in_for_it() {
    let yaml = service("app", "hello", "").replace(
        "- command: [tidegate, sample, hello]",
        "- image: example.org/app:1",
    );
    let flags = [
        "--run=example.org/app=tidegate sample hello",
        "--domain=127.0.0.1.sslip.io",
    ];
    let up = Up::start(&yaml, &flags).await;
    assert_eq!(
        up.get("app.default.127.0.0.1.sslip.io", "/").await.text(),
        "Hello World!\n"
    );
    assert_eq!(up.stop().await, Some(0));
}
