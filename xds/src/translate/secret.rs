//! `envoy.extensions.transport_sockets.tls.v3.Secret`, and TLS contexts that name secrets.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as envoy;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use tidegate_proxy::tls::certificate::Facts;
use tidegate_proxy::tls::identity::Identity;

use super::message::decode;
use super::notes::Notes;
use super::{Context, Note, Reject, unknown};

mod certificate;
mod constraints;
mod downstream;
mod held;
mod parameters;
mod reference;
mod source;
mod upstream;
mod validation;

pub use downstream::DownstreamTls;
pub use reference::{SecretName, SecretSource};
pub use source::FileRead;
pub(crate) use upstream::HostNames;
pub use upstream::UpstreamTls;

/// A secret that was read and is usable by itself.
#[derive(Clone, Debug)]
pub struct SecretConfig {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub content: SecretContent,
    /// The files that it was read from: when one of them is replaced, it is to be read again.
    pub files: Vec<FileRead>,
    /// A directory whose change means that they are to be read again.
    pub watched_directory: Option<Arc<Path>>,
    /// What its certificates say.
    pub certificates: Vec<ShownCertificate>,
    /// What has no effect.
    pub notes: Vec<Note>,
}

/// What a secret is.
#[derive(Clone, Debug)]
pub enum SecretContent {
    /// A certificate with its key.
    Certificate(Identity),
    /// Whose certificates are believed; kept as a message, since it may have to be merged into another, with what was in its files.
    Validation(Box<envoy::CertificateValidationContext>),
    /// Keys for session tickets, which are not used: each process makes its own.
    TicketKeys,
    /// Something for a filter.
    Generic(Bytes),
}

/// A certificate as operators are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCertificate {
    /// Where it was read: a path, or `<inline>`.
    pub source: Box<str>,
    /// Whether it is one of those whose signatures are believed, not one that is shown to peers.
    pub authority: bool,
    /// What it says.
    pub facts: Facts,
}

/// Secrets by name.
pub type Secrets = HashMap<Arc<str>, Arc<SecretConfig>>;

/// Reads a secret. Files that it names are read too.
///
/// # Errors
/// When Envoy would refuse it, in Envoy's words.
pub fn secret(body: &Bytes, context: &Context) -> Result<SecretConfig, Reject> {
    let message: envoy::Secret = decode(body)?;
    constraints::secret(&message)?;
    let mut notes = Notes::default();
    unknown::check(&message, body, context, &mut notes)?;
    let (mut files, mut certificates) = (Vec::new(), Vec::new());
    let mut watched = None;
    let content = match &message.r#type {
        Some(Type::TlsCertificate(certificate)) => {
            let read = certificate::read(certificate, "tls_certificate", &mut notes)?;
            files = read.files;
            certificates = read.shown;
            watched = certificate.watched_directory.as_ref();
            SecretContent::Certificate(read.identity)
        }
        Some(Type::ValidationContext(validation)) => {
            let mut read = validation::read(validation, "validation_context", &mut notes)?;
            files = std::mem::take(&mut read.files);
            certificates = std::mem::take(&mut read.shown);
            watched = validation.watched_directory.as_ref();
            SecretContent::Validation(Box::new(read.whole(validation)))
        }
        Some(Type::SessionTicketKeys(keys)) => {
            certificate::ticket_keys(keys)?;
            notes.ignored("session_ticket_keys", true);
            SecretContent::TicketKeys
        }
        Some(Type::GenericSecret(generic)) => {
            let read = generic.secret.as_ref().map(source::read).transpose()?;
            let read = read.unwrap_or_default();
            files.extend(read.file_read());
            SecretContent::Generic(read.bytes)
        }
        None => return Err(Reject::Resource("Unexpected secret type".to_owned())),
    };
    Ok(SecretConfig {
        name: message.name.as_str().into(),
        content,
        files,
        watched_directory: watched.map(|watched| Arc::from(Path::new(&watched.path))),
        certificates,
        notes: notes.into_list(),
    })
}

#[cfg(test)]
mod tests;
