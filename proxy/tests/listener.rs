//! Who may listen, and how many connections are taken?

mod support;

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use http::StatusCode;
use support::{Front, HOST, cluster, everything_to, listen};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::listener::{BindError, Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::upstream::Upstream;
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
