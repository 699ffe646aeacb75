//! How does a client get to HTTP by TLS, and what does not get there?

mod support;

use std::num::NonZeroUsize;
use std::time::Duration;

use http::{StatusCode, Version};
use support::edge::{ANY, chain, client, handshake, identity, open, open_with, server_tls, settings};
use support::{Front, HOST, cluster, everything_to};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::tls::server::{ServerTls, ServerTlsSettings, TlsVersion};
use tidegate_testkit::certificates::{Authority, Key, Wanted};
use tidegate_testkit::client::Client;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wire::Wire;

fn to(upstream: &Upstream) -> Snapshot {
    everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None)
}

async fn front(authority: &Authority) -> (Front, Upstream) {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::behind(open(vec![chain(authority, &[HOST])]), to(&upstream));
    (front, upstream)
}

#[tokio::test]
async fn alpn_decides_between_http_1_and_http_2() {
    let authority = Authority::new("tests");
    let (front, _upstream) = front(&authority).await;
    let check = async |offered: &[&str], version| {
        let stream = handshake(&authority, front.address, HOST, offered).await.unwrap();
        let mut client = match version {
            Version::HTTP_2 => Client::http2_over(stream).await,
            _ => Client::http1_over(stream).await,
        };
        assert_eq!(client.get(HOST, "/").await.text(), "hello", "{offered:?}");
    };
    check(&["http/1.1", "h2"], Version::HTTP_2).await;
    check(&["http/1.1"], Version::HTTP_11).await;
    // Without ALPN the first bytes tell.
    check(&[], Version::HTTP_11).await;
    check(&[], Version::HTTP_2).await;
}

#[tokio::test]
async fn a_client_that_offers_only_other_protocols_is_refused() {
    let authority = Authority::new("tests");
    let (front, _upstream) = front(&authority).await;
    let error = handshake(&authority, front.address, HOST, &["spdy/3"])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn the_kind_of_key_is_one_that_the_client_can_check() {
    let authority = Authority::new("tests");
    let issue = |key| {
        identity(&authority.issue(&Wanted {
            key,
            ..Wanted::names([HOST])
        }))
    };
    let (rsa, ecdsa) = (issue(Key::Rsa2048), issue(Key::EcdsaP256));
    let tls = ServerTls::showing(vec![rsa, ecdsa]).unwrap();
    let chain = FilterChain::tls(tls, HttpSettings::default());
    let front = Front::behind(open(vec![chain]), Snapshot::default());
    let stream = handshake(&authority, front.address, HOST, &[]).await.unwrap();
    let (_, session) = stream.get_ref();
    // id-ecPublicKey, 1.2.840.10045.2.1.
    let ec = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    let shown = session.peer_certificates().unwrap()[0].to_vec();
    assert!(shown.windows(ec.len()).any(|window| window == ec));
}

/// A ClientHello as old clients send it: no `supported_versions`, so that `version` is all there is.
fn old_client_hello(version: u8) -> Vec<u8> {
    let suites = [0xc0, 0x13, 0xc0, 0x2b, 0x00, 0x2f];
    let mut body = vec![3, version];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 6]);
    body.extend(suites);
    body.extend([1, 0]);
    // supported_groups: P-256; signature_algorithms: ECDSA with SHA-256.
    body.extend([0, 16, 0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3]);
    let ([.., outer], [.., inner]) = ((body.len() + 4).to_be_bytes(), body.len().to_be_bytes());
    let mut record = vec![22, 3, 1, 0, outer, 1, 0, 0, inner];
    record.extend(body);
    record
}

#[tokio::test]
async fn versions_before_1_2_are_refused_by_an_alert() {
    let authority = Authority::new("tests");
    let tls = server_tls(&authority, &[HOST]);
    let front = Front::behind(
        open(vec![FilterChain::tls(tls, HttpSettings::default())]),
        Snapshot::default(),
    );
    for version in [1, 2] {
        let mut wire = Wire::connect(front.address).await;
        wire.send(old_client_hello(version)).await;
        // A fatal alert, protocol_version (70).
        let answer = wire.rest().await;
        assert!(
            answer.starts_with(&[21, 3]) && answer.ends_with(&[2, 70]),
            "{answer:?}"
        );
    }
    let mut wire = Wire::connect(front.address).await;
    wire.send(old_client_hello(3)).await;
    assert_eq!(wire.bytes(1).await, [22], "1.2 is answered by a ServerHello");
}

