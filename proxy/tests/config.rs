//! What does a new snapshot change, and what not: requests under way, connections, pools?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use http::StatusCode;
use support::{Front, GRACE, HOST, cluster, everything_to, host, route, with_endpoints};
use tidegate_proxy::cluster::{ClusterSettings, Endpoint, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::filter::FilterOverrides;
use tidegate_proxy::route::{HeaderMatch, Matcher, PathMatch, Route, Split, WeightedCluster};
use tidegate_testkit::client::{Client, get, get_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::Upstream;

/// Asks again and again until told to stop; counts the answers.
async fn load(address: SocketAddr, answered: &AtomicUsize, over: &AtomicBool) {
    let mut client = Client::http1(address).await;
    while !over.load(Ordering::SeqCst) {
        assert_eq!(client.get(HOST, "/").await.status, 200);
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// Publishes a thousand snapshots that differ, each once an answer has come after the one before.
async fn publish(front: &Front, upstream: SocketAddr, answered: &AtomicUsize) {
    for turn in 1..=1000 {
        let others = (0..turn % 10).map(|other| host(&format!("{other}.example"), vec![route(None)]));
        let hosts = others.chain([host(HOST, vec![route(None)])]);
        let before = answered.load(Ordering::SeqCst);
        front
            .config
            .publish(Snapshot::new(hosts, [cluster(Protocol::Http1, &[upstream])]));
        while answered.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_thousand_snapshots_under_load_fail_no_request() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let address = upstream.address();
    let (front, workers) = Front::on_workers(everything_to(&cluster(Protocol::Http1, &[address]), None), 2);
    let (answered, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let published = async {
        publish(&front, address, &answered).await;
        over.store(true, Ordering::SeqCst);
    };
    let clients = join_all((0..4).map(|_| load(front.address, &answered, &over)));
    tokio::join!(published, clients);
    assert!(
        upstream.counts().connections() <= 4,
        "the pool is kept, whatever the snapshot"
    );
    assert_eq!(front.finish(GRACE).await.forced, 0);
    assert_eq!(tokio::task::spawn_blocking(|| workers.join()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_under_way_keeps_what_it_matched() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to(upstream.address());
    let mut client = Client::http1(front.address).await;
    let (answer, ()) = tokio::join!(client.call(get_request(HOST, "/")), async {
        upstream.runs(1).await;
        front.config.publish(Snapshot::default());
        gate.open();
    });
    assert_eq!(answer.text(), "held");
    assert_eq!(
        client.get(HOST, "/").await.status,
        404,
        "the same connection, the next snapshot"
    );
}

#[tokio::test]
async fn endpoints_change_in_place() {
    let (old, new) = (
        Upstream::fixed(StatusCode::OK, "old").await,
        Upstream::fixed(StatusCode::OK, "new").await,
    );
    let cluster = cluster(Protocol::Http1, &[old.address()]);
    let front = Front::start(everything_to(&cluster, None));
    let mut client = Client::http1(front.address).await;
    assert_eq!(client.get(HOST, "/").await.text(), "old");
    cluster.set_endpoints(vec![Arc::new(Endpoint::new(new.address()))]);
    assert_eq!(client.get(HOST, "/").await.text(), "new");
    cluster.set_endpoints(Vec::new());
    assert_eq!(client.get(HOST, "/").await.status, 503);
}

fn part(name: &str, weight: u32) -> WeightedCluster {
    WeightedCluster {
        cluster: name.into(),
        weight,
        headers: [("x-part".parse().unwrap(), name.parse().unwrap())].into(),
        overrides: FilterOverrides::default(),
        host: None,
    }
}

#[tokio::test]
async fn requests_are_dealt_out_to_endpoints_and_by_weight() {
    let upstreams = [(); 3].map(|()| Upstream::fixed(StatusCode::OK, "hello"));
    let upstreams: [Upstream; 3] = join_all(upstreams).await.try_into().unwrap();
    let addresses = upstreams.each_ref().map(Upstream::address);
    let a = with_endpoints(ClusterSettings::new("a"), &addresses[..2]);
    let b = with_endpoints(ClusterSettings::new("b"), &addresses[2..]);
    let split = Split::new([part("a", 80), part("b", 20)]).unwrap();
    let front = Front::start(Snapshot::new(
        [host("*", vec![Arc::new(Route::forward(split))])],
        [a, b],
    ));
    for _ in 0..100 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
    let requests = upstreams.each_ref().map(|upstream| upstream.counts().requests());
    assert_eq!(requests, [40, 40, 20]);
    assert!(
        upstreams[2]
            .seen()
            .iter()
            .all(|seen| seen.header("x-part") == Some("b"))
    );
}

/// What has this prefix and this header goes to `special`, the rest to [`support::CLUSTER`].
async fn two_routes() -> (Front, [Upstream; 2]) {
    let special = Upstream::fixed(StatusCode::OK, "special").await;
    let general = Upstream::fixed(StatusCode::OK, "general").await;
    let tagged = Route {
        matcher: Matcher {
            path: PathMatch::prefix("/api/"),
            headers: vec![HeaderMatch::exact("x-tag", "blue").unwrap()],
            ..Matcher::default()
        }
        .into(),
        ..Route::forward(Split::single("special", [].into()))
    };
    let clusters = [
        with_endpoints(ClusterSettings::new("special"), &[special.address()]),
        cluster(Protocol::Http1, &[general.address()]),
    ];
    let hosts = [host("*.example", vec![Arc::new(tagged), route(None)])];
    (Front::start(Snapshot::new(hosts, clusters)), [special, general])
}

#[tokio::test]
async fn the_first_route_that_matches_takes_the_request() {
    let (front, _upstreams) = two_routes().await;
    for (path, tag, expected) in [
        ("/api/x", Some("blue"), "special"),
        ("/x/../api/x", Some("blue"), "special"),
        ("/api/../x", Some("blue"), "general"),
        ("/api/x", Some("red"), "general"),
        ("/api/x", None, "general"),
    ] {
        let mut request = get_request("a.example", path);
        if let Some(tag) = tag {
            request.headers_mut().insert("x-tag", tag.parse().unwrap());
        }
        let answer = Client::http1(front.address).await.call(request).await;
        assert_eq!(answer.text(), expected, "{path} {tag:?}");
    }
    assert_eq!(get(front.address, "example", "/").await.status, 404);
}
