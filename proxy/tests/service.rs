//! Does the proxy work as a tower service, in anybody's runtime and stack?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use support::{Front, HOST};
use tidegate_proxy::{Body, Proxy};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::Upstream;
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::timeout::TimeoutLayer;

/// The proxy alone. What it returns beside has to live as long.
async fn proxy() -> (Proxy, Upstream, Front) {
    let upstream = Upstream::echo().await;
    let mut front = Front::to(upstream.address());
    let proxy = front.proxy.take().expect("one worker");
    (proxy, upstream, front)
}

fn post(text: &'static str) -> Request<Full<Bytes>> {
    let request = Request::post(format!("http://{HOST}/"));
    request
        .body(Full::new(Bytes::from_static(text.as_bytes())))
        .expect("a request")
}

#[tokio::test]
async fn any_body_is_taken_and_errors_are_responses() {
    let (proxy, _upstream, front) = proxy().await;
    let answer = proxy.clone().oneshot(post("hello")).await.expect("never fails");
    assert_eq!(
        answer.into_body().collect().await.expect("a body").to_bytes(),
        "hello"
    );
    let no_host = Request::get("/").body(Empty::<Bytes>::new()).expect("a request");
    let answer = proxy.clone().oneshot(no_host).await.expect("never fails");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    front.config.publish(tidegate_proxy::config::Snapshot::default());
    let answer = proxy
        .oneshot(post("hello").map(Body::new))
        .await
        .expect("never fails");
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_layer_around_it_may_give_up() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let mut front = Front::to(upstream.address());
    let deadline = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(50));
    let service = ServiceBuilder::new().layer(deadline);
    let service = service.service(front.proxy.take().expect("one worker"));
    let answer = service.oneshot(post("hello")).await.expect("never fails");
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    upstream.runs(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_proxy_serves_many_threads() {
    let (proxy, upstream, _front) = proxy().await;
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let proxy = proxy.clone();
        clients.spawn(async move {
            for _ in 0..100 {
                let answer = proxy.clone().oneshot(post("hello")).await.expect("never fails");
                assert_eq!(
                    answer.into_body().collect().await.expect("a body").to_bytes(),
                    "hello"
                );
            }
        });
    }
    while let Some(joined) = clients.join_next().await {
        joined.expect("no request failed");
    }
    assert_eq!(upstream.counts().requests(), 1600);
    let connections = upstream.counts().connections();
    assert!(connections < 100, "{connections} connections for 16 clients");
}
