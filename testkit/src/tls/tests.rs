//! Do certificates, clients and upstreams agree with each other as their settings say?

use http::Version;

use super::*;
use crate::body::full;
use crate::certificates::{Authority, Key, Wanted};
use crate::client::{Client, get_request, post_request};
use crate::upstream::{RawConnection, RawUpstream, Upstream};
use crate::wire::Wire;

const NAME: &str = "a.example";

async fn refused(upstream: &Upstream, name: &str, config: ClientConfig) -> String {
    let config = Arc::new(config);
    let Err(error) = connect(upstream.address(), name, &config).await else {
        panic!("the handshake should fail")
    };
    error.to_string()
}

#[tokio::test]
async fn an_upstream_speaks_both_protocols_and_tells_what_it_agreed_on() {
    let authority = Authority::new("tests");
    let config = Authority::server_config(&authority.server(NAME), &["h2", "http/1.1"], None);
    let upstream = Upstream::echo_tls(config).await;
    for (alpn, version) in [("http/1.1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
        let config = Arc::new(authority.client_config(&[alpn], None));
        let stream = connect(upstream.address(), NAME, &config).await.expect("TLS");
        let mut client = match alpn {
            "h2" => Client::http2_over(stream).await,
            _ => Client::http1_over(stream).await,
        };
        let answer = client.call(post_request(NAME, "/", full("hello"))).await;
        assert_eq!((answer.text().as_str(), answer.version), ("hello", version));
        let seen = upstream.seen().pop().and_then(|seen| seen.tls).expect("TLS");
        assert_eq!(
            (seen.name.as_deref(), seen.alpn.as_deref()),
            (Some(NAME), Some(alpn))
        );
        assert_eq!(seen.certificate, None);
    }
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_who_asks() {
    let authority = Authority::new("tests");
    let config = Authority::server_config(&authority.server(NAME), &[], Some(&authority));
    let upstream = Upstream::echo_tls(config).await;
    let workload = authority.issue(&Wanted::uri("spiffe://cluster.example/ns/a/sa/b"));
    let config = Arc::new(authority.client_config(&[], Some(&workload)));
    let stream = connect(upstream.address(), NAME, &config).await.expect("TLS");
    Client::http1_over(stream)
        .await
        .call(get_request(NAME, "/"))
        .await;
    let seen = upstream.seen().pop().and_then(|seen| seen.tls).expect("TLS");
    assert_eq!(seen.certificate, Some(workload.certificate()));
    let needle = b"spiffe://cluster.example/ns/a/sa/b";
    let der = workload.certificate();
    assert!(der.windows(needle.len()).any(|window| window == needle));
}

#[tokio::test]
async fn certificates_that_do_not_fit_are_refused() {
    let authority = Authority::new("tests");
    let wanted = Wanted {
        expired: true,
        ..Wanted::names([NAME])
    };
    let expired = Authority::server_config(&authority.issue(&wanted), &[], None);
    let expired = Upstream::echo_tls(expired).await;
    let why = refused(&expired, NAME, authority.client_config(&[], None)).await;
    assert!(why.contains("expired"), "{why}");

    let good = Upstream::echo_tls(Authority::server_config(&authority.server(NAME), &[], None)).await;
    let why = refused(&good, "b.example", authority.client_config(&[], None)).await;
    assert!(why.contains("not valid for name"), "{why}");
    let stranger = Authority::new("tests");
    let why = refused(&good, NAME, stranger.client_config(&[], None)).await;
    assert!(why.contains("invalid peer certificate"), "{why}");
}

#[tokio::test]
async fn names_addresses_and_kinds_of_key_are_the_tests_choice() {
    let authority = Authority::new("tests");
    for key in [Key::EcdsaP256, Key::Rsa2048] {
        let names = [NAME, "*.b.example", "127.0.0.1"];
        let wanted = Wanted {
            key,
            ..Wanted::names(names)
        };
        let config = Authority::server_config(&authority.issue(&wanted), &[], None);
        let upstream = Upstream::echo_tls(config).await;
        let client = Arc::new(authority.client_config(&[], None));
        for name in [NAME, "x.b.example", "127.0.0.1"] {
            connect(upstream.address(), name, &client).await.expect("TLS");
        }
    }
}

#[tokio::test]
async fn a_script_can_speak_tls() {
    let authority = Authority::new("tests");
    let server = Arc::new(Authority::server_config(&authority.server(NAME), &[], None));
    let upstream = RawUpstream::start(move |connection: RawConnection| {
        let server = Arc::clone(&server);
        async move {
            let stream = accept(connection.wire.into_stream(), &server).await.expect("TLS");
            let mut wire = Wire::over(stream);
            assert_eq!(wire.head().await.start_line(), "GET / HTTP/1.1");
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    })
    .await;
    let client = Arc::new(authority.client_config(&[], None));
    let mut wire = Wire::over(connect(upstream.address(), NAME, &client).await.expect("TLS"));
    wire.send("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(wire.head().await.status(), 200);
    upstream.finish().await;
}
