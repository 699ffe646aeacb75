//! Does anybody notice when all that the proxy was told changes under load?

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use support::{CLUSTER, Front, GRACE, HOST, cluster, host, with_endpoints};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::process;
use tidegate_proxy::route::{Matcher, PathMatch, Route, Split};
use tidegate_testkit::client::Client;
use tidegate_testkit::upstream::{Upstream, answer};
use tidegate_testkit::wait::{eventually, soon};

/// How often everything changes.
const SWAPS: usize = 1000;
/// The clients, half of HTTP/1.1 and half of HTTP/2; each keeps its connection.
const CLIENTS: usize = 8;
/// The cluster that stands through all changes and whose endpoints change in place.
const KEPT: &str = "kept";

fn to(cluster: &str, path: &str) -> Arc<Route> {
    let matcher = Matcher {
        path: PathMatch::prefix(path),
        ..Matcher::default()
    };
    Arc::new(Route {
        matcher: matcher.into(),
        ..Route::forward(Split::single(cluster, [].into()))
    })
}

/// By turns: a fresh cluster for one path under a host of its own, and for the other under the host of everybody.
fn snapshot(swap: usize, kept: &Arc<Cluster>, upstreams: &[SocketAddr]) -> Snapshot {
    let fresh = cluster(Protocol::Http1, &upstreams[swap % upstreams.len()..][..1]);
    let clusters = [fresh, Arc::clone(kept)];
    if swap.is_multiple_of(2) {
        let hosts = [
            host(HOST, vec![to(CLUSTER, "/a"), to(KEPT, "/")]),
            host("*", vec![]),
        ];
        Snapshot::new(hosts, clusters)
    } else {
        Snapshot::new([host("*", vec![to(KEPT, "/a"), to(CLUSTER, "/")])], clusters)
    }
}

/// Asks until it is `over`; every answer must be a good one, over one connection.
async fn ask(address: SocketAddr, index: usize, over: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    let mut client = if index < CLIENTS / 2 {
        Client::http1(address).await
    } else {
        Client::http2(address).await
    };
    while !over.load(Ordering::Relaxed) {
        for path in ["/a", "/b"] {
            let answer = client.get(HOST, path).await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.text()),
                (200, "hello"),
                "{path}"
            );
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn hello() -> Upstream {
    Upstream::start(async |_request| answer(http::StatusCode::OK, "hello")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_swaps_of_everything_fail_no_request() {
    let upstreams = [hello().await, hello().await];
    let addresses = [upstreams[0].address(), upstreams[1].address()];
    let kept = with_endpoints(ClusterSettings::new(KEPT), &addresses);
    let (front, workers) = Front::on_workers(snapshot(0, &kept, &addresses), 2);
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|index| {
            let asking = ask(front.address, index, Arc::clone(&over), Arc::clone(&answered));
            process::spawn("client", front.watch.unguarded(), asking)
        })
        .collect();
    for swap in 0..SWAPS {
        front.config.publish(snapshot(swap, &kept, &addresses));
        let endpoints = &addresses[swap % 2..];
        kept.set_endpoints(
            endpoints
                .iter()
                .map(|address| Endpoint::new(*address).into())
                .collect(),
        );
        let before = answered.load(Ordering::Relaxed);
        let look =
            async || answered.load(Ordering::Relaxed) > before || clients.iter().any(|c| c.is_finished());
        eventually("an answer", look).await;
    }
    over.store(true, Ordering::Relaxed);
    for outcome in soon("the clients", join_all(clients)).await {
        outcome.expect("no request failed");
    }
    assert!(upstreams.iter().all(|upstream| upstream.counts().requests() > 0));
    assert_eq!(front.finish(GRACE).await.forced, 0);
    assert_eq!(tokio::task::spawn_blocking(|| workers.join()).await.unwrap(), 0);
}
