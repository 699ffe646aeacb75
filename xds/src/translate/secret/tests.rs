//! Which secrets and contexts are read, and which are refused, in Envoy's words.

use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as envoy;
use prost::Message;
use tidegate_testkit::certificates::{Authority, Identity as Files, Wanted};

use super::*;
use crate::translate::tests::context;

mod contexts;

pub(super) fn text(text: &str) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(Specifier::InlineString(text.into())),
        ..Default::default()
    })
}

pub(super) fn shown(files: &Files) -> envoy::TlsCertificate {
    envoy::TlsCertificate {
        certificate_chain: text(&files.certificate_pem),
        private_key: text(&files.key_pem),
        ..Default::default()
    }
}

pub(super) fn read(kind: Type) -> Result<SecretConfig, Reject> {
    let message = envoy::Secret {
        name: "s".into(),
        r#type: Some(kind),
    };
    secret(&Bytes::from(message.encode_to_vec()), &context())
}

fn refused(kind: Type, expected: &str) {
    assert_eq!(
        read(kind).map(|_| ()).unwrap_err(),
        Reject::Resource(expected.to_owned())
    );
}

#[test]
fn a_certificate_is_read_and_an_expired_one_too() {
    let authority = Authority::new("tests");
    for expired in [false, true] {
        let files = authority.issue(&Wanted {
            expired,
            ..Wanted::names(["a.example"])
        });
        let config = read(Type::TlsCertificate(shown(&files))).unwrap();
        let SecretContent::Certificate(identity) = &config.content else {
            panic!("{:?}", config.content);
        };
        assert_eq!(identity.hosts().collect::<Vec<_>>(), ["a.example"]);
        let shown = &config.certificates[0];
        assert_eq!((&*shown.source, shown.authority), ("<inline>", false));
        assert!(shown.facts.valid_from < shown.facts.expires_at && !shown.facts.serial.is_empty());
    }
}

#[test]
fn files_are_read_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let files = Authority::new("tests").server("a.example");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(DataSource {
            specifier: Some(Specifier::Filename(path.to_str().unwrap().into())),
            ..Default::default()
        })
    };
    let config = read(Type::TlsCertificate(envoy::TlsCertificate {
        certificate_chain: write("chain.pem", &files.certificate_pem),
        private_key: write("key.pem", &files.key_pem),
        ..Default::default()
    }))
    .unwrap();
    let names: Vec<_> = config
        .files
        .iter()
        .map(|file| file.path.file_name().unwrap())
        .collect();
    assert_eq!(names, ["chain.pem", "key.pem"]);
    assert!(config.certificates[0].source.ends_with("/chain.pem"));
}

#[test]
fn certificates_that_envoy_refuses_are_refused_in_its_words() {
    let authority = Authority::new("tests");
    let (one, other) = (authority.server("a.example"), authority.server("a.example"));
    let of = |chain: &str, key: &str| {
        Type::TlsCertificate(envoy::TlsCertificate {
            certificate_chain: text(chain),
            private_key: text(key),
            ..Default::default()
        })
    };
    let key = "Failed to load private key from <inline>, Cause: error:";
    refused(
        of(&one.certificate_pem, &other.key_pem),
        &format!("{key}0b000074:X.509 certificate routines:OPENSSL_internal:KEY_VALUES_MISMATCH"),
    );
    refused(
        of(&one.certificate_pem, "zz"),
        &format!("{key}0900006e:PEM routines:OPENSSL_internal:NO_START_LINE"),
    );
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    refused(
        of(&one.certificate_pem, encrypted),
        &format!("{key}09000068:PEM routines:OPENSSL_internal:BAD_PASSWORD_READ"),
    );
    refused(
        of("zz", &one.key_pem),
        "Failed to load certificate chain from <inline>",
    );
    refused(
        of(&one.certificate_pem, ""),
        "Failed to load incomplete private key from path: ",
    );
    refused(
        of("", &one.key_pem),
        "Failed to load incomplete certificate from : certificate chain not set",
    );
    let mut provided = shown(&one);
    provided.private_key_provider = Some(envoy::PrivateKeyProvider {
        provider_name: "cryptomb".into(),
        ..Default::default()
    });
    refused(
        Type::TlsCertificate(provided),
        "Failed to load private key provider: cryptomb",
    );
}

#[test]
fn validations_that_envoy_refuses_are_refused_in_its_words() {
    let authority = Authority::new("tests");
    let check = |change: &dyn Fn(&mut envoy::CertificateValidationContext), expected: &str| {
        let mut message = envoy::CertificateValidationContext::default();
        change(&mut message);
        refused(Type::ValidationContext(message), expected);
    };
    let name = envoy::SubjectAltNameMatcher {
        san_type: envoy::subject_alt_name_matcher::SanType::Dns as i32,
        matcher: Some(envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher {
            match_pattern: Some(
                envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern::Exact("a".into()),
            ),
            ignore_case: false,
        }),
        ..Default::default()
    };
    check(
        &|message| message.match_typed_subject_alt_names = vec![name.clone()],
        "SAN-based verification of peer certificates without trusted CA is insecure and not allowed",
    );
    check(
        &|message| message.trusted_ca = text(""),
        "DataSource cannot be empty",
    );
    check(
        &|message| message.trusted_ca = text("zz"),
        "Failed to load trusted CA certificates from <inline>",
    );
    check(
        &|message| message.crl = text("zz"),
        "Failed to load CRL from <inline> without trusted CA",
    );
    check(
        &|message| message.allow_expired_certificate = true,
        "Certificate validity period is always ignored without trusted CA",
    );
    let long = "z".repeat(64);
    check(
        &|message| message.verify_certificate_hash = vec![long.clone()],
        &format!("Invalid hex-encoded SHA-256 {long}"),
    );
    let config = read(Type::ValidationContext(envoy::CertificateValidationContext {
        trusted_ca: text(&authority.pem),
        ..Default::default()
    }));
    assert!(config.unwrap().certificates[0].authority);
}

#[test]
fn other_kinds_of_secrets_are_accepted() {
    let keys = |length: usize| {
        Type::SessionTicketKeys(envoy::TlsSessionTicketKeys {
            keys: vec![text(&"x".repeat(length)).unwrap()],
        })
    };
    assert!(matches!(
        read(keys(80)).unwrap().content,
        SecretContent::TicketKeys
    ));
    refused(
        keys(5),
        "Incorrect TLS session ticket key length. Length 5, expected length 80.",
    );
    let generic = read(Type::GenericSecret(envoy::GenericSecret {
        secret: text("token"),
        ..Default::default()
    }));
    assert!(matches!(generic.unwrap().content, SecretContent::Generic(bytes) if bytes == "token"));
}
