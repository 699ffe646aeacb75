//! Which settings are refused, and does equal content make equal TLS?

use tidegate_testkit::certificates::{Authority, Wanted};

use super::*;
use crate::tls::trust::NameMatch;

fn trust(authority: &Authority) -> Trust {
    Trust::in_pem(authority.pem.as_bytes()).unwrap()
}

fn tls(authority: &Authority, change: impl FnOnce(&mut ClientTlsSettings)) -> Result<ClientTls, TlsError> {
    let mut settings = ClientTlsSettings::trusting(trust(authority));
    change(&mut settings);
    ClientTls::new(settings)
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let authority = Authority::new("a");
    let name = ServerName::Literal("a b".into());
    let error = tls(&authority, |settings| settings.server_name = name).unwrap_err();
    assert!(error.to_string().contains("`a b`"), "{error}");
    let error = tls(&authority, |settings| settings.alpn = Some(vec![Vec::new()])).unwrap_err();
    assert_eq!(error, TlsError::AlpnName);
    let error = tls(&authority, |settings| {
        (settings.lowest, settings.highest) = (TlsVersion::Tls13, TlsVersion::Tls12);
    });
    assert_eq!(error.unwrap_err(), TlsError::NoVersion);
}

#[test]
fn equal_content_is_equal_and_any_difference_is_not() {
    let authority = Authority::new("a");
    let client = authority.issue(&Wanted::names(["client"]));
    let identity =
        || Identity::from_pem(client.certificate_pem.as_bytes(), client.key_pem.as_bytes()).unwrap();
    let showing = || tls(&authority, |settings| settings.identity = Some(identity())).unwrap();
    let plain = tls(&authority, |_| {}).unwrap();
    assert_eq!(showing(), showing());
    assert_eq!(plain, tls(&authority, |_| {}).unwrap());
    assert_ne!(plain, showing());
    assert_ne!(plain, tls(&Authority::new("a"), |_| {}).unwrap());
    let named = ClientTlsSettings::trusting(trust(&authority).with_names(vec![NameMatch::dns("a")]));
    assert_ne!(plain, ClientTls::new(named).unwrap());
    let anyone = ClientTls::new(ClientTlsSettings::dangerously_trusting_anyone()).unwrap();
    assert_ne!(plain, anyone);
}
