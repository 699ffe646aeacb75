//! Secrets: those that do not fit are looked at once.

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::util::pack_any;

use super::*;

/// A secret of the control plane.
pub(super) fn by_ads(name: &str) -> tls::SdsSecretConfig {
    tls::SdsSecretConfig {
        name: name.to_owned(),
        sds_config: Some(core::ConfigSource {
            config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
                core::AggregatedConfigSource::default(),
            )),
            ..Default::default()
        }),
    }
}

/// A secret of the bootstrap.
fn fixed(name: &str) -> tls::SdsSecretConfig {
    tls::SdsSecretConfig {
        name: name.to_owned(),
        sds_config: None,
    }
}

/// A cluster that shows this certificate.
pub(super) fn secured(name: &str, certificate: tls::SdsSecretConfig) -> Vec<u8> {
    let context = tls::CommonTlsContext {
        tls_certificate_sds_secret_configs: vec![certificate],
        ..Default::default()
    };
    speaking(name, context)
}

fn speaking(name: &str, context: tls::CommonTlsContext) -> Vec<u8> {
    let context = tls::UpstreamTlsContext {
        common_tls_context: Some(context),
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
    rig.accepts(&state(Kind::Cluster, "1", vec![("a", secured("a", by_ads("s")))]));
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

#[test]
fn a_secret_that_the_bootstrap_has_not_refuses_who_names_it() {
    use tls::common_tls_context::ValidationContextType::ValidationContextSdsSecretConfig;

    let mut rig = Rig::new();
    let trusting = tls::CommonTlsContext {
        validation_context_type: Some(ValidationContextSdsSecretConfig(fixed("t"))),
        ..Default::default()
    };
    let update = vec![("a", secured("a", fixed("s"))), ("b", speaking("b", trusting))];
    assert_eq!(
        rig.refuses(&state(Kind::Cluster, "1", update)).message,
        "Error adding/updating cluster(s) a: Unknown static secret: s, b: Unknown static certificate validation context: t"
    );
}
