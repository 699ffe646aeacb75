//! How `up` ends: in order, at once, or killed; it never leaves a process behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

mod support;

use rustix::process::Signal;
use support::{Up, processes_with, script, service};
use tidegate_testkit::client;
use tidegate_testkit::wait::eventually;
use tokio::task::JoinSet;

const MARKER: &str = "TIDEGATE_TEST_MARKER";

/// A service whose processes can be told from those of other tests.
fn marked(marker: &str, sample: &str) -> String {
    script("marked", &format!("sleep 600 & exec tidegate sample {sample}"))
        + &format!("        env:\n        - name: {MARKER}\n          value: {marker}\n")
}

async fn gone(marker: &str) {
    eventually("no process left", async || {
        let left = processes_with(&format!("{MARKER}={marker}"));
        left.is_empty().then_some(()).ok_or(format!("{left:?} are left"))
    })
    .await;
}

#[tokio::test]
async fn sigterm_lets_requests_finish_and_leaves_nothing() {
    let up = Up::start(&marked("term", "sleep"), &[]).await;
    let http = up.http;
    assert_eq!(up.get("marked.default.localhost", "/?ms=1").await.status, 200);
    assert_eq!(processes_with(&format!("{MARKER}=term")).len(), 2);
    let mut slow = JoinSet::new();
    slow.spawn(async move { client::get(http, "marked.default.localhost", "/?ms=700").await });
    up.metric_becomes("tidegate_upstream_requests_total", 2.0).await;
    assert_eq!(up.stop().await, Some(0));
    assert_eq!(slow.join_next().await.unwrap().unwrap().status, 200);
    gone("term").await;
}

#[tokio::test]
async fn a_second_ctrl_c_ends_at_once_with_130() {
    let mut up = Up::start(&marked("int", "sleep"), &["--drain-timeout=60s"]).await;
    let http = up.http;
    let mut slow = JoinSet::new();
    slow.spawn(async move {
        let mut client = tidegate_testkit::wire::Wire::connect(http).await;
        client
            .send("GET /?ms=30000 HTTP/1.1\r\nhost: marked.default.localhost\r\n\r\n")
            .await;
        client.rest().await
    });
    up.metric_becomes("tidegate_upstream_requests_total", 1.0).await;
    up.program.signal(Signal::INT);
    up.program.line_with("once more").await;
    up.program.signal(Signal::INT);
    assert_eq!(up.program.exit().await.code(), Some(130));
    assert_eq!(slow.join_next().await.unwrap().unwrap(), b"");
    gone("int").await;
}

#[tokio::test]
async fn kill_9_leaves_no_process() {
    let mut up = Up::start(&marked("kill", "hello"), &[]).await;
    assert_eq!(up.get("marked.default.localhost", "/").await.status, 200);
    assert!(!processes_with(&format!("{MARKER}=kill")).is_empty());
    up.program.kill().await;
    gone("kill").await;
}

#[tokio::test]
async fn a_removed_service_drains_and_goes() {
    let mut up = Up::start(
        &(service("one", "hello", "") + "---\n" + &marked("gone", "hello")),
        &[],
    )
    .await;
    assert_eq!(up.get("marked.default.localhost", "/").await.status, 200);
    up.edit(&service("one", "hello", ""));
    up.program.line_with("default/marked").await;
    gone("gone").await;
    assert_eq!(up.get("marked.default.localhost", "/").await.status, 404);
    assert_eq!(up.get("one.default.localhost", "/").await.status, 200);
    assert_eq!(up.stop().await, Some(0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_orderly_stop_finds_what_has_left_its_process_group() {
    let yaml = marked("away", "hello").replace("sleep 600 &", "setsid sleep 600 &");
    let up = Up::start(&yaml, &[]).await;
    assert_eq!(up.get("marked.default.localhost", "/").await.status, 200);
    assert_eq!(processes_with(&format!("{MARKER}=away")).len(), 2);
    assert_eq!(up.stop().await, Some(0));
    assert_eq!(processes_with(&format!("{MARKER}=away")), Vec::<u32>::new());
}
