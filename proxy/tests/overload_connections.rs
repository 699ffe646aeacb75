//! Is every client served in turn when there are more than a process has descriptors for, or one that never pauses?

mod support;

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use support::{Front, HOST, cluster, everything_to};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::listener::Connections;
use tidegate_proxy::process;
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::program::Program;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wire::Wire;

/// Names the upstream of [`the_process_with_few_descriptors`].
const UPSTREAM: &str = "TIDEGATE_TEST_UPSTREAM";
const DESCRIPTORS: usize = 192;
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: app.example\r\n\r\n";

/// Not a test: what the test below starts as a process of its own. By itself it does nothing.
#[tokio::test]
async fn the_process_with_few_descriptors() {
    let Ok(upstream) = env::var(UPSTREAM) else { return };
    let upstream: SocketAddr = upstream.parse().unwrap();
    let connections = Connections::default();
    let max = connections.max();
    let front = Front::start_at_most(
        everything_to(&cluster(Protocol::Http1, &[upstream]), None),
        connections,
    );
    println!("\nlistening {} {max}", front.address);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn few_descriptors_hold_few_connections_and_all_are_served_in_turn() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let script =
        format!("ulimit -n {DESCRIPTORS}; exec \"$0\" --exact the_process_with_few_descriptors --nocapture");
    let this = env::current_exe().unwrap().display().to_string();
    let mut process = Program::new("sh")
        .args(["-c", &script, &this])
        .env(UPSTREAM, upstream.address().to_string())
        .start();
    let line = process.line_with("listening ").await;
    let mut words = line.split(' ').skip(1);
    let address: SocketAddr = words.next().unwrap().parse().unwrap();
    let max: usize = words.next().unwrap().parse().unwrap();
    assert!((DESCRIPTORS / 8..DESCRIPTORS / 2).contains(&max), "{max}");
    let mut clients = Vec::new();
    for _ in 0..3 * max {
        let mut wire = Wire::connect(address).await;
        wire.send(REQUEST).await;
        clients.push(wire);
    }
    // Those that are held are served, at once and again; each that leaves makes room for the next.
    for wire in clients.iter_mut().take(max) {
        assert_eq!(wire.message().await.head.status(), 200);
    }
    for wire in clients.iter_mut().take(max) {
        wire.send(REQUEST).await;
    }
    for mut wire in clients {
        assert_eq!(wire.message().await.head.status(), 200);
    }
    assert_eq!(get(address, HOST, "/").await.status, 200);
    let mut last = Client::http1(address).await;
    assert_eq!(last.get(HOST, "/").await.status, 200);
}

/// As many requests as the noisy client has under way at any time.
const PIPELINED: usize = 64;

#[tokio::test]
async fn a_client_that_never_pauses_stops_no_other() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let over = Arc::new(AtomicBool::new(false));
    let (address, stop) = (front.address, Arc::clone(&over));
    let noisy = process::spawn("noisy client", front.watch.unguarded(), async move {
        let mut wire = Wire::connect(address).await;
        let request = "GET /noise HTTP/1.1\r\nhost: a\r\n\r\n";
        wire.send(request.repeat(PIPELINED)).await;
        while !stop.load(Ordering::Relaxed) {
            wire.send(request).await;
            assert_eq!(wire.message().await.status(), 200);
        }
    });
    for _ in 0..50 {
        assert_eq!(get(front.address, HOST, "/quiet").await.status, 200);
    }
    let mut standing = Client::http2(front.address).await;
    for _ in 0..50 {
        assert_eq!(standing.get(HOST, "/quiet").await.status, 200);
    }
    assert!(!noisy.is_finished(), "it was noisy all the time");
    over.store(true, Ordering::Relaxed);
    noisy.await.unwrap();
}
