//! `/certs`: which certificates does this program show, and until when?

use std::time::SystemTime;

use tidegate_proxy::tls::certificate::{Facts, SubjectName};
use tidegate_xds::text::Json;

use super::Admin;
use super::answer::Answer;
use super::json::{map, text, timestamp};

pub(super) fn show(admin: &Admin) -> Answer {
    let listeners = admin.settings().proxy.counts().listeners();
    let mut certificates = Vec::new();
    for listener in &listeners {
        for identity in listener.identities().iter() {
            certificates.push(map([
                ("ca_cert", Some(Json::List(Vec::new()))),
                (
                    "cert_chain",
                    Some(Json::List(vec![certificate(identity.facts())])),
                ),
            ]));
        }
    }
    let certificates = map([("certificates", Some(Json::List(certificates)))]);
    Answer::json(certificates.pretty() + "\n")
}

/// `admin.v3.CertificateDetails`. Where it came from is not kept: it is a resource, not a file, as a rule.
fn certificate(facts: &Facts) -> Json {
    let left = facts
        .expires_at
        .duration_since(SystemTime::now())
        .unwrap_or_default();
    let names = facts.names.iter().filter_map(|name| {
        let (kind, value) = match name {
            SubjectName::Dns(name) => ("dns", name.clone()),
            SubjectName::Uri(uri) => ("uri", uri.clone()),
            SubjectName::Ip(address) => ("ip_address", address.to_string()),
            SubjectName::Email(_) => return None,
        };
        Some(map([(kind, Some(text(value)))]))
    });
    map([
        ("path", Some(text("<inline>"))),
        ("serial_number", Some(text(&*facts.serial))),
        ("subject_alt_names", Some(Json::List(names.collect()))),
        (
            "days_until_expiration",
            Some(text((left.as_secs() / 86_400).to_string())),
        ),
        ("valid_from", Some(timestamp(facts.valid_from))),
        ("expiration_time", Some(timestamp(facts.expires_at))),
    ])
}
