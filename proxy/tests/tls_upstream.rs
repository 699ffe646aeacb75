//! Are upstreams spoken to over TLS, by whom and as whom they are trusted, and never by anybody else's connection?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Version;
use support::{CLUSTER, Front, HOST, everything_to, host, over, route, with_endpoints};
use tidegate_proxy::cluster::{ClusterSettings, Protocol, TransportSettings};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::route::{Route, Split};
use tidegate_proxy::tls::identity::Identity;
use tidegate_proxy::tls::trust::{NameKind, NameMatch, Pattern, TextMatch, Trust};
use tidegate_proxy::tls::upstream::{ClientTls, ClientTlsSettings, NameCheck, ServerName};
use tidegate_testkit::certificates::{Authority, Wanted};
use tidegate_testkit::client::{Answer, Client, get, get_request, post_request};
use tidegate_testkit::tls;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wire::Wire;

const BOTH: &[&str] = &["h2", "http/1.1"];

fn trusting(authority: &Authority) -> ClientTlsSettings {
    ClientTlsSettings {
        server_name: ServerName::Literal(HOST.into()),
        ..ClientTlsSettings::trusting(Trust::in_pem(authority.pem.as_bytes()).unwrap())
    }
}

fn by(protocol: Protocol, tls: ClientTlsSettings) -> TransportSettings {
    TransportSettings {
        protocol,
        tls: Some(ClientTls::new(tls).unwrap()),
        connect_timeout: Duration::from_secs(8),
        ..TransportSettings::default()
    }
}

fn front(protocol: Protocol, tls: ClientTlsSettings, upstream: SocketAddr) -> Front {
    Front::start(everything_to(&over(by(protocol, tls), &[upstream]), None))
}

async fn echo(authority: &Authority, wanted: &Wanted, alpn: &[&str]) -> Upstream {
    Upstream::echo_tls(Authority::server_config(&authority.issue(wanted), alpn, None)).await
}

/// What a client is told of an upstream with this certificate.
async fn told(wanted: Wanted, change: impl FnOnce(&mut ClientTlsSettings)) -> (u16, String) {
    let authority = Authority::new("a");
    let upstream = echo(&authority, &wanted, BOTH).await;
    let mut settings = trusting(&authority);
    change(&mut settings);
    let front = front(Protocol::Http1, settings, upstream.address());
    let answer = get(front.address, HOST, "/").await;
    (answer.status.as_u16(), answer.text())
}

