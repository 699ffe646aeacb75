//! Whose connection is it, when a load balancer says so?

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::edge::{chain, open_with, settings};
use support::{Front, HOST, cluster, everything_to};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::listener::settings::ProxyProtocol;
use tidegate_proxy::proxy_protocol::{Addresses, encode_v1, encode_v2};
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::{Client, get_request};
use tidegate_testkit::tls;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wire::Wire;

const NAME: &str = "x.wild.example";
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\n\r\n";

fn addresses() -> Option<Addresses> {
    Some(Addresses {
        source: ([203, 0, 113, 9], 4711).into(),
        destination: ([198, 51, 100, 1], 443).into(),
    })
}

async fn front(wanted: ProxyProtocol, chains: Vec<FilterChain>) -> (Front, Upstream) {
    let upstream = Upstream::echo().await;
    let mut settings = settings(chains);
    settings.proxy_protocol = wanted;
    settings.handshake_timeout = Duration::from_secs(5);
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    (Front::behind(open_with(settings), snapshot), upstream)
}

fn plain() -> Vec<FilterChain> {
    vec![FilterChain::plain(HttpSettings::default())]
}

/// The address that the upstream was told, of a connection that begins with these pieces.
async fn told(front: &Front, upstream: &Upstream, pieces: &[&[u8]]) -> Option<String> {
    let mut wire = Wire::connect(front.address).await;
    for piece in pieces {
        wire.send(piece).await;
    }
    assert_eq!(wire.message().await.head.status(), 200, "{pieces:?}");
    let seen = upstream.seen().pop()?;
    let value = seen.headers.get("x-forwarded-for")?;
    value.to_str().ok().map(str::to_owned)
}

#[tokio::test]
async fn a_header_of_either_version_says_who_the_client_is() {
    let (front, upstream) = front(ProxyProtocol::Required, plain()).await;
    for header in [encode_v1(addresses()), encode_v2(addresses())] {
        let whole = [header.as_slice(), REQUEST.as_bytes()].concat();
        assert_eq!(
            told(&front, &upstream, &[&whole]).await.as_deref(),
            Some("203.0.113.9")
        );
        let (first, last) = header.split_at(header.len() - 1);
        let pieces = [first, last, REQUEST.as_bytes()];
        assert_eq!(
            told(&front, &upstream, &pieces).await.as_deref(),
            Some("203.0.113.9")
        );
    }
    for header in [encode_v1(None), encode_v2(None)] {
        let whole = [header.as_slice(), REQUEST.as_bytes()].concat();
        assert_eq!(
            told(&front, &upstream, &[&whole]).await.as_deref(),
            Some("127.0.0.1")
        );
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let (front, upstream) = front(ProxyProtocol::Required, plain()).await;
    for header in [encode_v1(addresses()), encode_v2(addresses())] {
        let whole = [header.as_slice(), REQUEST.as_bytes()].concat();
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(
            told(&front, &upstream, &bytes).await.as_deref(),
            Some("203.0.113.9")
        );
    }
}

#[tokio::test]
async fn without_a_header_a_connection_is_closed_where_one_is_required() {
    let (front, _upstream) = front(ProxyProtocol::Required, plain()).await;
    let oversize = [encode_v2(None).get(..14).unwrap_or_default(), &[0xff, 0xff]].concat();
    for wrong in [
        REQUEST.as_bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\nGET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\nGET / HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0",
        &oversize,
        &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat(),
    ] {
        let mut wire = Wire::connect(front.address).await;
        wire.send(wrong).await;
        wire.ends().await;
    }
}

#[tokio::test]
async fn a_header_that_does_not_come_to_its_end_has_a_deadline() {
    let mut settings = settings(plain());
    settings.proxy_protocol = ProxyProtocol::Required;
    settings.handshake_timeout = Duration::from_millis(100);
    let front = Front::behind(open_with(settings), tidegate_proxy::config::Snapshot::default());
    for begun in ["", "PROXY TCP4 1.2.3.4"] {
        let mut wire = Wire::connect(front.address).await;
        wire.send(begun).await;
        wire.ends().await;
    }
}

#[tokio::test]
async fn an_optional_header_may_be_left_out() {
    let (front, upstream) = front(ProxyProtocol::Optional, plain()).await;
    let check = async |pieces: &[&[u8]], expected: &str| {
        assert_eq!(told(&front, &upstream, pieces).await.as_deref(), Some(expected));
    };
    check(&[REQUEST.as_bytes()], "127.0.0.1").await;
    // Nothing of what looked like a header for a while is lost.
    let patch = REQUEST.replace("GET", "PROPPATCH");
    let bytes: Vec<&[u8]> = patch.as_bytes().chunks(1).collect();
    check(&bytes, "127.0.0.1").await;
    check(&[&encode_v1(addresses()), REQUEST.as_bytes()], "203.0.113.9").await;
    let mut client = Client::http2(front.address).await;
    assert_eq!(client.call(get_request(HOST, "/")).await.status, 200);
}

#[tokio::test]
async fn where_there_is_none_a_header_is_no_http() {
    let (front, _upstream) = front(ProxyProtocol::Off, plain()).await;
    let mut wire = Wire::connect(front.address).await;
    wire.send([&encode_v1(addresses()), REQUEST.as_bytes()].concat())
        .await;
    assert!(wire.rest().await.starts_with(b"HTTP/1.1 400"));
}

#[tokio::test]
async fn tls_comes_after_the_header_and_chains_go_by_the_client_it_names() {
    let authority = Authority::new("tests");
    let mut near = chain(&authority, &[NAME]);
    near.matches.sources = vec!["127.0.0.0/8".parse().unwrap()];
    let mut far = chain(&authority, &["*.wild.example"]);
    far.matches.server_names = vec![NAME.into()];
    far.matches.sources = vec!["203.0.113.0/24".parse().unwrap()];
    let (front, upstream) = front(ProxyProtocol::Required, vec![near, far]).await;
    let mut wire = Wire::connect(front.address).await;
    wire.send(encode_v2(addresses())).await;
    let config = Arc::new(authority.client_config(&["http/1.1"], None));
    let stream = tls::over(wire.into_stream(), NAME, &config).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    assert!(shown.windows(14).any(|window| window == b"*.wild.example"));
    let mut client = Client::http1_over(stream).await;
    assert_eq!(client.get(NAME, "/").await.status, 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.headers["x-forwarded-for"], "203.0.113.9");
}
