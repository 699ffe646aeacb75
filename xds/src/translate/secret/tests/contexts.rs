//! TLS contexts: what is in them, and what waits for a secret.

use envoy::common_tls_context::ValidationContextType;
use envoy::tls_parameters::TlsProtocol;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use tidegate_proxy::tls::upstream::{NameCheck, ServerName};

use super::*;

fn downstream(common: envoy::CommonTlsContext) -> Result<DownstreamTls, Reject> {
    let message = envoy::DownstreamTlsContext {
        common_tls_context: Some(common),
        ..Default::default()
    };
    DownstreamTls::read(&message, &context(), &mut Notes::default())
}

fn upstream(
    common: envoy::CommonTlsContext,
    change: fn(&mut envoy::UpstreamTlsContext),
) -> Result<UpstreamTls, Reject> {
    let mut message = envoy::UpstreamTlsContext {
        common_tls_context: Some(common),
        ..Default::default()
    };
    change(&mut message);
    UpstreamTls::read(&message, HostNames::default(), &context(), &mut Notes::default())
}

fn reference(name: &str) -> envoy::SdsSecretConfig {
    envoy::SdsSecretConfig {
        name: name.into(),
        sds_config: Some(core::ConfigSource {
            config_source_specifier: Some(ConfigSourceSpecifier::Ads(core::AggregatedConfigSource {})),
            ..Default::default()
        }),
    }
}

