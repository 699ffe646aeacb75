//! Which endpoint does a request over the wire reach, by health, priority and chance of its own?

mod support;

use std::sync::Arc;

use http::StatusCode;
use support::{CLUSTER, Front, HOST, by_policy, everything_to};
use tidegate_proxy::cluster::balance::{Balance, Maglev};
use tidegate_proxy::cluster::{BalanceSettings, Cluster, ClusterSettings, Endpoint, Status};
use tidegate_proxy::route::ForwardPolicy;
use tidegate_testkit::client::get;
use tidegate_testkit::upstream::Upstream;

async fn two() -> [Upstream; 2] {
    [
        Upstream::fixed(StatusCode::OK, "one").await,
        Upstream::fixed(StatusCode::OK, "two").await,
    ]
}

fn cluster(balance: BalanceSettings, endpoints: [Endpoint; 2]) -> Arc<Cluster> {
    let cluster = Cluster::new(ClusterSettings {
        balance: balance.into(),
        ..ClusterSettings::new(CLUSTER)
    });
    cluster.set_endpoints(endpoints.map(Arc::new).into());
    cluster
}

#[tokio::test]
async fn weights_are_followed() {
    let [one, two] = two().await;
    let endpoints = [
        Endpoint::new(one.address()).with_weight(3),
        Endpoint::new(two.address()),
    ];
    let front = Front::start(everything_to(
        &cluster(BalanceSettings::default(), endpoints),
        None,
    ));
    for _ in 0..40 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
    assert!(one.seen().len().abs_diff(30) <= 1, "{}", one.seen().len());
}

#[tokio::test]
async fn the_next_priority_serves_when_the_first_is_drained() {
    let [one, two] = two().await;
    let second = || Endpoint::new(two.address()).with_priority(1);
    let cluster = cluster(
        BalanceSettings::default(),
        [Endpoint::new(one.address()), second()],
    );
    let front = Front::start(everything_to(&cluster, None));
    assert_eq!(get(front.address, HOST, "/").await.text(), "one");
    let draining = Endpoint::new(one.address()).with_status(Status::Draining);
    cluster.set_endpoints([draining, second()].map(Arc::new).into());
    for _ in 0..5 {
        assert_eq!(get(front.address, HOST, "/").await.text(), "two");
    }
}

#[tokio::test]
async fn without_a_hash_any_endpoint_will_do() {
    let [one, two] = two().await;
    let balance = BalanceSettings {
        policy: Balance::Maglev(Maglev::default()),
        ..BalanceSettings::default()
    };
    let endpoints = [&one, &two].map(|upstream| Endpoint::new(upstream.address()));
    let front = Front::start(by_policy(&cluster(balance, endpoints), ForwardPolicy::default()));
    for _ in 0..40 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
    assert!(!one.seen().is_empty() && !two.seen().is_empty());
}