#[tokio::test]
async fn each_protocol_is_spoken_over_tls_and_auto_follows_the_endpoint() {
    let authority = Authority::new("a");
    for (protocol, alpn, version) in [
        (Protocol::Http1, BOTH, Version::HTTP_11),
        (Protocol::Http2, BOTH, Version::HTTP_2),
        (Protocol::Auto, BOTH, Version::HTTP_2),
        (Protocol::Auto, &["http/1.1"], Version::HTTP_11),
        (Protocol::Auto, &[], Version::HTTP_11),
    ] {
        let upstream = echo(&authority, &Wanted::names([HOST]), alpn).await;
        let front = front(protocol, trusting(&authority), upstream.address());
        let mut client = Client::http1(front.address).await;
        for _ in 0..2 {
            let body = tidegate_testkit::body::full("hello");
            assert_eq!(client.call(post_request(HOST, "/", body)).await.text(), "hello");
        }
        let seen = upstream.seen();
        assert_eq!(seen[1].version, version, "{protocol:?} {alpn:?}");
        assert_eq!(seen[1].tls.as_ref().unwrap().name.as_deref(), Some(HOST));
        assert_eq!(upstream.counts().connections(), 1);
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_good_enough_is_refused_with_the_reason() {
    let other = Authority::new("other");
    let nobody = Trust::in_pem(other.pem.as_bytes()).unwrap();
    let untrusted = told(Wanted::names([HOST]), |settings| {
        settings.trust = ClientTlsSettings::trusting(nobody).trust;
    });
    let expired = Wanted {
        expired: true,
        ..Wanted::names([HOST])
    };
    for ((status, text), reason) in [
        (untrusted.await, "signed by nobody trusted"),
        (told(expired, |_| {}).await, "has expired"),
        (
            told(Wanted::names(["b.example"]), |_| {}).await,
            "none of the expected names",
        ),
    ] {
        assert_eq!(status, 503, "{reason}");
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn names_of_the_trust_count_instead_of_the_host() {
    let id = "spiffe://cluster.example/ns/a/sa/b";
    let named = |text| {
        move |settings: &mut ClientTlsSettings, authority: &Authority| {
            let name = NameMatch {
                kind: Some(NameKind::Uri),
                text,
            };
            let trust = Trust::in_pem(authority.pem.as_bytes()).unwrap();
            settings.trust = ClientTlsSettings::trusting(trust.with_names(vec![name])).trust;
        }
    };
    for (text, status) in [
        (TextMatch::Exact(id.into()), 200),
        (TextMatch::Prefix("spiffe://cluster.example/ns/a/".into()), 200),
        (TextMatch::Suffix("/sa/b".into()), 200),
        (
            TextMatch::Regex(Pattern::new("spiffe://.*/sa/[a-c]").unwrap()),
            200,
        ),
        (TextMatch::Exact("spiffe://cluster.example/ns/a/sa/c".into()), 503),
    ] {
        let authority = Authority::new("a");
        let upstream = echo(&authority, &Wanted::uri(id), BOTH).await;
        let mut settings = trusting(&authority);
        named(text.clone())(&mut settings, &authority);
        let front = front(Protocol::Http1, settings, upstream.address());
        assert_eq!(get(front.address, HOST, "/").await.status, status, "{text:?}");
    }
}

#[tokio::test]
async fn the_host_and_a_name_of_the_trust_count_together_where_that_was_said() {
    for (names, status) in [
        (&[HOST, "b.example"][..], 200),
        (&[HOST], 503),
        (&["b.example"], 503),
    ] {
        let both = |settings: &mut ClientTlsSettings, authority: &Authority| {
            let trust = Trust::in_pem(authority.pem.as_bytes()).unwrap();
            let trust = trust.with_names(vec![NameMatch::dns("b.example")]);
            settings.trust = ClientTlsSettings::trusting(trust).trust;
            settings.name_check = NameCheck::Both;
        };
        let authority = Authority::new("a");
        let upstream = echo(&authority, &Wanted::names(names.iter().copied()), BOTH).await;
        let mut settings = trusting(&authority);
        both(&mut settings, &authority);
        let front = front(Protocol::Http1, settings, upstream.address());
        assert_eq!(get(front.address, HOST, "/").await.status, status, "{names:?}");
    }
}

#[tokio::test]
async fn without_a_name_check_and_with_trust_in_anyone_less_is_asked() {
    let unchecked = |settings: &mut ClientTlsSettings| settings.name_check = NameCheck::Unchecked;
    assert_eq!(told(Wanted::names(["b.example"]), unchecked).await.0, 200);
    let anyone = |settings: &mut ClientTlsSettings| {
        settings.trust = ClientTlsSettings::dangerously_trusting_anyone().trust;
    };
    assert_eq!(told(Wanted::names(["b.example"]), anyone).await.0, 200);
}

#[tokio::test]
async fn an_endpoint_that_asks_who_we_are_is_told() {
    let authority = Authority::new("a");
    let server = authority.server(HOST);
    let config = Authority::server_config(&server, BOTH, Some(&authority));
    let upstream = Upstream::echo_tls(config).await;
    let ours = authority.issue(&Wanted::uri("spiffe://cluster.example/proxy"));
    let identity = Identity::from_pem(ours.certificate_pem.as_bytes(), ours.key_pem.as_bytes()).unwrap();
    for (identity, served) in [(Some(identity), true), (None, false)] {
        let settings = ClientTlsSettings {
            identity,
            ..trusting(&authority)
        };
        let front = front(Protocol::Http2, settings, upstream.address());
        assert_eq!(get(front.address, HOST, "/").await.status.is_success(), served);
    }
    let shown = upstream.seen()[0].tls.as_ref().unwrap().certificate.clone();
    assert_eq!(shown, Some(ours.certificate()));
}

#[tokio::test]
async fn the_name_can_be_the_requests_host_and_connections_are_not_shared_between_hosts() {
    let authority = Authority::new("a");
    let upstream = echo(&authority, &Wanted::names(["*.apps.example"]), BOTH).await;
    let settings = ClientTlsSettings {
        server_name: ServerName::Host,
        ..trusting(&authority)
    };
    let front = front(Protocol::Http2, settings, upstream.address());
    for host in ["a.apps.example", "b.apps.example:8080", "a.apps.example"] {
        assert_eq!(get(front.address, host, "/").await.status, 200, "{host}");
    }
    let seen = upstream.seen();
    let names: Vec<_> = seen
        .iter()
        .map(|seen| seen.tls.as_ref().unwrap().name.as_deref())
        .collect();
    assert_eq!(
        names,
        [
            Some("a.apps.example"),
            Some("b.apps.example"),
            Some("a.apps.example")
        ]
    );
    assert_eq!(upstream.counts().connections(), 2);
}

#[tokio::test]
async fn what_speaks_no_tls_is_said_to_speak_none() {
    let authority = Authority::new("a");
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.bytes(5).await;
        connection.wire.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        connection.wire.rest().await;
    })
    .await;
    let front = front(Protocol::Auto, trusting(&authority), upstream.address());
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (503, "the upstream does not speak TLS\n")
    );
}

#[tokio::test]
async fn a_handshake_that_hangs_is_over_with_the_connect_timeout() {
    let authority = Authority::new("a");
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.rest().await;
    })
    .await;
    let settings = TransportSettings {
        connect_timeout: Duration::from_millis(50),
        ..by(Protocol::Auto, trusting(&authority))
    };
    let front = Front::start(everything_to(&over(settings, &[upstream.address()]), None));
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(answer.text(), "upstream connect timed out\n");
}

