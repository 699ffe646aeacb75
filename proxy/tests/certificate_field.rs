//! What is an upstream told about its client's certificate, and by whom?

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::sync::Arc;

use http::StatusCode;
use support::edge::{identity, open};
use support::{Front, HOST, cluster, everything_to};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::normalize::certificate::{CertificateField, Details};
use tidegate_proxy::tls::server::{ClientCertificates, ServerTls, ServerTlsSettings};
use tidegate_proxy::tls::trust::Trust;
use tidegate_testkit::certificates::{Authority, Wanted};
use tidegate_testkit::client::{Client, get_request};
use tidegate_testkit::tls;
use tidegate_testkit::upstream::Upstream;

const FIELD: &str = "x-forwarded-client-cert";
const CLIENT: &str = "spiffe://cluster.example/client";
const SERVER: &str = "spiffe://cluster.example/server";
const URIS: Details = Details {
    certificate: false,
    chain: false,
    subject: false,
    uris: true,
    hosts: false,
};

/// Which lines of the field arrive where clients send these, with a certificate and without one. Hashes are left out.
async fn arrives(field: CertificateField, sent: &[(&'static str, &'static str)]) -> [Vec<String>; 2] {
    let authority = Authority::new("tests");
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let server = authority.issue(&Wanted {
        uris: vec![SERVER.into()],
        ..Wanted::names([HOST])
    });
    let mut settings = ServerTlsSettings::new(vec![identity(&server)]);
    let trust = Trust::in_pem(authority.pem.as_bytes()).expect("an authority's certificate");
    settings.clients = ClientCertificates::Optional(trust);
    let http = HttpSettings {
        client_certificate: field,
        ..HttpSettings::default()
    };
    let tls = ServerTls::new(settings).expect("settings that go together");
    let listener = open(vec![FilterChain::tls(tls, http)]);
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(listener, snapshot);
    let shown = authority.issue(&Wanted::uri(CLIENT));
    for certificate in [Some(&shown), None] {
        let config = Arc::new(authority.client_config(&["http/1.1"], certificate));
        let stream = tls::connect(front.address, HOST, &config).await.unwrap();
        let mut request = get_request(HOST, "/");
        for (name, value) in sent {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        assert_eq!(Client::http1_over(stream).await.call(request).await.status, 200);
    }
    let lines = |seen: &tidegate_testkit::upstream::Seen| {
        let lines = seen.headers.iter().filter(|(name, _)| {
            let name = name.as_str().replace('_', "-");
            name == FIELD
        });
        let text = lines.map(|(_, value)| value.to_str().unwrap().to_owned());
        text.map(|text| without_hash(&text)).collect()
    };
    let seen = upstream.seen();
    [lines(&seen[0]), lines(&seen[1])]
}

fn without_hash(text: &str) -> String {
    match text.split_once("Hash=") {
        Some((before, rest)) => format!("{before}Hash={}", &rest[64..]),
        None => text.to_owned(),
    }
}

#[tokio::test]
async fn what_a_client_says_counts_as_far_as_the_listener_has_it() {
    let sent = [
        (FIELD, "By=a"),
        (FIELD, "By=b"),
        ("x_forwarded-client_cert", "By=c"),
    ];
    let own = format!("By={SERVER};Hash=;URI={CLIENT}");
    let check = async |field, expected: [&[&str]; 2]| {
        assert_eq!(arrives(field, &sent).await, expected, "{field:?}");
    };
    let all: &[&str] = &["By=a", "By=b", "By=c"];
    check(CertificateField::Pass, [all, all]).await;
    check(CertificateField::PassOfKnown, [&["By=a", "By=b"], &[]]).await;
    check(CertificateField::Set(URIS), [&[&own], &[]]).await;
    let joined = format!("By=a,By=b,{own}");
    check(CertificateField::Append(URIS), [&[&joined], &[]]).await;
}

#[tokio::test]
async fn an_element_stands_alone_where_the_client_has_said_nothing() {
    let own = format!("By={SERVER};Hash=;URI={CLIENT}");
    let expected: [&[&str]; 2] = [&[&own], &[]];
    assert_eq!(arrives(CertificateField::Append(URIS), &[]).await, expected);
    let nothing: [&[&str]; 2] = [&[], &[]];
    assert_eq!(arrives(CertificateField::PassOfKnown, &[]).await, nothing);
}
