//! Do an endpoint's own name, a pinned certificate and the client's protocol decide how an upstream is spoken to?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::sync::Arc;

use http::Version;
use support::{CLUSTER, Front, HOST, everything_to};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint, Protocol, TransportSettings};
use tidegate_proxy::tls::pin::Pin;
use tidegate_proxy::tls::trust::Trust;
use tidegate_proxy::tls::upstream::{ClientTls, ClientTlsSettings, NameCheck, ServerName};
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::upstream::Upstream;

fn over(tls: ClientTlsSettings, endpoint: Endpoint) -> Arc<Cluster> {
    let mut settings = ClusterSettings::new(CLUSTER);
    settings.transport.tls = Some(ClientTls::new(tls).unwrap());
    let cluster = Cluster::new(settings);
    cluster.set_endpoints(vec![endpoint.into()]);
    cluster
}

#[tokio::test]
async fn an_endpoint_is_asked_for_its_own_name_and_has_to_have_it() {
    let authority = Authority::new("a");
    let served = Authority::server_config(&authority.server("db.internal"), &[], None);
    let upstream = Upstream::echo_tls(served).await;
    for (name, status) in [
        (Some("db.internal"), 200),
        (Some("other.internal"), 503),
        (None, 503),
    ] {
        let tls = ClientTlsSettings {
            server_name: ServerName::Endpoint,
            ..ClientTlsSettings::trusting(Trust::in_pem(authority.pem.as_bytes()).unwrap())
        };
        let endpoint = Endpoint::new(upstream.address());
        let endpoint = match name {
            Some(name) => endpoint.with_hostname(name),
            None => endpoint,
        };
        let front = Front::start(everything_to(&over(tls, endpoint), None));
        assert_eq!(get(front.address, HOST, "/").await.status, status, "{name:?}");
    }
    let asked_for = upstream.seen()[0].tls.as_ref().unwrap().name.clone();
    assert_eq!(asked_for.as_deref(), Some("db.internal"));
}

#[tokio::test]
async fn a_pinned_certificate_is_believed_whoever_has_signed_it_and_no_other() {
    let authority = Authority::new("a");
    let (shown, other) = (authority.server(HOST), authority.server(HOST));
    let upstream = Upstream::echo_tls(Authority::server_config(&shown, &[], None)).await;
    for (pin, status) in [
        (Pin::of_certificate(&shown.certificate()), 200),
        (Pin::of_key(&shown.certificate()).unwrap(), 200),
        (Pin::of_certificate(&other.certificate()), 503),
    ] {
        let tls = ClientTlsSettings {
            name_check: NameCheck::Unchecked,
            ..ClientTlsSettings::trusting(Trust::in_pinned(vec![pin.clone()]))
        };
        let front = Front::start(everything_to(&over(tls, Endpoint::new(upstream.address())), None));
        assert_eq!(get(front.address, HOST, "/").await.status, status, "{pin:?}");
    }
}

#[tokio::test]
async fn a_request_goes_on_in_the_protocol_that_it_came_by_where_that_is_said() {
    let upstream = Upstream::echo().await;
    let settings = ClusterSettings {
        transport_http2: Some(Box::new(TransportSettings {
            protocol: Protocol::Http2,
            ..TransportSettings::default()
        })),
        ..ClusterSettings::new(CLUSTER)
    };
    let cluster = Cluster::new(settings);
    cluster.set_endpoints(vec![Endpoint::new(upstream.address()).into()]);
    let front = Front::start(everything_to(&cluster, None));
    for mut client in [
        Client::http1(front.address).await,
        Client::http2(front.address).await,
    ] {
        assert_eq!(client.get(HOST, "/").await.status, 200);
    }
    let versions: Vec<_> = upstream.seen().iter().map(|seen| seen.version).collect();
    assert_eq!(versions, [Version::HTTP_11, Version::HTTP_2]);
}
