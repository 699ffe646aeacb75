//! What is counted about requests and connections, where and when?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::sync::Arc;

use http::StatusCode;
use support::{CLUSTER, Front, HOST, by_policy, cluster, everything_to};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::observe::counts::{HttpCounts, ListenerCounts};
use tidegate_proxy::route::ForwardPolicy;
use tidegate_proxy::route::policy::{RetryOn, RetryPolicy};
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::upstream::{Upstream, nobody};
use tidegate_testkit::wait::eventually;

fn only_listener(front: &Front) -> Arc<ListenerCounts> {
    let listeners = front.config.counts().listeners();
    assert_eq!(listeners.len(), 1);
    Arc::clone(&listeners[0])
}

fn only_chain(front: &Front) -> Arc<HttpCounts> {
    Arc::clone(&only_listener(front).http()[0].1)
}

fn only_cluster(front: &Front) -> Arc<Cluster> {
    Arc::clone(front.config.load().cluster(CLUSTER).unwrap())
}

#[tokio::test]
async fn a_request_counts_at_its_listener_its_chain_its_cluster_and_its_endpoint() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let http = HttpSettings {
        metrics_name: "edge".into(),
        ..HttpSettings::default()
    };
    let front = Front::speaking(http, upstream.address());
    get(front.address, HOST, "/").await;
    eventually("the connection has ended", async || {
        only_listener(&front).totals().ended == 1
    })
    .await;
    assert_eq!(only_listener(&front).totals().accepted, 1);
    assert_eq!(&*only_listener(&front).http()[0].0, "edge");
    let chain = only_chain(&front).totals();
    assert_eq!(
        (chain.requests(), chain.requests_ended, chain.responses_2xx),
        (1, 1, 1)
    );
    assert_eq!((chain.requests_routed, chain.response_bytes), (1, 5));
    assert_eq!((chain.connections_http1, chain.connections_http1_ended), (1, 1));
    assert_eq!(only_chain(&front).request_times().len(), 1);
    let cluster = only_cluster(&front);
    let counts = cluster.counts();
    assert_eq!(counts.codes(), [(200, 1)]);
    assert_eq!(
        (counts.totals().requests, counts.totals().connections_http1),
        (1, 1)
    );
    assert_eq!(
        (counts.request_times().len(), counts.connect_times().len()),
        (1, 1)
    );
    let endpoint = cluster.endpoints()[0].totals();
    assert_eq!(
        (endpoint.requests, endpoint.answered, endpoint.connections),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn what_no_route_takes_counts_apart() {
    let front = Front::start(Snapshot::default());
    get(front.address, HOST, "/").await;
    let chain = only_chain(&front).totals();
    assert_eq!(
        (chain.no_route, chain.responses_4xx, chain.requests_routed),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn a_dial_that_fails_counts_as_503_and_at_its_endpoint() {
    let nobody = nobody().await;
    let front = Front::start(everything_to(&cluster(Protocol::Http1, &[nobody]), None));
    get(front.address, HOST, "/").await;
    let cluster = only_cluster(&front);
    let totals = cluster.counts().totals();
    assert_eq!(cluster.counts().codes(), [(503, 1)]);
    assert_eq!((totals.connects_failed, totals.requests, totals.waits), (1, 0, 1));
    let endpoint = cluster.endpoints()[0].totals();
    assert_eq!((endpoint.connects_failed, endpoint.failed), (1, 1));
}

#[tokio::test]
async fn each_retry_counts_with_the_status_that_led_to_it() {
    let upstream = Upstream::fixed(StatusCode::SERVICE_UNAVAILABLE, "busy").await;
    let policy = ForwardPolicy {
        retry: Some(RetryPolicy::on([RetryOn::ServerError])),
        ..ForwardPolicy::default()
    };
    let cluster = cluster(Protocol::Http1, &[upstream.address()]);
    let front = Front::start(by_policy(&cluster, policy));
    get(front.address, HOST, "/").await;
    let counts = Arc::clone(only_cluster(&front).counts());
    assert_eq!(
        (counts.codes(), counts.codes_retried()),
        (vec![(503, 1)], vec![(503, 1)])
    );
    let totals = counts.totals();
    assert_eq!(
        (totals.requests, totals.retries, totals.retries_exhausted),
        (2, 1, 1)
    );
}

#[tokio::test]
async fn a_cluster_that_takes_the_place_of_another_goes_on_with_its_numbers() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::start(everything_to(
        &cluster(Protocol::Http1, &[upstream.address()]),
        None,
    ));
    let mut client = Client::http1(front.address).await;
    client.get(HOST, "/").await;
    let before = only_cluster(&front);
    let next = Cluster::new(ClusterSettings::new(CLUSTER));
    next.set_endpoints(before.endpoints().to_vec());
    front.config.publish(everything_to(&next, None));
    client.get(HOST, "/").await;
    assert_eq!(only_cluster(&front).counts().codes(), [(200, 2)]);
    assert!(!Arc::ptr_eq(&only_cluster(&front), &before));
}
