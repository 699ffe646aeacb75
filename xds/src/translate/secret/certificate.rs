//! A certificate with its key, as Envoy would load it.

use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as envoy;
use tidegate_proxy::tls::TlsError;
use tidegate_proxy::tls::certificate::Facts;
use tidegate_proxy::tls::identity::Identity;

use super::ShownCertificate;
use super::source::{self, Content, FileRead};
use crate::translate::Reject;
use crate::translate::notes::Notes;

/// A certificate that was read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) identity: Identity,
    pub(super) files: Vec<FileRead>,
    pub(super) shown: Vec<ShownCertificate>,
}

/// Reads a certificate; an expired one is as good as any. `path` is where it stands.
pub(super) fn read(message: &envoy::TlsCertificate, path: &str, notes: &mut Notes) -> Result<Read, Reject> {
    if let Some(provider) = &message.private_key_provider {
        let why = format!("Failed to load private key provider: {}", provider.provider_name);
        return Err(Reject::Resource(why));
    }
    if message.pkcs12.is_some() {
        return match message.certificate_chain.is_some() {
            true => refuse("Certificate configuration can't have both pkcs12 and certificate_chain"),
            false => Err(Reject::unsupported(format_args!("{path}.pkcs12"))),
        };
    }
    let read = |source: Option<&_>| {
        source
            .map(source::read)
            .transpose()
            .map(Option::unwrap_or_default)
    };
    let (chain, key) = (
        read(message.certificate_chain.as_ref())?,
        read(message.private_key.as_ref())?,
    );
    if key.bytes.is_empty() {
        return refuse(format!(
            "Failed to load incomplete private key from path: {}",
            key.path()
        ));
    }
    if chain.bytes.is_empty() {
        let why = format!(
            "Failed to load incomplete certificate from {}: certificate chain not set",
            chain.path()
        );
        return refuse(why);
    }
    if message.password.is_some() && is_encrypted(&key.bytes) {
        return Err(Reject::unsupported(format_args!("{path}.password")));
    }
    without_effect(message, path, notes);
    let identity =
        Identity::from_pem(&chain.bytes, &key.bytes).map_err(|error| refusal(&error, &chain, &key))?;
    let identity = match &message.ocsp_staple {
        Some(staple) => identity.with_ocsp(ocsp(staple)?.bytes.to_vec()),
        None => identity,
    };
    Ok(Read {
        identity,
        shown: shown(&chain, false),
        files: [&chain, &key]
            .into_iter()
            .filter_map(Content::file_read)
            .collect(),
    })
}

/// What the certificates of PEM text say.
pub(super) fn shown(content: &Content, authority: bool) -> Vec<ShownCertificate> {
    let facts = Facts::read_pem(&content.bytes).into_iter();
    facts
        .map(|facts| ShownCertificate {
            source: content.place().into(),
            authority,
            facts,
        })
        .collect()
}

/// Keys for tickets have a length.
pub(super) fn ticket_keys(keys: &envoy::TlsSessionTicketKeys) -> Result<(), Reject> {
    for key in &keys.keys {
        let length = source::read(key)?.bytes.len();
        if length != TICKET_KEY_BYTES {
            return refuse(format!(
                "Incorrect TLS session ticket key length. Length {length}, expected length {TICKET_KEY_BYTES}."
            ));
        }
    }
    Ok(())
}

fn ocsp(staple: &envoy_types::pb::envoy::config::core::v3::DataSource) -> Result<Content, Reject> {
    if matches!(staple.specifier, Some(Specifier::InlineString(_))) {
        return refuse("OCSP staple cannot be provided via inline_string");
    }
    source::read(staple)
}

fn refusal(error: &TlsError, chain: &Content, key: &Content) -> Reject {
    let of_key = |cause: &str| format!("Failed to load private key from {}, Cause: {cause}", key.place());
    let text = match error {
        TlsError::KeyMismatch { .. } => {
            of_key("error:0b000074:X.509 certificate routines:OPENSSL_internal:KEY_VALUES_MISMATCH")
        }
        TlsError::NoKey if is_encrypted(&key.bytes) => {
            of_key("error:09000068:PEM routines:OPENSSL_internal:BAD_PASSWORD_READ")
        }
        TlsError::NoKey => of_key("error:0900006e:PEM routines:OPENSSL_internal:NO_START_LINE"),
        TlsError::Key(_) if is_encrypted(&key.bytes) => {
            of_key("error:09000068:PEM routines:OPENSSL_internal:BAD_PASSWORD_READ")
        }
        TlsError::Key(_)
        | TlsError::Pem {
            what: "private key", ..
        } => of_key(&error.to_string()),
        _ => format!("Failed to load certificate chain from {}", chain.place()),
    };
    Reject::Resource(text)
}

fn is_encrypted(key: &[u8]) -> bool {
    let has = |text: &[u8]| key.windows(text.len()).any(|part| part == text);
    has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED")
}

fn without_effect(message: &envoy::TlsCertificate, path: &str, notes: &mut Notes) {
    let sct = !message.signed_certificate_timestamp.is_empty();
    notes.ignored(format_args!("{path}.signed_certificate_timestamp"), sct);
    notes.ignored(format_args!("{path}.tls_params"), message.tls_params.is_some());
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Reject> {
    Err(Reject::Resource(why.into()))
}

const TICKET_KEY_BYTES: usize = 80;
