//! Who may listen, and how many connections are taken?

mod support;

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::Duration;

use http::StatusCode;
use support::edge::{open_with, settings};
use support::{Front, HOST, cluster, everything_to, listen};
use tidegate_proxy::Proxy;
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::Handle;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::drain::Drain;
use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::listener::settings::IpVersions;
use tidegate_proxy::listener::{BindError, Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::process;
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::{eventually, soon};
use tidegate_testkit::wire::Wire;

const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

fn bind(address: SocketAddr) -> Result<Listener, BindError> {
    Listener::bind(address, TWO, EdgePolicy::default(), Connections::default())
}

#[test]
fn a_port_that_another_program_has_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(address).unwrap_err();
    assert_eq!(error.address, address.into());
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {address}: the port is taken by another program")
    );
}

#[test]
fn a_port_that_a_group_of_our_own_has_is_taken_too() {
    let first = listen(TWO, Connections::default());
    bind(first.address()).unwrap_err();
    let address = first.address();
    drop(first);
    assert_eq!(bind(address).unwrap().address(), address);
}

#[test]
fn ports_that_the_system_chooses_are_not_shared() {
    let listeners: Vec<_> = (0..20).map(|_| listen(TWO, Connections::default())).collect();
    let mut ports: Vec<_> = listeners.iter().map(|one| one.address().port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 20);
}

#[tokio::test]
async fn above_the_cap_connections_wait_in_the_queue_until_one_ends() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::start_at_most(snapshot, Connections::at_most(2));
    let mut first = Client::http1(front.address).await;
    let mut second = Client::http1(front.address).await;
    assert_eq!(first.get(HOST, "/").await.status, 200);
    assert_eq!(second.get(HOST, "/").await.status, 200);
    // The kernel takes them; nobody answers.
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut wire = Wire::connect(front.address).await;
        wire.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        waiting.push(wire);
    }
    assert_eq!(second.get(HOST, "/").await.status, 200);
    assert_eq!(front.books.totals().accepted, 3);
    drop(first);
    for mut wire in waiting {
        assert!(wire.rest().await.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_client_that_never_speaks_takes_no_request_down_with_it() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    let _silent = Wire::connect(front.address).await;
    let gone = Wire::connect(front.address).await;
    gone.reset();
    assert_eq!(get(front.address, HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_listener_of_several_has_a_bound_of_its_own() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let mut settings = settings(vec![FilterChain::plain(HttpSettings::default())]);
    settings.connections_max = Some(NonZeroUsize::MIN);
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(open_with(settings), snapshot);
    let mut first = Client::http1(front.address).await;
    assert_eq!(first.get(HOST, "/").await.status, 200);
    let mut second = Wire::connect(front.address).await;
    second.send("GET / HTTP/1.1\r\nhost: app.example\r\n\r\n").await;
    assert_eq!(first.get(HOST, "/").await.status, 200);
    assert_eq!(front.books.totals().accepted, 2);
    drop(first);
    assert_eq!(second.message().await.head.status(), 200);
}

#[tokio::test]
async fn more_connections_of_one_source_than_it_may_have_are_closed() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let connections = Connections::at_most_with_sources(9, TWO);
    let front = Front::start_at_most(snapshot, connections);
    let mut first = Client::http1(front.address).await;
    let mut second = Client::http1(front.address).await;
    assert_eq!(first.get(HOST, "/").await.status, 200);
    assert_eq!(second.get(HOST, "/").await.status, 200);
    Wire::connect(front.address).await.ends().await;
    assert_eq!(second.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_listener_stops_alone_and_its_address_is_free_again() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let listener = listen(TWO, Connections::default());
    let handle = listener.handle();
    let front = Front::behind(listener, snapshot);
    let mut idle = Client::http1(front.address).await;
    assert_eq!(idle.get(HOST, "/").await.status, 200);
    let outcome = soon("the end of the listener", handle.stop(support::GRACE)).await;
    assert_eq!(outcome.forced, 0);
    assert!(!front.watch.is_draining());
    eventually("the end of the idle connection", async || idle.is_closed()).await;
    let again = eventually("the address", async || bind(front.address)).await;
    for acceptor in again.into_acceptors() {
        process::spawn(
            "acceptor",
            front.watch.unguarded(),
            acceptor.serve(front.proxy.clone().unwrap()),
        );
    }
    assert_eq!(get(front.address, HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_listener_that_stops_cuts_at_the_end_of_its_grace_what_is_its_own() {
    let (upstream, held) = (Upstream::websocket().await, listen(TWO, Connections::default()));
    let handle = held.handle();
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(held, snapshot);
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: app.example\r\ncontent-length: 9\r\n\r\n")
        .await;
    eventually("a request", async || front.books.totals().accepted == 1).await;
    let outcome = soon("the end of the listener", handle.stop(Duration::from_millis(50))).await;
    assert_eq!(outcome.forced, 1);
    _ = wire.rest().await;
}

#[tokio::test]
async fn one_ipv6_address_may_take_both_versions() {
    let upstream = Upstream::echo().await;
    let mut settings = settings(vec![FilterChain::plain(HttpSettings::default())]);
    settings.address = SocketAddr::from(([0; 8], 0)).into();
    settings.versions = IpVersions::Both;
    let Ok(listener) = Listener::open(settings, NonZeroUsize::MIN) else {
        println!("this machine is without IPv6");
        return;
    };
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(listener, snapshot);
    for (address, told) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1")] {
        let address = SocketAddr::new(address.parse().unwrap(), front.address.port());
        assert_eq!(get(address, HOST, "/").await.status, 200);
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.headers["x-forwarded-for"], told);
    }
}

#[tokio::test]
async fn connections_that_stay_are_spread_over_the_workers_whomever_they_came_to() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let handle = Handle::new(everything_to(
        &cluster(Protocol::Http1, &[upstream.address()]),
        None,
    ));
    let (drain, watch) = Drain::new();
    let listener = listen(TWO, Connections::default());
    let address = listener.address();
    let workers = [(); 2].map(|()| Proxy::new(handle.clone(), watch.clone()));
    for (acceptor, worker) in listener.into_acceptors().zip(&workers) {
        process::spawn("acceptor", watch.unguarded(), acceptor.serve(worker.clone()));
    }
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Client::http1(address).await;
        assert_eq!(client.get(HOST, "/").await.status, 200);
        clients.push(client);
    }
    let served = workers.each_ref().map(|worker| worker.ledger().totals().accepted);
    assert_eq!(served, [4, 4]);
    // A drain waits for those that were handed on as for all others.
    drop(clients);
    assert_eq!(drain.finish(Duration::from_secs(10)).await.forced, 0);
}
