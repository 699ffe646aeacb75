//! Which versions and ciphers may be spoken: `TlsParameters` in BoringSSL's names.

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::TlsParameters;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use tidegate_proxy::tls::server::TlsVersion;
use tidegate_proxy::tls::suites::{Group, Offer, Suite};

use crate::translate::Reject;
use crate::translate::notes::Notes;

/// What is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) lowest: TlsVersion,
    pub(super) highest: TlsVersion,
    pub(super) offer: Offer,
}

/// Reads the parameters. Where nothing is said, `highest` is what this side speaks at most.
pub(super) fn read(
    message: Option<&TlsParameters>,
    highest: TlsVersion,
    notes: &mut Notes,
) -> Result<Parameters, Reject> {
    let nothing = TlsParameters::default();
    let message = message.unwrap_or(&nothing);
    let version = |number: i32, usual| match TlsProtocol::try_from(number).unwrap_or_default() {
        TlsProtocol::TlsAuto => usual,
        TlsProtocol::TlSv13 => TlsVersion::Tls13,
        TlsProtocol::TlSv10 | TlsProtocol::TlSv11 | TlsProtocol::TlSv12 => TlsVersion::Tls12,
    };
    let old = |number: i32| [TlsProtocol::TlSv10 as i32, TlsProtocol::TlSv11 as i32].contains(&number);
    if old(message.tls_maximum_protocol_version) {
        return Err(Reject::unsupported(
            "tls_params.tls_maximum_protocol_version: TLS before 1.2",
        ));
    }
    if old(message.tls_minimum_protocol_version) {
        notes.add("tls_params.tls_minimum_protocol_version", "TLS 1.2 is the lowest");
    }
    if !message.signature_algorithms.is_empty() {
        return Err(Reject::unsupported("tls_params.signature_algorithms"));
    }
    if !message.compliance_policies.is_empty() {
        return Err(Reject::unsupported("tls_params.compliance_policies"));
    }
    Ok(Parameters {
        lowest: version(message.tls_minimum_protocol_version, TlsVersion::Tls12),
        highest: version(message.tls_maximum_protocol_version, highest),
        offer: Offer {
            suites: suites(&message.cipher_suites, notes)?,
            groups: groups(&message.ecdh_curves, notes)?,
        },
    })
}

/// Names, and equals in brackets between bars. What Envoy has and rustls does not is noted; where nothing else is named, it is
/// refused: whoever names only those wants no other.
fn suites(names: &[String], notes: &mut Notes) -> Result<Vec<Suite>, Reject> {
    let (mut suites, mut rejected) = (Vec::new(), Vec::new());
    for name in names {
        let alone = name.trim_matches(['[', ']']);
        for alone in alone.split('|') {
            match known(alone) {
                Some(Known::Spoken(suite)) if suites.contains(&suite) => {}
                Some(Known::Spoken(suite)) => suites.push(suite),
                Some(Known::Unspoken) => {
                    notes.add("tls_params.cipher_suites", format!("{alone} is not spoken"));
                }
                None => rejected.push(alone),
            }
        }
    }
    if !rejected.is_empty() {
        return Err(Reject::Resource(format!(
            "Failed to initialize cipher suites {}. The following ciphers were rejected when tried individually: {}",
            names.join(":"),
            rejected.join(", ")
        )));
    }
    match suites.is_empty() && !names.is_empty() {
        true => Err(Reject::unsupported(
            "tls_params.cipher_suites: none of them is spoken",
        )),
        false => Ok(suites),
    }
}

enum Known {
    Spoken(Suite),
    Unspoken,
}

fn known(name: &str) -> Option<Known> {
    let spoken = |suite| Some(Known::Spoken(suite));
    match name {
        "ECDHE-ECDSA-AES128-GCM-SHA256" | "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => {
            spoken(Suite::EcdheEcdsaAes128Gcm)
        }
        "ECDHE-ECDSA-AES256-GCM-SHA384" | "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => {
            spoken(Suite::EcdheEcdsaAes256Gcm)
        }
        "ECDHE-ECDSA-CHACHA20-POLY1305" | "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => {
            spoken(Suite::EcdheEcdsaChaCha20Poly1305)
        }
        "ECDHE-RSA-AES128-GCM-SHA256" | "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => {
            spoken(Suite::EcdheRsaAes128Gcm)
        }
        "ECDHE-RSA-AES256-GCM-SHA384" | "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => {
            spoken(Suite::EcdheRsaAes256Gcm)
        }
        "ECDHE-RSA-CHACHA20-POLY1305" | "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => {
            spoken(Suite::EcdheRsaChaCha20Poly1305)
        }
        _ => UNSPOKEN.contains(&name).then_some(Known::Unspoken),
    }
}

fn groups(names: &[String], notes: &mut Notes) -> Result<Vec<Group>, Reject> {
    let mut groups = Vec::new();
    for name in names {
        match name.as_str() {
            "X25519" => groups.push(Group::X25519),
            "P-256" | "prime256v1" => groups.push(Group::P256),
            "P-384" | "secp384r1" => groups.push(Group::P384),
            "X25519MLKEM768" => groups.push(Group::X25519MlKem768),
            "P-521" | "secp521r1" | "P-224" | "MLKEM1024" | "X25519Kyber768Draft00" => {
                notes.add("tls_params.ecdh_curves", format!("{name} is not spoken"));
            }
            _ => {
                let why = format!("Failed to initialize ECDH curves {}", names.join(":"));
                return Err(Reject::Resource(why));
            }
        }
    }
    match groups.is_empty() && !names.is_empty() {
        true => Err(Reject::unsupported(
            "tls_params.ecdh_curves: none of them is spoken",
        )),
        false => Ok(groups),
    }
}

/// Suites of BoringSSL without forward secrecy or authenticated encryption.
const UNSPOKEN: [&str; 22] = [
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-PSK-AES128-CBC-SHA",
    "ECDHE-PSK-AES256-CBC-SHA",
    "ECDHE-PSK-CHACHA20-POLY1305",
    "PSK-AES128-CBC-SHA",
    "PSK-AES256-CBC-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
];
