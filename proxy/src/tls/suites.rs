//! What is offered to encrypt, and to agree on keys.
//!
//! ```
//! use tidegate_proxy::tls::suites::{Offer, Suite};
//!
//! let narrow = Offer { suites: vec![Suite::EcdheRsaAes128Gcm], ..Offer::default() };
//! assert_ne!(narrow, Offer::default());
//! ```

use std::sync::Arc;

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{cipher_suite, kx_group};

use super::provider;

/// What is offered; what is left empty is everything there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Offer {
    /// The suites of TLS 1.2, best first. Those of TLS 1.3 are offered always.
    pub suites: Vec<Suite>,
    /// The groups for keys, best first.
    pub groups: Vec<Group>,
}

/// A cipher suite of TLS 1.2; those without forward secrecy or authenticated encryption do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Suite {
    EcdheEcdsaAes128Gcm,
    EcdheEcdsaAes256Gcm,
    EcdheEcdsaChaCha20Poly1305,
    EcdheRsaAes128Gcm,
    EcdheRsaAes256Gcm,
    EcdheRsaChaCha20Poly1305,
}

/// A group in which keys are agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Group {
    X25519,
    P256,
    P384,
    /// X25519 with ML-KEM-768, against computers that are yet to come.
    X25519MlKem768,
}

impl Offer {
    /// The provider of cryptography that offers this and nothing else.
    pub(crate) fn provider(&self) -> Arc<CryptoProvider> {
        if self.suites.is_empty() && self.groups.is_empty() {
            return Arc::clone(provider());
        }
        let mut narrow = CryptoProvider::clone(provider());
        if !self.suites.is_empty() {
            narrow.cipher_suites.retain(|suite| suite.tls13().is_some());
            narrow
                .cipher_suites
                .extend(self.suites.iter().map(|suite| suite.rustls()));
        }
        if !self.groups.is_empty() {
            narrow.kx_groups = self.groups.iter().map(|group| group.rustls()).collect();
        }
        Arc::new(narrow)
    }
}

impl Suite {
    /// The suite of this name in the registry of TLS.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => Self::EcdheEcdsaAes128Gcm,
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => Self::EcdheEcdsaAes256Gcm,
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => Self::EcdheEcdsaChaCha20Poly1305,
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => Self::EcdheRsaAes128Gcm,
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => Self::EcdheRsaAes256Gcm,
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => Self::EcdheRsaChaCha20Poly1305,
            _ => return None,
        })
    }

    fn rustls(self) -> SupportedCipherSuite {
        match self {
            Self::EcdheEcdsaAes128Gcm => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            Self::EcdheEcdsaAes256Gcm => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            Self::EcdheEcdsaChaCha20Poly1305 => cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            Self::EcdheRsaAes128Gcm => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            Self::EcdheRsaAes256Gcm => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            Self::EcdheRsaChaCha20Poly1305 => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        }
    }
}

impl Group {
    /// The group that is called so; curves go by Go's names too.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "X25519" => Self::X25519,
            "CurveP256" | "P-256" => Self::P256,
            "CurveP384" | "P-384" => Self::P384,
            "X25519MLKEM768" => Self::X25519MlKem768,
            _ => return None,
        })
    }

    fn rustls(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519 => kx_group::X25519,
            Self::P256 => kx_group::SECP256R1,
            Self::P384 => kx_group::SECP384R1,
            Self::X25519MlKem768 => kx_group::X25519MLKEM768,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::{CipherSuite, NamedGroup};

    use super::*;

    #[test]
    fn only_what_is_named_is_offered_beside_tls_1_3() {
        let offer = Offer {
            suites: vec![Suite::EcdheRsaAes256Gcm],
            groups: vec![Group::P384],
        };
        let provider = offer.provider();
        let old: Vec<_> = provider
            .cipher_suites
            .iter()
            .filter(|suite| suite.tls13().is_none())
            .collect();
        assert_eq!(old.len(), 1);
        assert_eq!(old[0].suite(), CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384);
        assert_eq!(provider.cipher_suites.len(), 4);
        let groups: Vec<_> = provider.kx_groups.iter().map(|group| group.name()).collect();
        assert_eq!(groups, [NamedGroup::secp384r1]);
    }
}
