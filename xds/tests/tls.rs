//! Is TLS spoken over sockets as contexts of Envoy say: to endpoints by a list of names, to clients by the name they ask for?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as envoy;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use tidegate_proxy::cluster::{Cluster, Endpoint};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
use tidegate_proxy::listener::settings::ListenerSettings;
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
use tidegate_proxy::{Proxy, process};
use tidegate_testkit::certificates::{Authority, Wanted};
use tidegate_testkit::client::get;
use tidegate_testkit::tls;
use tidegate_testkit::upstream::Upstream;
use tidegate_xds::translate::Context;
use tidegate_xds::translate::notes::Notes;
use tidegate_xds::translate::secret::{DownstreamTls, Secrets};

fn context() -> Context {
    Context::default()
}

fn text(text: &str) -> Option<core::DataSource> {
    Some(core::DataSource {
        specifier: Some(Specifier::InlineString(text.into())),
        ..Default::default()
    })
}

/// What Kourier says about its upstreams: TLS 1.3, no name in the handshake, one of two names in the certificate.
fn kourier(authority: &Authority) -> cluster::Cluster {
    let name = |exact: &str| envoy::SubjectAltNameMatcher {
        san_type: SanType::Dns as i32,
        matcher: Some(matcher::StringMatcher {
            match_pattern: Some(matcher::string_matcher::MatchPattern::Exact(exact.into())),
            ignore_case: false,
        }),
        ..Default::default()
    };
    let common = envoy::CommonTlsContext {
        tls_params: Some(envoy::TlsParameters {
            tls_minimum_protocol_version: TlsProtocol::TlSv13 as i32,
            tls_maximum_protocol_version: TlsProtocol::TlSv13 as i32,
            ..Default::default()
        }),
        alpn_protocols: vec![String::new()],
        validation_context_type: Some(ValidationContextType::ValidationContext(
            envoy::CertificateValidationContext {
                trusted_ca: text(&authority.pem),
                match_typed_subject_alt_names: vec![name("kn-routing"), name("kn-user-a")],
                ..Default::default()
            },
        )),
        ..Default::default()
    };
    let tls = envoy::UpstreamTlsContext {
        common_tls_context: Some(common),
        ..Default::default()
    };
    cluster::Cluster {
        name: "app".into(),
        transport_socket: Some(core::TransportSocket {
            name: "envoy.transport_sockets.tls".into(),
            config_type: Some(core::transport_socket::ConfigType::TypedConfig(Any {
                type_url: envoy::UpstreamTlsContext::type_url(),
                value: tls.encode_to_vec(),
            })),
        }),
        ..Default::default()
    }
}

/// A proxy in front of `cluster`, until the drain is dropped.
fn front(cluster: Arc<Cluster>) -> (SocketAddr, Drain) {
    let at = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(
        at,
        NonZeroUsize::MIN,
        EdgePolicy::default(),
        Connections::default(),
    )
    .unwrap();
    let everything = Route::forward(Split::single("app", [].into()));
    let host = VirtualHost::new("all", [Domain::parse("*").unwrap()], [everything]);
    let (drain, watch) = Drain::new();
    let config = Handle::new(Snapshot::new([host], [cluster]));
    let address = listener.address();
    for acceptor in listener.into_acceptors() {
        let proxy = Proxy::new(config.clone(), watch.clone());
        process::spawn("acceptor", watch.unguarded(), acceptor.serve(proxy));
    }
    (address, drain)
}

#[tokio::test]
async fn an_endpoint_needs_one_of_the_names_and_is_asked_for_none() {
    let authority = Authority::new("routing");
    let stranger = Authority::new("stranger");
    let check = async |signer: &Authority, name: &str, expected: u16| {
        let served = Authority::server_config(&signer.issue(&Wanted::names([name])), &[], None);
        let upstream = Upstream::echo_tls(served).await;
        let body = Bytes::from(kourier(&authority).encode_to_vec());
        let config = tidegate_xds::translate::cluster::cluster(&body, &context()).unwrap();
        let settings = config.settings(&Secrets::new()).unwrap().unwrap();
        let cluster = Cluster::new(settings);
        cluster.set_endpoints(vec![Endpoint::new(upstream.address()).into()]);
        let (address, drain) = front(cluster);
        assert_eq!(
            get(address, "a.example", "/").await.status.as_u16(),
            expected,
            "{name}"
        );
        drain.finish(Duration::ZERO).await;
    };
    check(&authority, "kn-routing", 200).await;
    check(&authority, "kn-user-a", 200).await;
    check(&authority, "kn-user-b", 503).await;
    check(&stranger, "kn-routing", 503).await;
}

/// A chain that shows a certificate for this name.
fn chain(authority: &Authority, name: &str) -> FilterChain {
    let files = authority.server(name);
    let message = envoy::DownstreamTlsContext {
        common_tls_context: Some(envoy::CommonTlsContext {
            tls_certificates: vec![envoy::TlsCertificate {
                certificate_chain: text(&files.certificate_pem),
                private_key: text(&files.key_pem),
                ..Default::default()
            }],
            alpn_protocols: vec!["h2".into(), "http/1.1".into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let read = DownstreamTls::read(&message, &context(), &mut Notes::default()).unwrap();
    let built = read.build(&Secrets::new()).unwrap().unwrap();
    FilterChain::tls(built, HttpSettings::default())
        .for_names([name])
        .named(name)
}

#[tokio::test]
async fn a_client_gets_the_certificate_of_the_chain_for_the_name_it_asks_for() {
    let authority = Authority::new("edge");
    let chains = vec![chain(&authority, "a.example"), chain(&authority, "b.example")];
    let at = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = ListenerSettings::new("edge", at, FilterChains::new(chains, None).unwrap());
    let listener = Listener::open(settings, NonZeroUsize::MIN).unwrap();
    let address = listener.address();
    let (drain, watch) = Drain::new();
    for acceptor in listener.into_acceptors() {
        let nothing = Snapshot::new(Vec::<VirtualHost>::new(), Vec::<Arc<Cluster>>::new());
        let proxy = Proxy::new(Handle::new(nothing), watch.clone());
        process::spawn("acceptor", watch.unguarded(), acceptor.serve(proxy));
    }
    let client = Arc::new(authority.client_config(&["h2"], None));
    for name in ["a.example", "b.example"] {
        // The client checks that the certificate has the name.
        let stream = tls::connect(address, name, &client).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    }
    assert!(tls::connect(address, "c.example", &client).await.is_err());
    drain.finish(Duration::ZERO).await;
}