fn with_suites(suites: &[&str]) -> envoy::CommonTlsContext {
    envoy::CommonTlsContext {
        tls_params: Some(envoy::TlsParameters {
            cipher_suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn a_context_waits_for_the_secret_that_it_names() {
    let context = downstream(envoy::CommonTlsContext {
        tls_certificate_sds_secret_configs: vec![reference("s")],
        ..Default::default()
    })
    .unwrap();
    let name = SecretName {
        name: "s".into(),
        source: SecretSource::Ads,
    };
    assert_eq!(context.secrets, [name]);
    let mut secrets = Secrets::new();
    assert!(context.build(&secrets).unwrap().is_none());
    let files = Authority::new("tests").server("a.example");
    let config = read(Type::TlsCertificate(shown(&files))).unwrap();
    secrets.insert("s".into(), Arc::new(config));
    let built = context.build(&secrets).unwrap().unwrap();
    assert_eq!(built.identities()[0].hosts().collect::<Vec<_>>(), ["a.example"]);
    let wrong = read(Type::GenericSecret(envoy::GenericSecret::default())).unwrap();
    secrets.insert("s".into(), Arc::new(wrong));
    assert!(context.build(&secrets).is_err());
}

#[test]
fn contexts_that_envoy_refuses_are_refused_in_its_words() {
    let files = Authority::new("tests").server("a.example");
    let down = |common: envoy::CommonTlsContext, expected: &str| {
        assert_eq!(
            downstream(common).map(|_| ()).unwrap_err(),
            Reject::Resource(expected.to_owned())
        );
    };
    down(
        envoy::CommonTlsContext::default(),
        "No TLS certificates found for server context",
    );
    let mixed = envoy::CommonTlsContext {
        tls_certificates: vec![shown(&files)],
        tls_certificate_sds_secret_configs: vec![reference("s")],
        ..Default::default()
    };
    down(
        mixed,
        "SDS and non-SDS TLS certificates may not be mixed in server contexts",
    );
    let long = envoy::CommonTlsContext {
        tls_certificates: vec![shown(&files)],
        alpn_protocols: vec!["a".repeat(300)],
        ..Default::default()
    };
    down(long, "Invalid ALPN protocol string");
    let up = |common, change, expected: &str| {
        assert_eq!(
            upstream(common, change).map(|_| ()).unwrap_err(),
            Reject::Resource(expected.to_owned())
        );
    };
    let two = envoy::CommonTlsContext {
        tls_certificates: vec![shown(&files), shown(&files)],
        ..Default::default()
    };
    up(
        two,
        |_| {},
        "Multiple TLS certificates are not supported for client contexts",
    );
    up(
        envoy::CommonTlsContext::default(),
        |message| message.auto_sni_san_validation = true,
        "'auto_sni_san_validation' was configured without a validation context",
    );
}

#[test]
fn ciphers_go_by_the_names_of_boringssl() {
    let check = |suites: &[&str], expected: Result<(), &str>| {
        let read = upstream(with_suites(suites), |_| {}).map(|_| ());
        assert_eq!(
            read.map_err(|error| error.to_string()),
            expected.map_err(str::to_owned),
            "{suites:?}"
        );
    };
    check(&["ECDHE-RSA-AES128-GCM-SHA256", "AES128-SHA"], Ok(()));
    check(
        &["[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]"],
        Ok(()),
    );
    check(
        &["ZZ", "ECDHE-RSA-AES128-GCM-SHA256", "YY"],
        Err(
            "Failed to initialize cipher suites ZZ:ECDHE-RSA-AES128-GCM-SHA256:YY. The following ciphers were rejected \
             when tried individually: ZZ, YY",
        ),
    );
    check(
        &["TLS_AES_128_GCM_SHA256"],
        Err(
            "Failed to initialize cipher suites TLS_AES_128_GCM_SHA256. The following ciphers were rejected when tried \
             individually: TLS_AES_128_GCM_SHA256",
        ),
    );
    check(
        &["AES128-SHA"],
        Err(
            "tls_params.cipher_suites: none of them is spoken: it is not supported, and traffic would go otherwise \
             without it",
        ),
    );
}

#[test]
fn what_kourier_says_about_endpoints_asks_for_no_name_but_for_one_of_a_list() {
    let name = |exact: &str| envoy::SubjectAltNameMatcher {
        san_type: envoy::subject_alt_name_matcher::SanType::Dns as i32,
        matcher: Some(envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher {
            match_pattern: Some(
                envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern::Exact(
                    exact.into(),
                ),
            ),
            ignore_case: false,
        }),
        ..Default::default()
    };
    let validation = envoy::CertificateValidationContext {
        trusted_ca: text(&Authority::new("tests").pem),
        match_typed_subject_alt_names: vec![name("kn-routing"), name("kn-user-a")],
        ..Default::default()
    };
    let common = envoy::CommonTlsContext {
        tls_params: Some(envoy::TlsParameters {
            tls_minimum_protocol_version: TlsProtocol::TlSv13 as i32,
            tls_maximum_protocol_version: TlsProtocol::TlSv13 as i32,
            ..Default::default()
        }),
        alpn_protocols: vec![String::new()],
        validation_context_type: Some(ValidationContextType::ValidationContext(validation)),
        ..Default::default()
    };
    let built = upstream(common, |_| {})
        .unwrap()
        .build(&Secrets::new())
        .unwrap()
        .unwrap();
    let settings = built.settings();
    assert_eq!(
        (&settings.server_name, settings.name_check),
        (&ServerName::Address, NameCheck::Unchecked)
    );
    assert_eq!(settings.alpn, None);
}

#[test]
fn a_combined_context_merges_what_the_secret_says_into_its_own() {
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let of = |authority: &Authority| envoy::CertificateValidationContext {
        trusted_ca: text(&authority.pem),
        ..Default::default()
    };
    let combined = envoy::common_tls_context::CombinedCertificateValidationContext {
        default_validation_context: Some(of(&one)),
        validation_context_sds_secret_config: Some(reference("ca")),
        ..Default::default()
    };
    let context = upstream(
        envoy::CommonTlsContext {
            validation_context_type: Some(ValidationContextType::CombinedValidationContext(combined)),
            ..Default::default()
        },
        |_| {},
    )
    .unwrap();
    assert!(context.build(&Secrets::new()).unwrap().is_none());
    let secrets = |authority: &Authority| {
        let config = read(Type::ValidationContext(of(authority))).unwrap();
        Secrets::from([("ca".into(), Arc::new(config))])
    };
    let built = |authority| context.build(&secrets(authority)).unwrap().unwrap();
    assert_eq!(built(&other), built(&other));
    assert_ne!(built(&other), built(&one));
}
