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

use super::env::EnvError;
use super::log::Log;

/// What is logged for every pair of files that is used; Knative's tests look for it.
const RELOADED: &str = "Certificate and/or key have changed on disk and were reloaded.";

const MIN_VERSION: &str = "QUEUE_PROXY_TLS_MIN_VERSION";
const MAX_VERSION: &str = "QUEUE_PROXY_TLS_MAX_VERSION";

/// Which versions are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    lowest: TlsVersion,
    highest: TlsVersion,
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
    versions: Versions,
    http: HttpSettings,
}

impl Versions {
    /// What `get` says of them, by the names of the variables. Default: 1.3 alone.
    ///
    /// # Errors
    /// A version that there is not.
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
        })
    }
}

/// The certificate in this folder and the chain of a listener that shows it; none if the files are not there.
///
/// # Errors
/// When there is one that cannot be used.
pub(super) fn find(
    folder: &Path,
    versions: &Result<Versions, EnvError>,
    http: &HttpSettings,
    log: &Log,
) -> Result<Option<(Certificate, FilterChain)>, TlsStartError> {
    let (chain, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    if !(is_there(&chain)? && is_there(&key)?) {
        return Ok(None);
    }
    let mut certificate = Certificate {
        files: CertificateFiles::new(chain, key),
        versions: versions.clone()?,
        http: http.clone(),
    };
    let identity = certificate.files.read()?;
    let chain = chain_of(certificate.versions, http, identity)?;
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
        let Self {
            files,
            versions,
            http,
        } = self;
        drop(files.follow(drain, move |read| {
            let chains = read
                .map_err(TlsStartError::from)
                .and_then(|identity| Ok(chain_of(versions, &http, identity)?))
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

fn chain_of(versions: Versions, http: &HttpSettings, identity: Identity) -> Result<FilterChain, TlsError> {
    let tls = ServerTls::new(ServerTlsSettings {
        lowest: versions.lowest,
        highest: versions.highest,
        ..ServerTlsSettings::new(vec![identity])
    })?;
    // Whoever calls a pod names its application, never the pod.
    Ok(FilterChain {
        hosts: Hosts::Any,
        ..FilterChain::tls(tls, http.clone())
    })
}
