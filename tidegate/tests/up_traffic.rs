//! Traffic between revisions: split, tag, rollback, by editing the file, without a failed request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use support::Up;
use tidegate_testkit::client::{self, Client};
use tidegate_testkit::wait::eventually;
use tokio::task::JoinSet;

const HOST: &str = "hello.default.localhost";

/// The hello service with this target in its template and this traffic.
fn hello(target: &str, traffic: &str) -> String {
    format!(
        "apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: hello
spec:
  template:
    spec:
      containers:
      - command: [tidegate, sample, hello]
        env:
        - name: TARGET
          value: {target}
{traffic}"
    )
}

const HALVES: &str = "  traffic:
  - revisionName: hello-00001
    percent: 50
    tag: old
  - revisionName: hello-00002
    percent: 50
";
const BACK: &str = "  traffic:
  - revisionName: hello-00001
    percent: 100
";

async fn becomes(up: &Up, host: &str, text: &str) {
    eventually(&format!("{host} to answer {text}"), async || {
        let answer = up.get(host, "/").await;
        (answer.text() == text).then_some(()).ok_or(answer.text())
    })
    .await;
}

/// Keeps requests running on one connection until it is told to stop; says how many were answered 200 and what else.
async fn load(up: &Up, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Vec<u16> {
    let mut client = Client::http1(up.http).await;
    let mut others = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match client.get(HOST, "/").await.status.as_u16() {
            200 => _ = answered.fetch_add(1, Ordering::Relaxed),
            other => others.push(other),
        }
        client.ready().await.unwrap();
    }
    others
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn split_tag_and_rollback_under_load_fail_no_request() {
    let up = Arc::new(Up::start(&hello("one", ""), &[]).await);
    becomes(&up, HOST, "Hello one!\n").await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut background = JoinSet::new();
    background.spawn({
        let (up, stop, answered) = (Arc::clone(&up), Arc::clone(&stop), Arc::clone(&answered));
        async move { load(&up, stop, answered).await }
    });

    up.edit(&hello("two", ""));
    becomes(&up, HOST, "Hello two!\n").await;
    up.edit(&hello("two", HALVES));
    becomes(&up, "old-hello.default.localhost", "Hello one!\n").await;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..100 {
        *counts.entry(up.get(HOST, "/").await.text()).or_default() += 1;
    }
    assert!(
        counts.values().all(|count| (30..=70).contains(count)) && counts.len() == 2,
        "{counts:?}"
    );
    up.edit(&hello("two", BACK));
    eventually("only the old revision", async || {
        let mut texts = Vec::new();
        for _ in 0..10 {
            texts.push(up.get(HOST, "/").await.text());
        }
        texts
            .iter()
            .all(|text| text == "Hello one!\n")
            .then_some(())
            .ok_or(texts.concat())
    })
    .await;

    stop.store(true, Ordering::Relaxed);
    assert_eq!(
        background.join_next().await.unwrap().unwrap(),
        Vec::<u16>::new(),
        "requests that were not answered 200"
    );
    assert!(answered.load(Ordering::Relaxed) > 100);
}

#[tokio::test]
async fn a_revision_that_does_not_come_up_gets_no_traffic() {
    let mut up = Up::start(&hello("one", ""), &[]).await;
    becomes(&up, HOST, "Hello one!\n").await;
    up.edit(&hello("two", "").replace("[tidegate, sample, hello]", "[sh, -c, exit 7]"));
    up.program.line_with("does not come up").await;
    assert_eq!(up.get(HOST, "/").await.text(), "Hello one!\n");
    up.edit(&hello("three", ""));
    becomes(&up, HOST, "Hello three!\n").await;
}

#[tokio::test]
async fn an_unknown_revision_is_an_error_that_lists_the_known_ones() {
    let mut up = Up::start(&hello("one", ""), &[]).await;
    up.edit(&hello("one", &BACK.replace("hello-00001", "hello-00009")));
    let line = up.program.line_with("hello-00009").await;
    assert!(line.contains("services.yaml:"), "{line}");
    up.program.line_with("hello-00001").await;
    assert_eq!(client::get(up.http, HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_restart_knows_the_revisions_for_a_rollback() {
    let state = tempfile::tempdir().unwrap();
    let flag = format!("--state-dir={}", state.path().display());
    let up = Up::start(&hello("one", ""), &[&flag]).await;
    becomes(&up, HOST, "Hello one!\n").await;
    up.edit(&hello("two", ""));
    becomes(&up, HOST, "Hello two!\n").await;
    assert_eq!(up.stop().await, Some(0));

    let up = Up::start(&hello("two", BACK), &[&flag]).await;
    assert_eq!(up.get(HOST, "/").await.text(), "Hello one!\n");
    assert_eq!(up.stop().await, Some(0));
}
