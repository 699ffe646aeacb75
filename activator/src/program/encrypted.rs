//! How does the program speak TLS, where the cluster asks for it?

use std::num::NonZeroUsize;

use tidegate_proxy::{
    config::http::HttpSettings,
    drain::Watch,
    listener::{
        Connections, Listener,
        chain::{FilterChain, FilterChains, Hosts},
    },
    process,
    tls::{identity::Identity, server::ServerTls, terms},
};
use tokio::sync::watch;

use crate::program::{StartError, listeners};

/// How clients are spoken to over TLS.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) http: HttpSettings,
    pub(super) tls: terms::Terms,
}

/// Listens for TLS with the certificate that is shown now, and shows each later one in its place.
pub(super) fn open(
    port: u16,
    workers: NonZeroUsize,
    mut shown: watch::Receiver<Option<Identity>>,
    terms: Terms,
    watch: &Watch,
) -> Result<Listener, StartError> {
    let identity = shown
        .borrow_and_update()
        .clone()
        .ok_or(StartError::NoCertificate)?;
    let listener = listeners::everywhere(port, workers, Connections::default(), || {
        chains(identity.clone(), &terms)
    })?;
    let (handle, forced) = (listener.handle(), watch.forced());
    let following = async move {
        while shown.changed().await.is_ok() {
            let Some(identity) = shown.borrow_and_update().clone() else {
                continue;
            };
            match chains(identity, &terms) {
                Ok(chains) => {
                    handle.set_chains(chains);
                    tracing::info!("the certificate was replaced");
                }
                Err(error) => tracing::error!(%error, "the certificate is not replaced"),
            }
        }
    };
    process::spawn("certificate", watch.unguarded(), async move {
        tokio::select! {
            () = forced => {}
            () = following => {}
        }
    });
    Ok(listener)
}

fn chains(identity: Identity, terms: &Terms) -> Result<FilterChains, StartError> {
    let tls = ServerTls::new(terms.tls.settings(vec![identity]))?;
    // Requests name their revision, the certificate names the activator.
    let chain = FilterChain {
        hosts: Hosts::Any,
        ..FilterChain::tls(tls, terms.http.clone())
    };
    Ok(FilterChains::one(chain)?)
}
