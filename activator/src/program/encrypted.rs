//! How does the program speak TLS, where the cluster asks for it?

use std::num::NonZeroUsize;

use tidegate_proxy::{
    drain::Watch,
    listener::{
        Listener,
        chain::{FilterChain, FilterChains, Hosts},
    },
    process,
    tls::{
        identity::Identity,
        server::{ServerTls, ServerTlsSettings, TlsVersion},
    },
};
use tokio::sync::watch;

use crate::{
    program::{StartError, listeners},
    wire,
};

/// Listens for TLS with the certificate that is shown now, and shows each later one in its place.
pub(super) fn open(
    port: u16,
    workers: NonZeroUsize,
    mut shown: watch::Receiver<Option<Identity>>,
    watch: &Watch,
) -> Result<Listener, StartError> {
    let identity = shown
        .borrow_and_update()
        .clone()
        .ok_or(StartError::NoCertificate)?;
    let listener = listeners::everywhere(port, workers, || chains(identity.clone()))?;
    let (handle, forced) = (listener.handle(), watch.forced());
    let following = async move {
        while shown.changed().await.is_ok() {
            let Some(identity) = shown.borrow_and_update().clone() else {
                continue;
            };
            match chains(identity) {
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

fn chains(identity: Identity) -> Result<FilterChains, StartError> {
    let tls = ServerTls::new(ServerTlsSettings {
        lowest: TlsVersion::Tls13,
        ..ServerTlsSettings::new(vec![identity])
    })?;
    // Requests name their revision, the certificate names the activator.
    let chain = FilterChain {
        hosts: Hosts::Any,
        ..FilterChain::tls(tls, wire::http_settings())
    };
    Ok(FilterChains::one(chain)?)
}
