//! Which clients' certificates are believed?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::StatusCode;
use support::edge::{identity, open};
use support::{Front, HOST, cluster, everything_to};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::tls::server::{ClientCertificates, ServerTls, ServerTlsSettings};
use tidegate_proxy::tls::trust::{NameKind, NameMatch, TextMatch, Trust};
use tidegate_testkit::certificates::{Authority, Identity, Wanted};
use tidegate_testkit::client::Client;
use tidegate_testkit::tls;
use tidegate_testkit::upstream::Upstream;

const SPIFFE: &str = "spiffe://cluster.example/ns/a/sa/b";

async fn front(authority: &Authority, clients: ClientCertificates) -> (Front, Upstream) {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let mut settings = ServerTlsSettings::new(vec![identity(&authority.server(HOST))]);
    settings.clients = clients;
    let tls = ServerTls::new(settings).expect("settings that go together");
    let listener = open(vec![FilterChain::tls(tls, HttpSettings::default())]);
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    (Front::behind(listener, snapshot), upstream)
}

fn trust(authority: &Authority) -> Trust {
    Trust::in_pem(authority.pem.as_bytes()).expect("an authority's certificate")
}

/// Gets an answer as a client with this certificate. Under TLS 1.3 a refusal shows when the client reads.
async fn ask(authority: &Authority, address: SocketAddr, shown: Option<&Identity>) -> io::Result<StatusCode> {
    let config = Arc::new(authority.client_config(&["http/1.1"], shown));
    let stream = tls::connect(address, HOST, &config).await?;
    let mut client = Client::http1_over(stream).await;
    let request = tidegate_testkit::client::get_request(HOST, "/");
    let response = client.send(request).await.map_err(io::Error::other)?;
    Ok(response.status())
}

#[tokio::test]
async fn a_required_certificate_is_required_and_verified() {
    let (authority, other) = (Authority::new("tests"), Authority::new("tests"));
    let clients = ClientCertificates::Required(trust(&authority));
    let (front, _upstream) = front(&authority, clients).await;
    let good = authority.issue(&Wanted::uri(SPIFFE));
    assert_eq!(ask(&authority, front.address, Some(&good)).await.unwrap(), 200);
    ask(&authority, front.address, None).await.unwrap_err();
    let foreign = other.issue(&Wanted::uri(SPIFFE));
    ask(&authority, front.address, Some(&foreign)).await.unwrap_err();
    let expired = authority.issue(&Wanted {
        expired: true,
        ..Wanted::uri(SPIFFE)
    });
    ask(&authority, front.address, Some(&expired)).await.unwrap_err();
}

#[tokio::test]
async fn an_optional_certificate_is_verified_where_it_is_shown() {
    let (authority, other) = (Authority::new("tests"), Authority::new("tests"));
    let clients = ClientCertificates::Optional(trust(&authority));
    let (front, _upstream) = front(&authority, clients).await;
    let good = authority.issue(&Wanted::uri(SPIFFE));
    assert_eq!(ask(&authority, front.address, Some(&good)).await.unwrap(), 200);
    assert_eq!(ask(&authority, front.address, None).await.unwrap(), 200);
    let foreign = other.issue(&Wanted::uri(SPIFFE));
    ask(&authority, front.address, Some(&foreign)).await.unwrap_err();
}

#[tokio::test]
async fn a_certificate_needs_one_of_the_names_that_are_asked_for() {
    let authority = Authority::new("tests");
    let names = vec![
        NameMatch {
            kind: Some(NameKind::Uri),
            text: TextMatch::Prefix("spiffe://cluster.example/ns/a/".into()),
        },
        NameMatch::dns("c.example"),
    ];
    let clients = ClientCertificates::Required(trust(&authority).with_names(names));
    let (front, _upstream) = front(&authority, clients).await;
    for (wanted, taken) in [
        (Wanted::uri(SPIFFE), true),
        (Wanted::uri("spiffe://cluster.example/ns/b/sa/b"), false),
        (Wanted::names(["c.example"]), true),
        (Wanted::names(["d.example"]), false),
    ] {
        let shown = authority.issue(&wanted);
        let asked = ask(&authority, front.address, Some(&shown)).await;
        assert_eq!(asked.is_ok(), taken, "{wanted:?}: {asked:?}");
    }
}
