//! What this side shows: a certificate chain with its private key.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::InconsistentKeys;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::certificate::Facts;
use super::{TlsError, provider};

/// A certificate chain, its own certificate first, and the private key of that. Clones share both.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    facts: Arc<Facts>,
}

impl Identity {
    /// Reads PEM text: a chain (what else it holds is passed over) and one private key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// Expired is no error: it is for [`Identity::expires_at`] to tell.
    ///
    /// # Errors
    /// When either is missing or cannot be read, or the key is another certificate's.
    ///
    /// ```
    /// use tidegate_proxy::tls::identity::Identity;
    /// use tidegate_testkit::certificates::Authority;
    ///
    /// let files = Authority::new("example").server("a.example");
    /// let identity = Identity::from_pem(files.certificate_pem.as_bytes(), files.key_pem.as_bytes())?;
    /// assert_eq!(identity.hosts().collect::<Vec<_>>(), ["a.example"]);
    /// # Ok::<(), tidegate_proxy::tls::TlsError>(())
    /// ```
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates("chain", chain)?;
        let first = chain.first().ok_or(TlsError::NoCertificate)?;
        let facts = Facts::read(first).ok_or_else(|| unreadable("chain", 0))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey,
            error => TlsError::Pem {
                what: "private key",
                detail: error.to_string(),
            },
        })?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| TlsError::Key(error.to_string()))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // A kind of key that does not tell its public half is believed.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let subject = facts.subject;
                return Err(TlsError::KeyMismatch { subject });
            }
            Err(_) => return Err(unreadable("chain", 0)),
        }
        Ok(Self {
            key: Arc::new(certified),
            facts: Arc::new(facts),
        })
    }

    /// Staples an OCSP response (RFC 6066 §8), in DER, that peers who ask for it get. It is not looked into.
    #[must_use]
    pub fn with_ocsp(self, response: Vec<u8>) -> Self {
        let key = CertifiedKey {
            ocsp: Some(response),
            ..CertifiedKey::clone(&self.key)
        };
        Self {
            key: Arc::new(key),
            ..self
        }
    }

    /// What its certificate says.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The host names of its certificate, `*.` included.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.facts.hosts()
    }

    /// The last second of its own certificate.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.facts.expires_at
    }

    pub(crate) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }
}

/// The certificates of PEM text, in order.
pub(super) fn certificates(
    what: &'static str,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Pem {
            what,
            detail: error.to_string(),
        })
}

pub(super) fn unreadable(what: &'static str, index: usize) -> TlsError {
    TlsError::Certificate {
        what,
        index,
        detail: "it is not an X.509 certificate".to_owned(),
    }
}
