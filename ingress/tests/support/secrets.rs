//! Which listeners with certificates, and which certificates, does a test push?

use std::path::Path;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use tidegate_testkit::certificates::{Authority, Identity};
use tidegate_testkit::control_plane::model::{Item, LISTENER, SECRET};

/// A message in an `Any`.
pub(crate) fn packed<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

/// `listener_8080` as it is, with a chain for each of these names whose certificate comes by SDS, in this order.
pub(crate) fn with_tls(items: &mut [Item], names: &[&str]) {
    super::edit(items, (LISTENER, "listener_8080"), |listener| {
        chains(listener, names);
    });
}

fn chains(listener: &mut listener::Listener, names: &[&str]) {
    let plain = listener.filter_chains.remove(0);
    for &name in names {
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
}

/// The certificate of this name.
pub(crate) fn secret(name: &str, authority: &Authority) -> Item {
    secret_of(name, &authority.server(name))
}

/// The secret of this name whose certificate and key are in a folder, as a volume of Kubernetes has them.
pub(crate) fn secret_in(name: &str, folder: &Path) -> Item {
    let file = |file: &str| core::DataSource {
        specifier: Some(core::data_source::Specifier::Filename(
            folder.join(file).display().to_string(),
        )),
        ..Default::default()
    };
    let secret = tls::Secret {
        name: name.to_owned(),
        r#type: Some(tls::secret::Type::TlsCertificate(tls::TlsCertificate {
            certificate_chain: Some(file("tls.crt")),
            private_key: Some(file("tls.key")),
            ..Default::default()
        })),
    };
    Item::new(SECRET, name, secret.encode_to_vec())
}

/// A certificate under a name.
pub(crate) fn secret_of(name: &str, files: &Identity) -> Item {
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
