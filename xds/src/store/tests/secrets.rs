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
fn a_cluster_speaks_tls_by_the_authorities_that_are_in_the_file_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    let write = |text: &str| {
        let next = folder.path().join("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, &file).unwrap();
    };
    let authority = |name| tidegate_testkit::certificates::Authority::new(name).pem;
    write(&authority("one"));
    let mut rig = Rig::new();
    rig.accepts(&state(
        Kind::Cluster,
        "1",
        vec![("a", trusting("a", by_ads("s")))],
    ));
    let trust = in_file(&file.display().to_string());
    rig.accepts(&state(Kind::Secret, "1", vec![("s", trust)]));
    let cluster = |rig: &Rig| rig.config.load().cluster("a").cloned().expect("it is in force");
    let failed = |rig: &Rig| rig.store.counts().secrets.all()["s"].rotations_failed;
    let looks = |rig: &mut Rig| {
        rig.pass(limits::FILE_POLL_INTERVAL);
        (cluster(rig), failed(rig))
    };
    let first = looks(&mut rig).0;
    assert!(Arc::ptr_eq(&first, &looks(&mut rig).0), "nothing has changed");
    write("-----BEGIN CERTIFICATE-----");
    for _ in 0..2 {
        let (kept, failed) = looks(&mut rig);
        assert!(Arc::ptr_eq(&first, &kept) && failed == 1, "half a file: {failed}");
    }
    write(&authority("two"));
    assert!(!Arc::ptr_eq(&first, &looks(&mut rig).0));
}

/// Whose certificates are believed is in a file.
fn in_file(path: &str) -> Vec<u8> {
    let source = core::DataSource {
        specifier: Some(core::data_source::Specifier::Filename(path.to_owned())),
        ..Default::default()
    };
    tls::Secret {
        name: "s".to_owned(),
        r#type: Some(tls::secret::Type::ValidationContext(
            tls::CertificateValidationContext {
                trusted_ca: Some(source),
                ..Default::default()
            },
        )),
    }
    .encode_to_vec()
}

/// A cluster that believes what this secret says.
fn trusting(name: &str, secret: tls::SdsSecretConfig) -> Vec<u8> {
    use tls::common_tls_context::ValidationContextType::ValidationContextSdsSecretConfig;

    let context = tls::CommonTlsContext {
        validation_context_type: Some(ValidationContextSdsSecretConfig(secret)),
        ..Default::default()
    };
    speaking(name, context)
}

#[test]
fn a_secret_that_the_bootstrap_has_not_refuses_who_names_it() {
    let mut rig = Rig::new();
    let update = vec![("a", secured("a", fixed("s"))), ("b", trusting("b", fixed("t")))];
    assert_eq!(
        rig.refuses(&state(Kind::Cluster, "1", update)).message,
        "Error adding/updating cluster(s) a: Unknown static secret: s, b: Unknown static certificate validation context: t"
    );
}
