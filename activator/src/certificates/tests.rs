//! Who is believed, of what secrets and bundles say.

use tidegate_testkit::certificates::Authority;

use super::*;

/// How many authorities are believed.
fn believed(secret: Option<&str>, bundles: &[&str]) -> usize {
    let mut certificates = Certificates::default();
    certificates.set_secret(secret.map(|authority| Secret {
        authority: authority.as_bytes().to_vec(),
        ..Secret::default()
    }));
    for (index, bundle) in bundles.iter().enumerate() {
        certificates.set_bundle(&index.to_string(), Some(vec![(*bundle).to_owned()]));
    }
    assert!(certificates.cluster("ns").settings().transport.tls.is_some());
    certificates_in(&certificates.anchors())
}

/// Those that a reader of PEM finds: of which both lines are lines.
fn certificates_in(text: &str) -> usize {
    let of = |marker| text.lines().filter(|line| *line == marker).count();
    assert_eq!(of(BEGIN), of(END));
    of(END)
}

#[test]
fn ac_43_authorities_come_from_the_secret_and_from_bundles() {
    let [a, b, c] = ["a", "b", "c"].map(|name| Authority::new(name).pem);
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(believed(None, &[]), 0);
    assert_eq!(believed(Some(&a), &[]), 1);
    assert_eq!(believed(None, &[&b]), 1);
    assert_eq!(believed(Some(&a), &[&b, &c]), 3);
    assert_eq!(believed(None, &[&format!("{b}{c}")]), 2);
    // However their lines end, and where the last one does not.
    assert_eq!(believed(Some(a.trim_end()), &[b.trim_end(), &c]), 3);
    assert_eq!(believed(None, &[&format!("{b}{c}").replace('\n', "\r\n")]), 2);
    // Of the secret the first one counts.
    assert_eq!(believed(Some(&format!("{a}{b}")), &[]), 1);
    // What cannot be read of a bundle is left out.
    assert_eq!(believed(Some(&a), &[&format!("{garbage}{b}"), "nothing"]), 2);
}

#[test]
fn bundles_are_replaced_and_taken_out_by_their_names() {
    let [a, b] = ["a", "b"].map(|name| Authority::new(name).pem);
    let mut certificates = Certificates::default();
    certificates.set_bundle("one", Some(vec![a.clone(), b]));
    assert_eq!(certificates_in(&certificates.anchors()), 2);
    certificates.set_bundle("one", Some(vec![a]));
    assert_eq!(certificates_in(&certificates.anchors()), 1);
    certificates.set_bundle("one", None);
    assert!(certificates.anchors().is_empty());
}

#[test]
fn what_is_believed_stays_while_the_secret_is_gone() {
    let [a, b] = ["a", "b"].map(|name| Authority::new(name).pem);
    let secret = |authority: &str| {
        Some(Secret {
            authority: authority.as_bytes().to_vec(),
            ..Secret::default()
        })
    };
    let mut certificates = Certificates::default();
    certificates.set_secret(secret(&a));
    let believed = certificates.anchors();
    certificates.set_secret(None);
    assert_eq!(certificates.anchors(), believed);
    certificates.set_secret(secret(""));
    assert_eq!(certificates.anchors(), believed);
    certificates.set_secret(secret(&b));
    assert_ne!(certificates.anchors(), believed);
}
