//! How does a filter chain speak TLS to its clients?
//!
//! ```
//! use tidegate_proxy::tls::identity::Identity;
//! use tidegate_proxy::tls::server::{ClientCertificates, ServerTls, ServerTlsSettings, TlsVersion};
//! use tidegate_proxy::tls::trust::Trust;
//! use tidegate_testkit::certificates::Authority;
//!
//! let authority = Authority::new("example");
//! let files = authority.server("a.example");
//! let identity = Identity::from_pem(files.certificate_pem.as_bytes(), files.key_pem.as_bytes())?;
//! let tls = ServerTls::new(ServerTlsSettings {
//!     lowest: TlsVersion::Tls13,
//!     clients: ClientCertificates::Required(Trust::in_pem(authority.pem.as_bytes())?),
//!     ..ServerTlsSettings::new(vec![identity])
//! })?;
//! assert!(tls.expires_at() > Some(std::time::SystemTime::now()));
//! # Ok::<(), tidegate_proxy::tls::TlsError>(())
//! ```

use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::TlsError;
use super::identity::Identity;
use super::suites::Offer;
use super::trust::Trust;

mod clients;
mod resolve;

/// What a [`ServerTls`] is made of.
#[derive(Clone, Debug)]
pub struct ServerTlsSettings {
    /// What is shown, at least one. Which one: exactly the name that the client asked for (SNI), then a `*.` one level
    /// above it, then the first. Of several for a name, ECDSA where the client can, else RSA.
    pub identities: Vec<Identity>,
    /// The lowest version spoken. Default: 1.2, the lowest there is here.
    pub lowest: TlsVersion,
    /// The highest version spoken. Default: 1.3.
    pub highest: TlsVersion,
    /// The protocols offered by ALPN, best first; a client that offers only others is refused. Empty answers none.
    /// Default: `h2`, `http/1.1`.
    pub alpn: Vec<Vec<u8>>,
    /// Whether clients show a certificate. Default: they are not asked.
    pub clients: ClientCertificates,
    /// What is taken to encrypt and to agree on keys. Default: everything there is.
    pub offer: Offer,
    /// Whether a client may resume a session. Default: by ticket.
    pub resumption: Resumption,
}

/// Whether a client may resume a session, which makes its next handshake shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Resumption {
    /// By a ticket that it was given.
    #[default]
    ByTicket,
    /// Never.
    Never,
}

/// A version of TLS. Older ones are refused, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246, with forward secrecy and authenticated encryption only.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Whether clients show a certificate. One that is shown is always verified.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// They are not asked for one.
    #[default]
    NotAsked,
    /// They may show one.
    Optional(Trust),
    /// Without one they are refused.
    Required(Trust),
}

/// TLS towards clients, checked and ready. Workers share one, and its session tickets with it: their keys change every six
/// hours, and no other `ServerTls` takes them, so that a client cannot carry a session to where more is asked of it. There
/// is no early data (its requests can be replayed), and no session state is kept on this side.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    identities: Vec<Identity>,
    resolver: Arc<resolve::Resolver>,
}

impl ServerTlsSettings {
    /// The defaults, with these certificates.
    #[must_use]
    pub fn new(identities: Vec<Identity>) -> Self {
        Self {
            identities,
            lowest: TlsVersion::Tls12,
            highest: TlsVersion::Tls13,
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            clients: ClientCertificates::default(),
            offer: Offer::default(),
            resumption: Resumption::default(),
        }
    }
}

impl ServerTls {
    /// Checks the settings and makes what all handshakes share.
    ///
    /// # Errors
    /// When there is no certificate, or versions, names or trust anchors do not go together.
    pub fn new(settings: ServerTlsSettings) -> Result<Self, TlsError> {
        if settings.identities.is_empty() {
            return Err(TlsError::NothingToShow);
        }
        if settings.alpn.iter().any(|name| !(1..=255).contains(&name.len())) {
            return Err(TlsError::AlpnName);
        }
        let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
        let versions = versions(settings.lowest, settings.highest)?;
        let builder = ServerConfig::builder_with_provider(settings.offer.provider())
            .with_protocol_versions(versions)
            .map_err(setup)?;
        let resolver = Arc::new(resolve::Resolver::new(&settings.identities));
        let mut config = builder
            .with_client_cert_verifier(clients::verifier(&settings.clients)?)
            .with_cert_resolver(Arc::clone(&resolver) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = settings.alpn;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match settings.resumption {
            Resumption::ByTicket => {
                config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(setup)?;
            }
            Resumption::Never => config.send_tls13_tickets = 0,
        }
        config.max_early_data_size = 0;
        Ok(Self {
            config: Arc::new(config),
            identities: settings.identities,
            resolver,
        })
    }

    /// [`ServerTls::new`] with the defaults: these certificates, no question to clients.
    ///
    /// # Errors
    /// When there is no certificate.
    pub fn showing(identities: Vec<Identity>) -> Result<Self, TlsError> {
        Self::new(ServerTlsSettings::new(identities))
    }

    /// What it shows.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// When the first of its certificates expires. It is served all the same.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.identities.iter().map(Identity::expires_at).min()
    }

    /// The certificate that a client gets, in DER.
    pub(crate) fn shown_to(&self, hello: &ClientHello<'_>) -> Option<Vec<u8>> {
        let key = self
            .resolver
            .find(hello.server_name(), hello.signature_schemes())?;
        key.cert.first().map(|certificate| certificate.to_vec())
    }

    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

/// The versions of rustls in a range.
pub(super) fn versions(
    lowest: TlsVersion,
    highest: TlsVersion,
) -> Result<&'static [&'static SupportedProtocolVersion], TlsError> {
    match (lowest, highest) {
        (TlsVersion::Tls12, TlsVersion::Tls13) => Ok(BOTH),
        (TlsVersion::Tls12, TlsVersion::Tls12) => Ok(TLS12),
        (TlsVersion::Tls13, TlsVersion::Tls13) => Ok(TLS13),
        (TlsVersion::Tls13, TlsVersion::Tls12) => Err(TlsError::NoVersion),
    }
}

static BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
static TLS12: &[&SupportedProtocolVersion] = &[&version::TLS12];
static TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];

#[cfg(test)]
mod tests;