/// Two clusters at one address; how many connections they make for a request each.
async fn connections_of(one: TransportSettings, other: TransportSettings, upstream: &Upstream) -> usize {
    let cluster = |name: &str, transport: TransportSettings| {
        let settings = ClusterSettings {
            transport: transport.into(),
            ..ClusterSettings::new(name)
        };
        with_endpoints(settings, &[upstream.address()])
    };
    let second = Route::forward(Split::single("second", [].into()));
    let hosts = [
        host("one.example", vec![route(None)]),
        host("two.example", vec![second.into()]),
    ];
    let front = Front::start(Snapshot::new(
        hosts,
        [cluster(CLUSTER, one), cluster("second", other)],
    ));
    let before = upstream.counts().connections();
    for host in ["one.example", "two.example"] {
        assert_eq!(get(front.address, host, "/").await.status, 200);
    }
    upstream.counts().connections() - before
}

#[tokio::test]
async fn clusters_share_connections_only_if_they_say_the_same_of_them() {
    let authority = Authority::new("a");
    let upstream = echo(&authority, &Wanted::names([HOST]), BOTH).await;
    let checked = || by(Protocol::Http2, trusting(&authority));
    let anyone = ClientTlsSettings {
        server_name: ServerName::Literal(HOST.into()),
        ..ClientTlsSettings::dangerously_trusting_anyone()
    };
    assert_eq!(connections_of(checked(), checked(), &upstream).await, 1);
    assert_eq!(
        connections_of(checked(), by(Protocol::Http2, anyone), &upstream).await,
        2
    );
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_needs_the_end_of_tls() {
    let authority = Authority::new("a");
    let config = Arc::new(Authority::server_config(
        &authority.issue(&Wanted::names([HOST])),
        &[],
        None,
    ));
    for whole in [true, false] {
        let config = Arc::clone(&config);
        let upstream = RawUpstream::start(move |connection: RawConnection| {
            let config = Arc::clone(&config);
            async move {
                let stream = tls::accept(connection.wire.into_stream(), &config).await.unwrap();
                let mut wire = Wire::over(stream);
                wire.head().await;
                wire.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
                if whole {
                    wire.half_close().await;
                    wire.rest().await;
                }
            }
        })
        .await;
        let front = front(Protocol::Http1, trusting(&authority), upstream.address());
        let mut client = Client::http2(front.address).await;
        let response = client.send(get_request(HOST, "/")).await.unwrap();
        let body = Answer::read(response).await.map(|answer| answer.text());
        assert_eq!(body.ok().as_deref(), whole.then_some("hello"), "whole: {whole}");
        upstream.finish().await;
    }
}
