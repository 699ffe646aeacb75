//! What of a TLS context is in it, and what is a secret that comes apart?

use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as envoy;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use prost::Message;
use tidegate_proxy::tls::identity::Identity;

use super::validation::{self, Believed};
use super::{SecretContent, SecretName, SecretSource, Secrets, ShownCertificate, certificate};
use crate::translate::Reject;
use crate::translate::notes::Notes;

/// Certificates and trust, as far as they are known.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// What is shown.
    identities: Vec<Identity>,
    /// Names of what is shown.
    named: Vec<SecretName>,
    /// Who is believed.
    validation: Option<Box<envoy::CertificateValidationContext>>,
    /// What is merged into that.
    merged: Option<SecretName>,
    /// Files that were read.
    pub(super) files: Vec<Arc<Path>>,
    /// What certificates say.
    pub(super) shown: Vec<ShownCertificate>,
}

impl Held {
    /// Reads what both sides have in common.
    pub(super) fn read(message: &envoy::CommonTlsContext, notes: &mut Notes) -> Result<Self, Reject> {
        unsupported(message)?;
        notes.ignored("common_tls_context.key_log", message.key_log.is_some());
        let (validation, merged) = validation_of(message)?;
        let mut held = Self {
            identities: Vec::new(),
            named: message
                .tls_certificate_sds_secret_configs
                .iter()
                .map(SecretName::of)
                .collect(),
            validation,
            merged,
            files: Vec::new(),
            shown: Vec::new(),
        };
        for (index, certificate) in message.tls_certificates.iter().enumerate() {
            let path = format!("common_tls_context.tls_certificates[{index}]");
            let read = certificate::read(certificate, &path, notes)?;
            held.identities.push(read.identity);
            held.files.extend(read.files.into_iter().map(|file| file.path));
            held.shown.extend(read.shown);
        }
        if let Some(validation) = &held.validation {
            let read = validation::read(validation, "common_tls_context.validation_context", notes)?;
            held.files.extend(read.files.into_iter().map(|file| file.path));
            held.shown.extend(read.shown);
        }
        Ok(held)
    }

    /// The secrets that it names.
    pub(super) fn names(&self) -> Vec<SecretName> {
        self.named.iter().chain(&self.merged).cloned().collect()
    }

    /// How many certificates it shows, and whether all of them are in it.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.identities.len(), self.named.len())
    }

    /// Whether it says who is believed.
    pub(super) fn validates(&self) -> bool {
        self.validation.is_some() || self.merged.is_some()
    }

    /// Secrets of the bootstrap are there from the beginning, or never.
    pub(super) fn check_static(&self, secrets: &Secrets) -> Result<(), Reject> {
        for name in self
            .named
            .iter()
            .filter(|name| name.source == SecretSource::Static)
        {
            let held = secrets.get(&name.name).map(|secret| &secret.content);
            if !matches!(held, Some(SecretContent::Certificate(_))) {
                return Err(Reject::Resource(format!("Unknown static secret: {}", name.name)));
            }
        }
        let merged = self
            .merged
            .iter()
            .find(|name| name.source == SecretSource::Static);
        if let Some(name) = merged {
            let held = secrets.get(&name.name).map(|secret| &secret.content);
            if !matches!(held, Some(SecretContent::Validation(_))) {
                let name = &name.name;
                let text = format!("Unknown static certificate validation context: {name}");
                return Err(Reject::Resource(text));
            }
        }
        Ok(())
    }

    /// What is shown; `None` while a secret is missing.
    pub(super) fn identities(&self, secrets: &Secrets) -> Result<Option<Vec<Identity>>, Reject> {
        let mut identities = self.identities.clone();
        for name in &self.named {
            match secrets.get(&name.name).map(|secret| &secret.content) {
                Some(SecretContent::Certificate(identity)) => identities.push(identity.clone()),
                Some(_) => return Err(unexpected(name)),
                None => return Ok(None),
            }
        }
        Ok(Some(identities))
    }

    /// Who is believed; `None` while a secret is missing.
    pub(super) fn believed(&self, secrets: &Secrets) -> Result<Option<Believed>, Reject> {
        let mut whole = self.validation.as_deref().cloned().unwrap_or_default();
        if let Some(name) = &self.merged {
            match secrets.get(&name.name).map(|secret| &secret.content) {
                // As Envoy merges: what the secret says replaces a value and adds to a list.
                Some(SecretContent::Validation(secret)) => whole
                    .merge(&*secret.encode_to_vec())
                    .map_err(|error| Reject::Resource(error.to_string()))?,
                Some(_) => return Err(unexpected(name)),
                None => return Ok(None),
            }
        }
        let read = validation::read(&whole, "", &mut Notes::default())?;
        Ok(Some(read.believed))
    }
}

fn unexpected(name: &SecretName) -> Reject {
    Reject::Resource(format!("Unexpected secret type of '{}'", name.name))
}

type Validation = (
    Option<Box<envoy::CertificateValidationContext>>,
    Option<SecretName>,
);

fn validation_of(message: &envoy::CommonTlsContext) -> Result<Validation, Reject> {
    Ok(match &message.validation_context_type {
        None => (None, None),
        Some(ValidationContextType::ValidationContext(context)) => (Some(Box::new(context.clone())), None),
        Some(ValidationContextType::ValidationContextSdsSecretConfig(name)) => {
            (None, Some(SecretName::of(name)))
        }
        Some(ValidationContextType::CombinedValidationContext(combined)) => (
            combined.default_validation_context.clone().map(Box::new),
            combined
                .validation_context_sds_secret_config
                .as_ref()
                .map(SecretName::of),
        ),
        Some(
            ValidationContextType::ValidationContextCertificateProvider(_)
            | ValidationContextType::ValidationContextCertificateProviderInstance(_),
        ) => {
            let path = "common_tls_context.validation_context_certificate_provider";
            return Err(Reject::unsupported(path));
        }
    })
}

fn unsupported(message: &envoy::CommonTlsContext) -> Result<(), Reject> {
    let fields = [
        (
            "tls_certificate_provider_instance",
            message.tls_certificate_provider_instance.is_some(),
        ),
        (
            "custom_tls_certificate_selector",
            message.custom_tls_certificate_selector.is_some(),
        ),
        (
            "tls_certificate_certificate_provider",
            message.tls_certificate_certificate_provider.is_some(),
        ),
        (
            "tls_certificate_certificate_provider_instance",
            message.tls_certificate_certificate_provider_instance.is_some(),
        ),
        ("custom_handshaker", message.custom_handshaker.is_some()),
    ];
    match fields.iter().find(|(_, there)| *there) {
        Some((field, _)) => Err(Reject::unsupported(format_args!("common_tls_context.{field}"))),
        None => Ok(()),
    }
}

/// The protocols for ALPN; an empty name is none.
pub(super) fn alpn(message: &envoy::CommonTlsContext) -> Result<Vec<Vec<u8>>, Reject> {
    let names = message.alpn_protocols.iter().filter(|name| !name.is_empty());
    let names: Vec<Vec<u8>> = names.map(|name| name.as_bytes().to_vec()).collect();
    match names.iter().any(|name| name.len() > 255) {
        true => Err(Reject::Resource("Invalid ALPN protocol string".to_owned())),
        false => Ok(names),
    }
}
