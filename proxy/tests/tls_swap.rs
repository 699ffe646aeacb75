//! Do certificates change under load without anybody noticing?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::StatusCode;
use support::edge::{chain, client, handshake, identity, open};
use support::{Front, HOST, cluster, everything_to};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
use tidegate_proxy::process;
use tidegate_proxy::tls::server::{ClientCertificates, ServerTls, ServerTlsSettings};
use tidegate_proxy::tls::trust::Trust;
use tidegate_testkit::certificates::{Authority, Wanted};
use tidegate_testkit::client::{Answer, Client, get_request};
use tidegate_testkit::tls;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually;

/// How often the certificate changes.
const SWAPS: usize = 1000;

#[tokio::test]
async fn a_thousand_swaps_fail_no_handshake_and_no_request() {
    let authority = Arc::new(Authority::new("tests"));
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let listener = open(vec![chain(&authority, &[HOST])]);
    let handle = listener.handle();
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(listener, snapshot);
    let mut standing = client(&authority, front.address, HOST).await;
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = (0..4).map(|_| {
        let (authority, over, answered) = (Arc::clone(&authority), Arc::clone(&over), Arc::clone(&answered));
        let address = front.address;
        process::spawn("client", front.watch.unguarded(), async move {
            while !over.load(Ordering::Relaxed) {
                let mut client = client(&authority, address, HOST).await;
                assert_eq!(client.get(HOST, "/").await.status, 200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let identities: Vec<_> = (0..10).map(|_| identity(&authority.server(HOST))).collect();
    for swap in 0..SWAPS {
        let tls = ServerTls::showing(vec![identities[swap % identities.len()].clone()]).unwrap();
        let chain = FilterChain::tls(tls, HttpSettings::default()).for_names([HOST]);
        handle.set_chains(FilterChains::one(chain).unwrap());
        if swap % 10 == 0 {
            let before = answered.load(Ordering::Relaxed);
            assert_eq!(standing.get(HOST, "/").await.status, 200);
            eventually("a new client", async || answered.load(Ordering::Relaxed) > before).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(standing.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_connection_keeps_the_chain_that_it_began_with() {
    let authority = Authority::new("tests");
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let listener = open(vec![chain(&authority, &[HOST])]);
    let handle = listener.handle();
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(listener, snapshot);
    let mut standing = client(&authority, front.address, HOST).await;
    assert_eq!(standing.get(HOST, "/").await.status, 200);
    let other = Authority::new("other");
    handle.set_chains(FilterChains::one(chain(&other, &["other.example"])).unwrap());
    assert_eq!(standing.get(HOST, "/").await.status, 200);
    handshake(&authority, front.address, HOST, &[]).await.unwrap_err();
    handshake(&other, front.address, "other.example", &[])
        .await
        .unwrap();
}

/// A chain that asks its clients for a certificate of this authority.
fn asking(server: &Authority, clients: &Authority) -> FilterChain {
    let trust = Trust::in_pem(clients.pem.as_bytes()).unwrap();
    let mut settings = ServerTlsSettings::new(vec![identity(&server.server(HOST))]);
    settings.clients = ClientCertificates::Required(trust);
    FilterChain::tls(ServerTls::new(settings).unwrap(), HttpSettings::default()).for_names([HOST])
}

#[tokio::test]
async fn who_is_trusted_changes_for_new_connections() {
    let [server, before, after] = ["server", "before", "after"].map(Authority::new);
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let listener = open(vec![asking(&server, &before)]);
    let handle = listener.handle();
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(listener, snapshot);
    let ask = async |clients: &Authority| -> Result<Client, io::Error> {
        let shown = clients.issue(&Wanted::names(["client.example"]));
        let config = Arc::new(server.client_config(&["http/1.1"], Some(&shown)));
        let mut client = Client::http1_over(tls::connect(front.address, HOST, &config).await?).await;
        // Under TLS 1.3 a refusal shows when the client reads.
        let response = client
            .send(get_request(HOST, "/"))
            .await
            .map_err(io::Error::other)?;
        Answer::read(response).await.map_err(io::Error::other)?;
        Ok(client)
    };
    let mut standing = ask(&before).await.unwrap();
    ask(&after).await.unwrap_err();
    handle.set_chains(FilterChains::one(asking(&server, &after)).unwrap());
    assert_eq!(standing.get(HOST, "/").await.status, 200);
    ask(&before).await.unwrap_err();
    ask(&after).await.unwrap();
}
