//! What does the autoscaler read?

use prost::Message;
use tidegate_knative::stat::Stat;
use tidegate_testkit::client::{Answer, Client, get, get_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{self, Upstream};
use tidegate_testkit::wait::eventually;
use tokio::task::JoinSet;

use crate::rig::{HOST, Sidecar, request};

/// Looks at the page until `wanted` holds.
async fn page(sidecar: &Sidecar, what: &str, wanted: impl Fn(&Stat) -> bool) -> Stat {
    eventually(what, async || {
        let answer = get(sidecar.stats, HOST, "/metrics").await;
        let stat = Stat::decode(answer.body).map_err(|error| error.to_string())?;
        if wanted(&stat) {
            Ok(stat)
        } else {
            Err(format!("{stat:?}"))
        }
    })
    .await
}

#[tokio::test]
async fn qp_16_qp_18_the_page_is_protobuf_whoever_asks_and_at_first_a_name_alone() {
    let sidecar = Sidecar::start(upstream::nobody().await, &[]).await;
    let mut post = get_request(HOST, "/metrics");
    *post.method_mut() = http::Method::POST;
    post.headers_mut()
        .insert("accept", "text/plain".parse().expect("a value"));
    let answer = Client::http1(sidecar.stats).await.call(post).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/protobuf"));
    assert!(answer.body.len() <= 336);
    let stat = Stat::decode(answer.body).expect("a stat");
    assert_eq!(stat.pod_name, "hello-00001-abc");
    assert!(stat.process_uptime < 10.0);
    page(&sidecar, "a report", |stat| stat.process_uptime > 0.0).await;
    assert_eq!(get(sidecar.stats, HOST, "/").await.status, 404);
    assert_eq!(
        get(sidecar.admin, HOST, "/metrics").await.text(),
        "404 page not found\n"
    );
}

#[tokio::test]
async fn qp_12_qp_15_requests_count_while_they_wait_and_an_activators_apart() {
    let gate = Gate::closed();
    let app = Upstream::held(&gate).await;
    let sidecar = Sidecar::start(app.address(), &[("CONTAINER_CONCURRENCY", "1")]).await;
    let main = sidecar.main;
    let send = |proxied: bool| async move {
        let headers: &[_] = if proxied {
            &[("k-proxy-request", "activator")]
        } else {
            &[]
        };
        Client::http1(main).await.call(request(headers)).await
    };
    let all: JoinSet<Answer> = [true, false, true].into_iter().map(send).collect();
    page(&sidecar, "three at a time, two proxied", |stat| {
        stat.average_concurrent_requests == 3.0 && stat.average_proxied_concurrent_requests == 2.0
    })
    .await;
    gate.open();
    all.join_all().await;
    let idle = page(&sidecar, "none any more", |stat| {
        stat.average_concurrent_requests == 0.0
    })
    .await;
    assert_eq!((idle.request_count, idle.timestamp), (0.0, 0));
}
