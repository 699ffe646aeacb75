//! Secrets: those that do not fit are looked at once.

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::util::pack_any;

use super::*;

/// A cluster that shows a certificate of this name.
fn secured(name: &str, secret: &str) -> Vec<u8> {
    let certificate = tls::SdsSecretConfig {
        name: secret.to_owned(),
        sds_config: Some(core::ConfigSource {
            config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
                core::AggregatedConfigSource::default(),
            )),
            ..Default::default()
        }),
    };
    let context = tls::UpstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![certificate],
            ..Default::default()
        }),
        ..Default::default()
    };
    cluster::Cluster {
        name: name.to_owned(),
        transport_socket: Some(core::TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(core::transport_socket::ConfigType::TypedConfig(pack_any(context))),
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

#[test]
fn a_cluster_whose_secret_does_not_fit_says_so_once_and_waits_for_another() {
    let mut rig = Rig::new();
    rig.accepts(&state(Kind::Cluster, "1", vec![("a", secured("a", "s"))]));
    let trust = tls::Secret {
        name: "s".to_owned(),
        r#type: Some(tls::secret::Type::ValidationContext(Default::default())),
    };
    _ = rig.apply(&state(Kind::Secret, "1", vec![("s", trust.encode_to_vec())]));
    let error = |rig: &Rig| rig.store.view().load().resources[&Kind::Cluster][0].error.clone();
    let first = error(&rig).expect("it does not fit");
    let generation = rig.store.generation();
    for _ in 0..5 {
        rig.pass(Duration::from_millis(20));
    }
    assert!(Arc::ptr_eq(&first, &error(&rig).expect("it still does not")));
    assert_eq!(rig.store.generation(), generation);
    assert_eq!(rig.states(Kind::Cluster), [("a".to_owned(), State::Warming)]);
}
