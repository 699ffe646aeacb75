//! How does an operator say in words which versions of TLS are spoken, and what is offered in them?
//!
//! By variables with the names of Go's library for Knative (`knative.dev/pkg/network/tls`): `…TLS_MIN_VERSION`,
//! `…TLS_MAX_VERSION`, `…TLS_CIPHER_SUITES` and `…TLS_CURVE_PREFERENCES`.
//!
//! ```
//! use tidegate_proxy::tls::server::TlsVersion;
//! use tidegate_proxy::tls::terms::Terms;
//!
//! let variables = |name: &str| (name == "EXAMPLE_TLS_MIN_VERSION").then(|| "1.2".to_owned());
//! let terms = Terms::read("EXAMPLE_", variables)?;
//! assert_eq!((terms.lowest, terms.highest), (TlsVersion::Tls12, TlsVersion::Tls13));
//! # Ok::<(), tidegate_proxy::tls::terms::TermsError>(())
//! ```

use super::identity::Identity;
use super::server::{ServerTlsSettings, TlsVersion};
use super::suites::{Group, Offer, Suite};

/// Which versions a server speaks, and what it offers in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The lowest version.
    pub lowest: TlsVersion,
    /// The highest one.
    pub highest: TlsVersion,
    /// What is offered.
    pub offer: Offer,
}

/// A word that means nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}: it has to be {wanted}")]
pub struct TermsError {
    /// The variable.
    pub name: String,
    /// The word.
    pub value: String,
    /// What it has to be.
    pub wanted: &'static str,
}

impl Default for Terms {
    /// 1.3 alone, and everything there is.
    fn default() -> Self {
        Self {
            lowest: TlsVersion::Tls13,
            highest: TlsVersion::Tls13,
            offer: Offer::default(),
        }
    }
}

impl Terms {
    /// What `get` says of them under the variables that begin with `prefix`; what it does not say is as by default.
    ///
    /// # Errors
    /// A version, a suite or a curve that there is not.
    pub fn read(prefix: &str, get: impl Fn(&str) -> Option<String>) -> Result<Self, TermsError> {
        let usual = Self::default();
        let word = |name: &str| {
            let name = format!("{prefix}TLS_{name}");
            let value = get(&name).unwrap_or_default();
            (name, value)
        };
        Ok(Self {
            lowest: version(word("MIN_VERSION"), usual.lowest)?,
            highest: version(word("MAX_VERSION"), usual.highest)?,
            offer: Offer {
                suites: list(word("CIPHER_SUITES"), Suite::named)?,
                groups: list(word("CURVE_PREFERENCES"), Group::named)?,
            },
        })
    }

    /// The settings of a server that shows these and speaks so.
    #[must_use]
    pub fn settings(&self, identities: Vec<Identity>) -> ServerTlsSettings {
        ServerTlsSettings {
            lowest: self.lowest,
            highest: self.highest,
            offer: self.offer.clone(),
            ..ServerTlsSettings::new(identities)
        }
    }
}

fn version((name, value): (String, String), usual: TlsVersion) -> Result<TlsVersion, TermsError> {
    match &*value {
        "" => Ok(usual),
        "1.2" => Ok(TlsVersion::Tls12),
        "1.3" => Ok(TlsVersion::Tls13),
        _ => Err(TermsError {
            name,
            value,
            wanted: "1.2 or 1.3",
        }),
    }
}

/// A list of names with commas; what stands for each, as far as anything does here.
fn list<T>(
    (name, value): (String, String),
    meaning: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, TermsError> {
    let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
    let meanings = words.map(|word| {
        meaning(word).ok_or_else(|| TermsError {
            name: name.clone(),
            value: word.to_owned(),
            wanted: "one that is known here",
        })
    });
    meanings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_suites_and_curves_have_gos_names() {
        let read = |name: &'static str, value: &'static str| {
            Terms::read("A_", |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(Terms::read("A_", |_| None).unwrap(), Terms::default());
        assert_eq!(read("A_TLS_MIN_VERSION", "").unwrap(), Terms::default());
        assert_eq!(
            read("A_TLS_MIN_VERSION", "1.2").unwrap().lowest,
            TlsVersion::Tls12
        );
        let suites = read(
            "A_TLS_CIPHER_SUITES",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        );
        let expected = [Suite::EcdheRsaAes128Gcm, Suite::EcdheEcdsaAes128Gcm];
        assert_eq!(suites.unwrap().offer.suites, expected);
        let groups = read("A_TLS_CURVE_PREFERENCES", "P-256,X25519MLKEM768").unwrap();
        assert_eq!(groups.offer.groups, [Group::P256, Group::X25519MlKem768]);
        for (name, value) in [
            ("A_TLS_MAX_VERSION", "1.1"),
            ("A_TLS_CIPHER_SUITES", "TLS_RSA_WITH_RC4_128_SHA"),
            ("A_TLS_CURVE_PREFERENCES", "P-1"),
        ] {
            let error = read(name, value).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
