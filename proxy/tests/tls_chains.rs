//! Which filter chain does a connection get, and for which hosts does that answer?

mod support;

use http::StatusCode;
use support::edge::{chain, client, handshake, open, open_with, server_tls, settings};
use support::{Front, cluster, everything_to};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::{FilterChain, FilterChains, Hosts};
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::Client;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wire::Wire;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const A: &str = "a.example";
const B: &str = "b.example";

async fn upstream() -> (Upstream, Snapshot) {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    (upstream, snapshot)
}

/// Whether the certificate that a server showed has this name.
fn shows(stream: &TlsStream<TcpStream>, name: &str) -> bool {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    certificate.is_some_and(|der| der.windows(name.len()).any(|window| window == name.as_bytes()))
}

#[tokio::test]
async fn each_name_gets_its_chain() {
    let authority = Authority::new("tests");
    let chains = vec![
        chain(&authority, &[A]),
        chain(&authority, &["*.b.example"]),
        chain(&authority, &["deep.b.example"]),
    ];
    let front = Front::behind(open(chains), Snapshot::default());
    for (asked, shown) in [
        (A, A),
        ("x.b.example", "*.b.example"),
        ("deep.b.example", "deep.b.example"),
    ] {
        let stream = handshake(&authority, front.address, asked, &[]).await.unwrap();
        assert!(shows(&stream, shown), "{asked}");
    }
}

#[tokio::test]
async fn a_name_that_no_chain_has_is_closed_unless_there_is_a_default() {
    let authority = Authority::new("tests");
    let listener = open(vec![chain(&authority, &[A])]);
    let handle = listener.handle();
    let front = Front::behind(listener, Snapshot::default());
    handshake(&authority, front.address, B, &[]).await.unwrap_err();
    let default = FilterChain::tls(server_tls(&authority, &[B]), HttpSettings::default());
    let chains = FilterChains::new(vec![chain(&authority, &[A])], Some(default)).unwrap();
    handle.set_chains(chains);
    assert!(shows(
        &handshake(&authority, front.address, B, &[]).await.unwrap(),
        B
    ));
    assert!(shows(
        &handshake(&authority, front.address, A, &[]).await.unwrap(),
        A
    ));
}

#[tokio::test]
async fn one_port_takes_both_tls_and_plain_connections() {
    let authority = Authority::new("tests");
    let (_upstream, snapshot) = upstream().await;
    let plain = FilterChain::plain(HttpSettings::default()).named("plain");
    let front = Front::behind(open(vec![chain(&authority, &[A]), plain]), snapshot);
    let mut encrypted = client(&authority, front.address, A).await;
    assert_eq!(encrypted.get(A, "/").await.text(), "hello");
    assert_eq!(
        Client::http1(front.address).await.get(A, "/").await.text(),
        "hello"
    );
    assert_eq!(
        Client::http2(front.address).await.get(A, "/").await.text(),
        "hello"
    );
    // Also when the first byte comes alone.
    let mut wire = Wire::connect(front.address).await;
    for byte in b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n" {
        wire.send([*byte]).await;
    }
    assert_eq!(wire.message().await.head.status(), 200);
}

#[tokio::test]
async fn a_host_that_the_chain_does_not_answer_for_is_misdirected() {
    let authority = Authority::new("tests");
    let (_upstream, snapshot) = upstream().await;
    let chains = vec![chain(&authority, &[A, "*.c.example"]), chain(&authority, &[B])];
    let front = Front::behind(open(chains), snapshot);
    for http2 in [false, true] {
        let alpn: &[&str] = if http2 { &["h2"] } else { &["http/1.1"] };
        let stream = handshake(&authority, front.address, A, alpn).await.unwrap();
        let mut client = if http2 {
            Client::http2_over(stream).await
        } else {
            Client::http1_over(stream).await
        };
        for (host, status) in [(A, 200), ("x.c.example:8443", 200), (B, 421), ("c.example", 421)] {
            assert_eq!(client.get(host, "/").await.status, status, "{host} {alpn:?}");
        }
    }
}

#[tokio::test]
async fn which_hosts_a_chain_answers_for_can_be_chosen() {
    let authority = Authority::new("tests");
    let (_upstream, snapshot) = upstream().await;
    let any = FilterChain {
        hosts: Hosts::Any,
        ..chain(&authority, &[A])
    };
    let tls = server_tls(&authority, &[B, "*.d.example"]);
    let of_certificates = FilterChain {
        hosts: Hosts::OfCertificates,
        ..FilterChain::tls(tls, HttpSettings::default())
    };
    let front = Front::behind(open(vec![any, of_certificates]), snapshot);
    let mut first = client(&authority, front.address, A).await;
    assert_eq!(first.get("elsewhere.example", "/").await.status, 200);
    let mut second = client(&authority, front.address, B).await;
    for (host, status) in [(B, 200), ("x.d.example", 200), ("x.y.d.example", 421), (A, 421)] {
        assert_eq!(second.get(host, "/").await.status, status, "{host}");
    }
}

#[tokio::test]
async fn a_chain_is_chosen_by_the_address_that_a_client_comes_from() {
    let authority = Authority::new("tests");
    let mut near = chain(&authority, &[A]);
    near.matches.server_names.clear();
    near.matches.sources = vec!["127.0.0.0/8".parse().unwrap()];
    let mut far = chain(&authority, &[B]);
    far.matches.server_names.clear();
    let front = Front::behind(open_with(settings(vec![near, far])), Snapshot::default());
    let stream = handshake(&authority, front.address, A, &[]).await.unwrap();
    assert!(shows(&stream, A));
}