#[tokio::test]
async fn the_lowest_version_can_be_raised() {
    let authority = Authority::new("tests");
    let mut settings = ServerTlsSettings::new(vec![identity(&authority.server(HOST))]);
    settings.lowest = TlsVersion::Tls13;
    let tls = ServerTls::new(settings).unwrap();
    let front = Front::behind(
        open(vec![FilterChain::tls(tls, HttpSettings::default())]),
        Snapshot::default(),
    );
    let mut wire = Wire::connect(front.address).await;
    wire.send(old_client_hello(3)).await;
    assert!(wire.rest().await.ends_with(&[2, 70]));
    handshake(&authority, front.address, HOST, &[]).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_get_to_the_end_of_its_handshake_is_cut() {
    let authority = Authority::new("tests");
    let mut settings = settings(vec![chain(&authority, &[HOST])]);
    settings.handshake_timeout = Duration::from_millis(200);
    let front = Front::behind(open_with(settings), Snapshot::default());
    for sent in [&[][..], &[22], &[22, 3, 1, 0, 200, 1, 0, 0, 196]] {
        let mut wire = Wire::connect(front.address).await;
        wire.send(sent).await;
        wire.ends().await;
    }
}

#[tokio::test]
async fn handshakes_that_stall_count_as_connections_and_make_room_when_they_are_cut() {
    let authority = Authority::new("tests");
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let mut settings = settings(vec![chain(&authority, &[HOST])]);
    settings.handshake_timeout = Duration::from_millis(200);
    settings.connections_max = NonZeroUsize::new(2);
    let front = Front::behind(open_with(settings), to(&upstream));
    let mut stalled = Vec::new();
    for _ in 0..6 {
        let mut wire = Wire::connect(front.address).await;
        wire.send([22, 3, 1]).await;
        stalled.push(wire);
    }
    // Two at a time have their time, then comes who is behind them.
    let mut behind = client(&authority, front.address, HOST).await;
    assert_eq!(behind.get(HOST, "/").await.status, 200);
    for mut wire in stalled {
        wire.ends().await;
    }
}

#[tokio::test]
async fn what_is_no_tls_is_refused() {
    let authority = Authority::new("tests");
    let (front, _upstream) = front(&authority).await;
    for sent in [
        b"GET / HTTP/1.1\r\nhost: app.example\r\n\r\n".as_slice(),
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        &[22, 3, 1, 0xff, 0xff, 1],
        &[22, 3, 1, 0, 0],
    ] {
        let mut wire = Wire::connect(front.address).await;
        wire.send(sent).await;
        if sent.len() == 5 {
            wire.half_close().await;
        }
        let answer = wire.rest().await;
        assert!(!answer.starts_with(b"HTTP"), "{sent:?}: {answer:?}");
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_told() {
    let authority = Authority::new("tests");
    let (front, _upstream) = front(&authority).await;
    let stream = handshake(&authority, front.address, HOST, &["http/1.1"])
        .await
        .unwrap();
    let mut wire = Wire::over(stream);
    wire.send("GET / HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(wire.message().await.head.status(), 200);
    // Without a close_notify, rustls makes an error of the end.
    wire.ends().await;
}

#[tokio::test]
async fn a_drain_closes_idle_connections_and_those_that_have_not_begun() {
    let authority = Authority::new("tests");
    let (front, _upstream) = front(&authority).await;
    let mut client = client(&authority, front.address, HOST).await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
    let mut silent = Wire::connect(front.address).await;
    let outcome = front.finish(support::GRACE).await;
    assert_eq!(outcome.forced, 0);
    silent.ends().await;
}

#[tokio::test]
async fn a_port_of_ones_own_serves_ten_clients_at_once() {
    let authority = Authority::new("tests");
    let (front, _upstream) = front(&authority).await;
    assert_ne!(front.address.port(), ANY.port());
    let requests = (0..10).map(async |_| {
        let mut client = client(&authority, front.address, HOST).await;
        client.get(HOST, "/").await.status
    });
    for status in futures_util::future::join_all(requests).await {
        assert_eq!(status, 200);
    }
}
