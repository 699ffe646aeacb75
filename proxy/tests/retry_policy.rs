//! What does a retry policy send again, where to, and how often?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::{CLUSTER, Front, HOST, by_policy, cluster, with_endpoints};
use tidegate_proxy::cluster::breaker::{BreakerSettings, Thresholds};
use tidegate_proxy::cluster::{ClusterSettings, Protocol};
use tidegate_proxy::route::ForwardPolicy;
use tidegate_proxy::route::policy::{RetryBudget, RetryOn, RetryPolicy};
use tidegate_testkit::body;
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{Upstream, answer, nobody};
use tidegate_testkit::wait::soon;

fn retrying(policy: RetryPolicy) -> ForwardPolicy {
    ForwardPolicy {
        retry: Some(RetryPolicy {
            backoff_base: Duration::from_millis(1),
            ..policy
        }),
        ..ForwardPolicy::default()
    }
}

/// Answers `failures` requests 503 and echoes the bodies of the others.
async fn failing(failures: usize) -> Upstream {
    let left = Arc::new(std::sync::atomic::AtomicUsize::new(failures));
    Upstream::start(move |request: Request<Incoming>| {
        let left = Arc::clone(&left);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            use std::sync::atomic::Ordering::SeqCst;
            let fails = left
                .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
                .is_ok();
            if fails {
                answer(StatusCode::SERVICE_UNAVAILABLE, "busy")
            } else {
                Response::new(body::full(body))
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_bad_answer_is_followed_by_another_try_with_the_same_body() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let upstream = failing(2).await;
        let policy = RetryPolicy {
            retries_max: 2,
            ..RetryPolicy::on([RetryOn::GatewayError])
        };
        let cluster = cluster(protocol, &[upstream.address()]);
        let front = Front::start(by_policy(&cluster, retrying(policy)));
        let mut client = Client::http1(front.address).await;
        let answer = client.call(post_request(HOST, "/x", body::full("hello"))).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello"));
        assert_eq!(upstream.seen().len(), 3);
    }
}

#[tokio::test]
async fn the_last_answer_stands_when_the_tries_are_used_up() {
    let upstream = failing(9).await;
    let cluster = cluster(Protocol::Http1, &[upstream.address()]);
    let policy = RetryPolicy::on([RetryOn::Status(StatusCode::SERVICE_UNAVAILABLE)]);
    let front = Front::start(by_policy(&cluster, retrying(policy)));
    let answer = get(front.address, HOST, "/").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (503, "busy"));
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn another_try_goes_to_another_endpoint() {
    let upstream = Upstream::echo().await;
    let dead = nobody().await;
    let cluster = cluster(Protocol::Http1, &[dead, upstream.address()]);
    let policy = RetryPolicy::on([RetryOn::ConnectFailure]);
    let front = Front::start(by_policy(&cluster, retrying(policy)));
    for _ in 0..10 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_to_keep_is_sent_once() {
    let upstream = failing(1).await;
    let cluster = cluster(Protocol::Http1, &[upstream.address()]);
    let policy = RetryPolicy::on([RetryOn::GatewayError]);
    let front = Front::start(by_policy(&cluster, retrying(policy)));
    let mut client = Client::http1(front.address).await;
    let long = body::full(vec![b'x'; 64 * 1024 + 1]);
    assert_eq!(client.call(post_request(HOST, "/", long)).await.status, 503);
    let fits = body::full(vec![b'x'; 64 * 1024]);
    assert_eq!(client.call(post_request(HOST, "/", fits)).await.status, 200);
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_followed_by_another() {
    let gate = Gate::closed();
    let (slow, quick) = (Upstream::held(&gate).await, Upstream::echo().await);
    let cluster = cluster(Protocol::Http1, &[slow.address(), quick.address()]);
    let policy = RetryPolicy {
        per_try: Some(Duration::from_millis(50)),
        ..RetryPolicy::on([RetryOn::Reset])
    };
    let front = Front::start(by_policy(&cluster, retrying(policy)));
    for _ in 0..4 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
    slow.runs(0).await;
    cluster.set_endpoints(vec![Arc::clone(&cluster.endpoints()[0])]);
    let answer = get(front.address, HOST, "/").await;
    let expected = (504, "upstream per try timeout\n");
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), expected);
}

#[tokio::test]
async fn retries_are_a_share_of_the_requests() {
    let upstream = failing(9).await;
    let none = RetryBudget {
        percent: 0.0,
        retries_min: 0,
    };
    let policy = RetryPolicy {
        budget: none,
        ..RetryPolicy::on([RetryOn::ServerError])
    };
    let cluster = cluster(Protocol::Http1, &[upstream.address()]);
    let front = Front::start(by_policy(&cluster, retrying(policy)));
    assert_eq!(get(front.address, HOST, "/").await.status, 503);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_breaker_bounds_retries_too() {
    let upstream = failing(9).await;
    let settings = ClusterSettings {
        breakers: BreakerSettings {
            default: Thresholds {
                retries: Some(0),
                ..Thresholds::default()
            },
            ..BreakerSettings::default()
        }
        .into(),
        ..ClusterSettings::new(CLUSTER)
    };
    let policy = retrying(RetryPolicy::on([RetryOn::ServerError]));
    let front = Front::start(by_policy(
        &with_endpoints(settings, &[upstream.address()]),
        policy,
    ));
    assert_eq!(get(front.address, HOST, "/").await.status, 503);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_grpc_status_in_the_head_is_tried_again() {
    let upstream = Upstream::start(async |_| {
        let mut response = Response::new(body::empty());
        response
            .headers_mut()
            .insert("content-type", "application/grpc".parse().unwrap());
        response
            .headers_mut()
            .insert("grpc-status", "14".parse().unwrap());
        response
    })
    .await;
    let cluster = cluster(Protocol::Http2, &[upstream.address()]);
    let front = Front::start(by_policy(
        &cluster,
        retrying(RetryPolicy::on([RetryOn::Grpc(14)])),
    ));
    let mut request = get_request(HOST, "/");
    *request.headers_mut() = HeaderMap::from_iter([(
        "content-type".parse().unwrap(),
        "application/grpc".parse().unwrap(),
    )]);
    let mut client = Client::http2(front.address).await;
    let answer = client.call(request).await;
    assert_eq!(answer.header("grpc-status"), Some("14"));
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn who_leaves_during_a_pause_ends_it() {
    let upstream = failing(9).await;
    let policy = RetryPolicy {
        backoff_base: Duration::from_secs(3600),
        backoff_max: Duration::from_secs(3600),
        ..RetryPolicy::on([RetryOn::ServerError])
    };
    let forward = ForwardPolicy {
        retry: Some(policy),
        ..ForwardPolicy::default()
    };
    let front = Front::start(by_policy(
        &cluster(Protocol::Http1, &[upstream.address()]),
        forward,
    ));
    let mut client = Client::http2(front.address).await;
    let waiting = client.send(get_request(HOST, "/"));
    let _never = tokio::time::timeout(Duration::from_millis(200), waiting).await;
    drop(client);
    soon("the end of the drain", front.drain.finish(Duration::from_secs(8))).await;
}
