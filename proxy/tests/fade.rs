//! How are clients parted with by and by, a filter chain's or a listener's alone?

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use support::edge::{self, ANY, chain, client};
use support::{Front, GRACE, HOST, cluster, everything_to};
use tidegate_proxy::Proxy;
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::Handle;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::drain::{Drain, Fade};
use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
use tidegate_proxy::listener::settings::Begin;
use tidegate_proxy::listener::{Listener, ListenerSettings};
use tidegate_proxy::process;
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::{Client, get_request};
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::{eventually, soon};
use tokio::net::TcpStream;

const NO_GRACE: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_fade_ends_each_connection_with_its_next_response_and_no_idle_one() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    let mut client = Client::http1(front.address).await;
    assert_eq!(client.get(HOST, "/").await.header("connection"), None);
    front.drain.fade(Fade::Now);
    assert_eq!(client.get(HOST, "/").await.header("connection"), Some("close"));
    let mut late = Client::http1(front.address).await;
    front.drain.fade(Fade::None);
    assert_eq!(late.get(HOST, "/").await.header("connection"), None);
    assert!(!late.is_closed());
}

#[tokio::test]
async fn a_fade_asks_http2_clients_to_go_after_a_request() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    let mut client = Client::http2(front.address).await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
    front.drain.fade(Fade::Now);
    assert_eq!(client.get(HOST, "/").await.status, 200);
    eventually("the connection's end", async || client.ready().await.is_err()).await;
}

#[tokio::test]
async fn only_connections_of_a_chain_that_is_gone_are_drained() {
    let authority = Authority::new("tests");
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (stays, goes) = (
        chain(&authority, &["stays.example"]),
        chain(&authority, &["goes.example"]),
    );
    let listener = edge::open(vec![stays.clone(), goes]);
    let handle = listener.handle();
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(listener, snapshot);
    let mut staying = client(&authority, front.address, "stays.example").await;
    let mut going = client(&authority, front.address, "goes.example").await;
    for (client, host) in [(&mut staying, "stays.example"), (&mut going, "goes.example")] {
        assert_eq!(client.get(host, "/").await.status, 200);
    }
    let gone = handle.replace_chains(FilterChains::one(stays.clone()).unwrap());
    assert!(!gone.is_empty());
    soon("the drain", gone.drain(Fade::Now, NO_GRACE)).await;
    eventually("its end", async || going.ready().await.is_err()).await;
    assert_eq!(staying.get("stays.example", "/").await.header("connection"), None);
    let same = handle.replace_chains(FilterChains::one(stays).unwrap());
    assert!(same.is_empty());
}

#[tokio::test]
async fn a_closed_listener_refuses_and_its_connections_go_on() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let listener = edge::open(vec![FilterChain::plain(HttpSettings::default())]);
    let handle = listener.handle();
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(listener, snapshot);
    let mut standing = Client::http1(front.address).await;
    assert_eq!(standing.get(HOST, "/").await.status, 200);
    handle.close();
    soon("a free address", handle.closed()).await;
    assert!(TcpStream::connect(front.address).await.is_err());
    assert_eq!(standing.get(HOST, "/").await.header("connection"), None);
    let retired = soon("the end", handle.retire(Fade::Now, NO_GRACE)).await;
    assert_eq!(retired.forced, 0);
    eventually("its end", async || standing.ready().await.is_err()).await;
}

#[tokio::test]
async fn a_retiring_listener_waits_for_requests_and_for_no_longer() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let listener = edge::open(vec![FilterChain::plain(HttpSettings::default())]);
    let handle = listener.handle();
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(listener, snapshot);
    let mut standing = Client::http1(front.address).await;
    assert_eq!(standing.get(HOST, "/").await.status, 200);
    let (outcome, last) = tokio::join!(handle.retire(Fade::Now, GRACE), async {
        soon("a free address", handle.closed()).await;
        standing.call(get_request(HOST, "/")).await
    });
    assert_eq!(last.header("connection"), Some("close"));
    assert_eq!(outcome.forced, 0);
}

#[tokio::test]
async fn an_address_can_be_taken_before_it_is_served() {
    let chains = FilterChains::one(FilterChain::plain(HttpSettings::default())).unwrap();
    let mut settings = ListenerSettings::new("late", ANY, chains);
    settings.begin = Begin::Served;
    let listener = Listener::open(settings, NonZeroUsize::MIN).unwrap();
    let address = listener.address();
    assert!(TcpStream::connect(address).await.is_err());
    let (_drain, watch) = Drain::new();
    let proxy = Proxy::new(Handle::default(), watch.clone());
    for acceptor in listener.into_acceptors() {
        process::spawn("acceptor", watch.unguarded(), acceptor.serve(proxy.clone()));
    }
    let client = eventually("a connection", async || TcpStream::connect(address).await).await;
    drop(Arc::new(client));
}
