//! Which certificates are known by themselves, whoever has signed them?
//!
//! ```
//! use tidegate_proxy::tls::pin::Pin;
//! use tidegate_testkit::certificates::Authority;
//!
//! let files = Authority::new("example").server("a.example");
//! let pin = Pin::of_certificate(&files.certificate());
//! assert!(pin.is(&files.certificate()));
//! assert!(!pin.is(&Authority::new("example").server("a.example").certificate()));
//! ```

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;

use super::certificate::public_key;

/// A certificate, or a key, by its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pin {
    /// Of the certificate, in DER.
    Certificate([u8; 32]),
    /// Of its public key (`SubjectPublicKeyInfo`), in DER, which outlives a certificate that is renewed with the same key.
    Key([u8; 32]),
}

impl Pin {
    /// This certificate and no other.
    #[must_use]
    pub fn of_certificate(certificate: &[u8]) -> Self {
        Self::Certificate(sha256(certificate))
    }

    /// All certificates with the key of this one; none where the bytes are not a certificate.
    #[must_use]
    pub fn of_key(certificate: &[u8]) -> Option<Self> {
        public_key(certificate).map(|key| Self::Key(sha256(key)))
    }

    /// Whether a certificate is the one.
    #[must_use]
    pub fn is(&self, certificate: &[u8]) -> bool {
        match self {
            Self::Certificate(hash) => sha256(certificate) == *hash,
            Self::Key(hash) => public_key(certificate).is_some_and(|key| sha256(key) == *hash),
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    if let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 {
        let output = suite.common.hash_provider.hash(bytes);
        if let Some(whole) = output.as_ref().get(..32) {
            hash.copy_from_slice(whole);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use tidegate_testkit::certificates::Authority;

    use super::*;

    #[test]
    fn the_hash_is_sha_256() {
        // The example of FIPS 180-4.
        let hash = sha256(b"abc");
        assert_eq!((hash[0], hash[1], hash[31]), (0xba, 0x78, 0xad));
    }

    #[test]
    fn a_key_is_known_apart_from_its_certificate() {
        let authority = Authority::new("tests");
        let (one, other) = (authority.server("a.example"), authority.server("a.example"));
        let pin = Pin::of_key(&one.certificate()).unwrap();
        assert!(pin.is(&one.certificate()));
        assert!(!pin.is(&other.certificate()));
        assert!(!pin.is(b"no certificate"));
        assert_eq!(Pin::of_key(b"no certificate"), None);
    }
}
