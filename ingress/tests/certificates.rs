//! Do certificates rotate without cutting anybody else's connections?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use support::{Gateway, free_ports, items};
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::Client;
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::{Item, LISTENER, SECRET};
use tidegate_testkit::wait::eventually;

const STAYS: &str = "stays.example.com";
const CHANGES: &str = "changes.example.com";

fn packed<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

/// `listener_8080` as it is, with a chain for each of both names whose certificate comes by SDS.
fn with_tls(items: &mut [Item]) {
    let item = items.iter_mut().find(|item| item.name == "listener_8080");
    let item = item.expect("Kourier's listener");
    assert_eq!(item.type_url, LISTENER);
    let mut listener = listener::Listener::decode(item.body.clone()).expect("a listener");
    let plain = listener.filter_chains.remove(0);
    for name in [STAYS, CHANGES] {
        let context = tls::DownstreamTlsContext {
            common_tls_context: Some(tls::CommonTlsContext {
                tls_certificate_sds_secret_configs: vec![tls::SdsSecretConfig {
                    name: name.to_owned(),
                    sds_config: Some(core::ConfigSource {
                        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
                            core::AggregatedConfigSource::default(),
                        )),
                        ..Default::default()
                    }),
                }],
                ..Default::default()
            }),
            ..Default::default()
        };
        listener.filter_chains.push(listener::FilterChain {
            filter_chain_match: Some(listener::FilterChainMatch {
                server_names: vec![name.to_owned()],
                ..Default::default()
            }),
            transport_socket: Some(core::TransportSocket {
                name: "envoy.transport_sockets.tls".to_owned(),
                config_type: Some(core::transport_socket::ConfigType::TypedConfig(packed(&context))),
            }),
            ..plain.clone()
        });
    }
    item.body = listener.encode_to_vec().into();
}

fn secret(name: &str, authority: &Authority) -> Item {
    let files = authority.server(name);
    let inline = |text: &str| core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(text.to_owned())),
        ..Default::default()
    };
    let secret = tls::Secret {
        name: name.to_owned(),
        r#type: Some(tls::secret::Type::TlsCertificate(tls::TlsCertificate {
            certificate_chain: Some(inline(&files.certificate_pem)),
            private_key: Some(inline(&files.key_pem)),
            ..Default::default()
        })),
    };
    Item::new(SECRET, name, secret.encode_to_vec())
}

/// A client that believes this authority alone; none where it is shown another's certificate.
async fn client(address: SocketAddr, name: &str, authority: &Authority) -> Option<Client> {
    // It may not listen yet.
    tokio::net::TcpStream::connect(address).await.ok()?;
    let config = Arc::new(authority.client_config(&["http/1.1"], None));
    let stream = tidegate_testkit::tls::connect(address, name, &config)
        .await
        .ok()?;
    Some(Client::http1_over(stream).await)
}

#[tokio::test]
async fn a_rotated_certificate_is_shown_and_connections_of_other_chains_go_on() {
    let (control_plane, ports) = (ControlPlane::start().await, free_ports());
    let [one, two] = [Authority::new("one"), Authority::new("two")];
    let mut all = items(&[], ports);
    with_tls(&mut all);
    let kept = secret(STAYS, &one);
    control_plane.set(&[all.clone(), vec![kept.clone(), secret(CHANGES, &one)]].concat());
    let gateway = Gateway::start(&control_plane, ports);
    let mut standing = eventually("TLS", async || client(gateway.external(), STAYS, &one).await).await;
    assert_eq!(standing.get(STAYS, "/").await.status, 404);
    let mut leaving = client(gateway.external(), CHANGES, &one)
        .await
        .expect("a handshake");
    assert_eq!(leaving.get(CHANGES, "/").await.header("connection"), None);
    control_plane.set(&[all, vec![kept, secret(CHANGES, &two)]].concat());
    eventually("the new certificate", async || {
        client(gateway.external(), CHANGES, &two).await
    })
    .await;
    assert_eq!(standing.get(STAYS, "/").await.header("connection"), None);
    assert_eq!(
        leaving.get(CHANGES, "/").await.header("connection"),
        Some("close")
    );
}
