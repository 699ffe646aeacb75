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
use tidegate_proxy::tls::server::ServerTls;
use tidegate_proxy::tls::terms::{Terms, TermsError};

use super::log::Log;

/// What is logged for every pair of files that is used; Knative's tests look for it.
const RELOADED: &str = "Certificate and/or key have changed on disk and were reloaded.";

/// How the variables begin that say how TLS is spoken.
pub(super) const PREFIX: &str = "QUEUE_PROXY_";

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
    Terms(#[from] TermsError),
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

/// The certificate in this folder and the chain of a listener that shows it; none if the files are not there.
///
/// # Errors
/// When there is one that cannot be used.
pub(super) fn find(
    folder: &Path,
    terms: &Result<Terms, TermsError>,
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
    let tls = ServerTls::new(terms.settings(vec![identity]))?;
    // Whoever calls a pod names its application, never the pod.
    Ok(FilterChain {
        hosts: Hosts::Any,
        ..FilterChain::tls(tls, http.clone())
    })
}
