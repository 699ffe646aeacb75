//! What is wrong with certificates, keys and settings is told by name.

use tidegate_testkit::certificates::{Authority, Identity as Files, Wanted};

use super::*;

fn files(name: &str) -> Files {
    Authority::new("tests").server(name)
}

fn identity(chain: &str, key: &str) -> Result<Identity, TlsError> {
    Identity::from_pem(chain.as_bytes(), key.as_bytes())
}

#[test]
fn what_is_wrong_with_a_pair_is_told_by_name() {
    let (one, other) = (files("a.example"), files("b.example"));
    let check = |chain: &str, key: &str, expected: &str| {
        let error = identity(chain, key).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("", &one.key_pem, "no certificate in the chain");
    check(&one.key_pem, &one.key_pem, "no certificate in the chain");
    check(&one.certificate_pem, "", "no private key");
    check(&one.certificate_pem, &one.certificate_pem, "no private key");
    check(&one.certificate_pem, &other.key_pem, "`CN=a.example");
    let cut = &one.certificate_pem[..one.certificate_pem.len() / 2];
    check(cut, &one.key_pem, "the chain is not PEM text");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(garbage, &one.key_pem, "certificate 0 of the chain");
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    check(&one.certificate_pem, garbage, "the private key cannot be used");
}

#[test]
fn an_expired_certificate_is_taken_and_tells_so() {
    let wanted = Wanted {
        expired: true,
        ..Wanted::names(["a.example"])
    };
    let expired = Authority::new("tests").issue(&wanted);
    let expired = identity(&expired.certificate_pem, &expired.key_pem).unwrap();
    let good = files("a.example");
    let good = identity(&good.certificate_pem, &good.key_pem).unwrap();
    let tls = ServerTls::showing(vec![good, expired.clone()]).unwrap();
    assert_eq!(tls.expires_at(), Some(expired.expires_at()));
    assert!(expired.expires_at() < SystemTime::now());
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let files = files("a.example");
    let settings = || ServerTlsSettings::new(vec![identity(&files.certificate_pem, &files.key_pem).unwrap()]);
    let check = |settings, expected| assert_eq!(ServerTls::new(settings).unwrap_err(), expected);
    check(ServerTlsSettings::new(Vec::new()), TlsError::NothingToShow);
    let mut none = settings();
    (none.lowest, none.highest) = (TlsVersion::Tls13, TlsVersion::Tls12);
    check(none, TlsError::NoVersion);
    let mut empty = settings();
    empty.alpn.push(Vec::new());
    check(empty, TlsError::AlpnName);
    assert_eq!(Trust::in_pem(b"").unwrap_err(), TlsError::NoTrustAnchor);
    let no_list = Trust::in_pem(files.certificate_pem.as_bytes()).and_then(|trust| trust.with_revoked(b""));
    assert!(matches!(no_list, Err(TlsError::RevocationList(_))));
}
