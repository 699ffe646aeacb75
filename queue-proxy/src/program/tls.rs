//! How does the sidecar speak TLS, where its pod has a certificate?

use std::io;
use std::path::Path;

use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::drain::Watch;
use tidegate_proxy::listener::ListenerHandle;
use tidegate_proxy::listener::chain::{ChainError, FilterChain, FilterChains, Hosts};
use tidegate_proxy::tls::TlsError;
use tidegate_proxy::tls::files::{CertificateFiles, FilesError};
use tidegate_proxy::tls::identity::Identity;
use tidegate_proxy::tls::server::{ServerTls, ServerTlsSettings, TlsVersion};
use tidegate_proxy::tls::suites::{Group, Offer, Suite};

use super::env::EnvError;
use super::log::Log;

/// What is logged for every pair of files that is used; Knative's tests look for it.
const RELOADED: &str = "Certificate and/or key have changed on disk and were reloaded.";

const MIN_VERSION: &str = "QUEUE_PROXY_TLS_MIN_VERSION";
const MAX_VERSION: &str = "QUEUE_PROXY_TLS_MAX_VERSION";
const SUITES: &str = "QUEUE_PROXY_TLS_CIPHER_SUITES";
const CURVES: &str = "QUEUE_PROXY_TLS_CURVE_PREFERENCES";

/// Which versions are spoken, and what is offered in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    lowest: TlsVersion,
    highest: TlsVersion,
    offer: Offer,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsStartError {
    /// Whether there is a certificate cannot be found out.
    #[error("cannot look for {path}: {source}")]
    Look {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// What is said of it cannot be understood.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The first pair cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The pair and the settings do not fit.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No listener can use them.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// A certificate that is there, and stays followed.
#[derive(Debug)]
pub(super) struct Certificate {
    files: CertificateFiles,
    terms: Terms,
    http: HttpSettings,
}

impl Terms {
    /// What `get` says of them, by the names of the variables. Default: 1.3 alone, and everything there is.
    ///
    /// # Errors
    /// A version, a suite or a curve that there is not.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvError> {
        let version = |name: &'static str, usual| match get(name).as_deref() {
            None | Some("") => Ok(usual),
            Some("1.2") => Ok(TlsVersion::Tls12),
            Some("1.3") => Ok(TlsVersion::Tls13),
            Some(other) => Err(EnvError::Invalid {
                name,
                value: other.to_owned(),
                wanted: "1.2 or 1.3",
            }),
        };
        Ok(Self {
            lowest: version(MIN_VERSION, TlsVersion::Tls13)?,
            highest: version(MAX_VERSION, TlsVersion::Tls13)?,
            offer: Offer {
                suites: list(SUITES, &get, suite)?,
                groups: list(CURVES, &get, group)?,
            },
        })
    }
}

/// A list of names with commas; what stands for each, as far as anything does here.
fn list<T>(
    name: &'static str,
    get: impl Fn(&str) -> Option<String>,
    meaning: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, EnvError> {
    let value = get(name).unwrap_or_default();
    let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
    let meanings = words.map(|word| {
        meaning(word).ok_or_else(|| EnvError::Invalid {
            name,
            value: word.to_owned(),
            wanted: "one that is known here",
        })
    });
    meanings.collect()
}

/// A suite of TLS 1.2 by Go's name.
fn suite(name: &str) -> Option<Suite> {
    Some(match name {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => Suite::EcdheEcdsaAes128Gcm,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => Suite::EcdheEcdsaAes256Gcm,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => Suite::EcdheEcdsaChaCha20Poly1305,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => Suite::EcdheRsaAes128Gcm,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => Suite::EcdheRsaAes256Gcm,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => Suite::EcdheRsaChaCha20Poly1305,
        _ => return None,
    })
}

/// A curve by Go's name or the usual one.
fn group(name: &str) -> Option<Group> {
    Some(match name {
        "X25519" => Group::X25519,
        "CurveP256" | "P-256" => Group::P256,
        "CurveP384" | "P-384" => Group::P384,
        "X25519MLKEM768" => Group::X25519MlKem768,
        _ => return None,
    })
}

/// The certificate in this folder and the chain of a listener that shows it; none if the files are not there.
///
/// # Errors
/// When there is one that cannot be used.
pub(super) fn find(
    folder: &Path,
    terms: &Result<Terms, EnvError>,
    http: &HttpSettings,
    log: &Log,
) -> Result<Option<(Certificate, FilterChain)>, TlsStartError> {
    let (chain, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    if !(is_there(&chain)? && is_there(&key)?) {
        return Ok(None);
    }
    let mut certificate = Certificate {
        files: CertificateFiles::new(chain, key),
        terms: terms.clone()?,
        http: http.clone(),
    };
    let identity = certificate.files.read()?;
    let chain = chain_of(&certificate.terms, http, identity)?;
    log.info(RELOADED);
    Ok(Some((certificate, chain)))
}

fn is_there(path: &Path) -> Result<bool, TlsStartError> {
    path.try_exists().map_err(|source| TlsStartError::Look {
        path: path.display().to_string(),
        source,
    })
}

impl Certificate {
    /// Lets `listener` show what the files become, until the drain begins. The pair that was good stays meanwhile.
    pub(super) fn follow(self, listener: ListenerHandle, drain: &Watch, log: Log) {
        let Self { files, terms, http } = self;
        drop(files.follow(drain, move |read| {
            let chains = read
                .map_err(TlsStartError::from)
                .and_then(|identity| Ok(chain_of(&terms, &http, identity)?))
                .and_then(|chain| Ok(FilterChains::one(chain)?));
            match chains {
                Ok(chains) => {
                    listener.set_chains(chains);
                    log.info(RELOADED);
                }
                Err(error) => log.error(format_args!("the certificate is not replaced: {error}")),
            }
        }));
    }
}

fn chain_of(terms: &Terms, http: &HttpSettings, identity: Identity) -> Result<FilterChain, TlsError> {
    let tls = ServerTls::new(ServerTlsSettings {
        lowest: terms.lowest,
        highest: terms.highest,
        offer: terms.offer.clone(),
        ..ServerTlsSettings::new(vec![identity])
    })?;
    // Whoever calls a pod names its application, never the pod.
    Ok(FilterChain {
        hosts: Hosts::Any,
        ..FilterChain::tls(tls, http.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qp_67_versions_suites_and_curves_have_gos_names() {
        let parse = |name: &'static str, value: &'static str| {
            Terms::parse(|asked| (asked == name).then(|| value.to_owned()))
        };
        let usual = Terms::parse(|_| None).unwrap();
        assert_eq!(
            (usual.lowest, usual.highest),
            (TlsVersion::Tls13, TlsVersion::Tls13)
        );
        assert_eq!(parse(MIN_VERSION, "").unwrap(), usual);
        assert_eq!(parse(MIN_VERSION, "1.2").unwrap().lowest, TlsVersion::Tls12);
        let suites = parse(
            SUITES,
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        );
        let expected = [Suite::EcdheRsaAes128Gcm, Suite::EcdheEcdsaAes128Gcm];
        assert_eq!(suites.unwrap().offer.suites, expected);
        let groups = parse(CURVES, "P-256,X25519MLKEM768").unwrap().offer.groups;
        assert_eq!(groups, [Group::P256, Group::X25519MlKem768]);
        for (name, value) in [
            (MAX_VERSION, "1.1"),
            (SUITES, "TLS_RSA_WITH_RC4_128_SHA"),
            (CURVES, "P-1"),
        ] {
            let error = parse(name, value).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
