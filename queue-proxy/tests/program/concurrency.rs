//! How many requests does the application get at a time, and what are the others told?

use http::StatusCode;
use tidegate_testkit::client::{Answer, Client, get};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::websocket::WebSocket;
use tokio::task::JoinSet;

use crate::rig::{HOST, Sidecar, request, told};

#[tokio::test]
async fn qp_10_beyond_eleven_times_the_limit_the_queue_is_full_and_says_so() {
    let gate = Gate::closed();
    let app = Upstream::held(&gate).await;
    let sidecar = Sidecar::start(app.address(), &[("CONTAINER_CONCURRENCY", "1")]).await;
    let main = sidecar.main;
    let mut all: JoinSet<Answer> = (0..12)
        .map(|_| async move { get(main, HOST, "/").await })
        .collect();
    // The others wait for the gate: only one can have been answered.
    let refused = all
        .join_next()
        .await
        .expect("twelve were sent")
        .expect("it was answered");
    assert_eq!(
        told(&refused),
        (503, "pending request queue full\n".to_owned(), true)
    );
    assert_eq!(refused.header("content-type"), Some("text/plain; charset=utf-8"));
    gate.open();
    let rest = all.join_all().await;
    assert!(
        rest.iter().all(|answer| answer.status == StatusCode::OK),
        "{rest:?}"
    );
    assert_eq!((rest.len(), app.counts().running_max()), (11, 1));
}

#[tokio::test]
async fn qp_13_a_kubelets_probe_and_all_health_pass_by_the_limit() {
    let gate = Gate::closed();
    let app = Upstream::held(&gate).await;
    let sidecar = Sidecar::start(app.address(), &[("CONTAINER_CONCURRENCY", "1")]).await;
    let send = |headers: &'static [(&'static str, &'static str)]| {
        let main = sidecar.main;
        async move { Client::http1(main).await.call(request(headers)).await }
    };
    let mut all: JoinSet<Answer> = (0..3).map(|_| send(&[])).collect();
    app.runs(1).await;
    all.extend((0..3).map(|_| send(&[("k-kubelet-probe", "1"), ("k-original-host", "other")])));
    app.runs(4).await;
    assert_eq!(sidecar.probe().await, (200, "queue".to_owned()));
    let seen = app.seen();
    let probes = seen
        .iter()
        .filter(|seen| seen.header("k-original-host") == Some("other"));
    assert_eq!(probes.count(), 3, "the host of a probe is not restored");
    gate.open();
    assert_eq!(all.join_all().await.len(), 6);
}

#[tokio::test]
async fn a_websocket_takes_a_place_until_it_closes() {
    let app = Upstream::websocket().await;
    let sidecar = Sidecar::start(app.address(), &[("CONTAINER_CONCURRENCY", "1")]).await;
    let mut first = WebSocket::connect(sidecar.main, HOST, "/")
        .await
        .expect("a socket");
    first.say("hello").await;
    assert_eq!(first.hear().await, "hello");
    let main = sidecar.main;
    let mut waiting: JoinSet<_> = [WebSocket::connect(main, HOST, "/")].into_iter().collect();
    assert!(waiting.try_join_next().is_none());
    first.close().await;
    let second = waiting
        .join_next()
        .await
        .expect("one waits")
        .expect("it does not panic");
    second.expect("the place is free").close().await;
}
