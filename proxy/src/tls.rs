//! Which certificates are shown, and whose are believed: TLS of clients and to upstreams. There is one provider of
//! cryptography, aws-lc-rs; no process-wide default is installed or used.
//!
//! ```
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
//! use tidegate_proxy::tls::TlsError;
//! use tidegate_proxy::tls::identity::Identity;
//! use tidegate_proxy::tls::server::ServerTls;
//! use tidegate_testkit::certificates::Authority;
//!
//! let files = Authority::new("example").server("a.example");
//! let identity = Identity::from_pem(files.certificate_pem.as_bytes(), files.key_pem.as_bytes())?;
//! let tls = ServerTls::showing(vec![identity])?;
//! let chain = FilterChain::tls(tls, HttpSettings::default()).for_names(["a.example"]);
//! assert!(FilterChains::one(chain).is_ok());
//!
//! // What is missing is told, before anything listens.
//! let no_key = Identity::from_pem(files.certificate_pem.as_bytes(), b"");
//! assert_eq!(no_key.err(), Some(TlsError::NoKey));
//! # Ok::<(), TlsError>(())
//! ```

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub mod certificate;
mod der;
pub mod files;
pub mod identity;
pub mod pin;
pub mod server;
pub mod suites;
pub mod terms;
pub mod trust;
pub mod upstream;

/// What goes wrong when TLS is set up. Each says what it was and what to look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The PEM text of a chain has no certificate.
    #[error("there is no certificate in the chain: expected PEM text with `BEGIN CERTIFICATE`")]
    NoCertificate,
    /// The PEM text of a key has no private key.
    #[error(
        "there is no private key: expected PEM text with `BEGIN PRIVATE KEY` (PKCS #8, PKCS #1 or SEC 1)"
    )]
    NoKey,
    /// PEM text that breaks off, or is not base64 inside.
    #[error("the {what} is not PEM text: {detail}")]
    Pem {
        /// Which text.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A certificate that cannot be read.
    #[error("certificate {index} of the {what} cannot be read: {detail}")]
    Certificate {
        /// Which chain or list.
        what: &'static str,
        /// Its place there, from 0.
        index: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// A private key of a kind that TLS has no use for.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// The private key belongs to another certificate.
    #[error("the private key is not the key of the chain's first certificate, `{subject}`")]
    KeyMismatch {
        /// The subject of the certificate.
        subject: String,
    },
    /// There is nothing to show to clients.
    #[error("a server needs at least one certificate")]
    NothingToShow,
    /// A list of trust anchors without one.
    #[error("there is no certificate among the trust anchors: every peer would be refused")]
    NoTrustAnchor,
    /// A revocation list that cannot be used.
    #[error("a certificate revocation list cannot be used: {0}")]
    RevocationList(String),
    /// No version of TLS is left between the lowest and the highest.
    #[error("the lowest version of TLS is above the highest")]
    NoVersion,
    /// What is to be asked for is neither a host name nor an address.
    #[error("`{0}` is not a server name: expected a host name or an IP address")]
    ServerName(String),
    /// An ALPN name that no ClientHello can have.
    #[error("an ALPN name has from 1 to 255 bytes")]
    AlpnName,
    /// rustls refuses the combination.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// The provider of cryptography, made once.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
}
