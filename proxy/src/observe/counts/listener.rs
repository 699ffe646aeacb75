//! What has happened at one listening address.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use tidegate_proxy::Proxy;
//! use tidegate_proxy::config::Handle;
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::listener::{Connections, Listener};
//! use tidegate_proxy::normalize::edge::EdgePolicy;
//!
//! let (config, (_drain, watch)) = (Handle::default(), Drain::new());
//! let (address, edge) = ("127.0.0.1:0".parse()?, EdgePolicy::default());
//! let listener = Listener::bind(address, NonZeroUsize::MIN, edge, Connections::default())?;
//! let proxy = Proxy::new(config.clone(), watch);
//! let _serving: Vec<_> = listener.into_acceptors().map(|acceptor| acceptor.serve(proxy.clone())).collect();
//!
//! // Its numbers are there from the start, and so are those of its chains.
//! let listeners = config.counts().listeners();
//! assert_eq!((listeners[0].totals().accepted, listeners[0].http().len()), (0, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use rustls::ProtocolVersion;

use super::http::HttpCounts;
use super::relay::RelayCounts;
use super::striped::Striped;
use super::times::{Bin, Times};
use super::{numbers, one};
use crate::listener::{ChainLimit, ListenAddress};
use crate::observe::metrics;
use crate::tls::identity::Identity;

numbers! {
    /// What a listener has counted.
    Cells, ListenerTotals {
        /// Connections that were accepted.
        accepted,
        /// Of those, the ones that have ended.
        ended,
        /// Connections that were refused: as many were open as may be.
        refused,
        /// Connections that were refused: as many were open as may be for all listeners that share a ceiling.
        refused_by_ceiling,
        /// Connections that no filter chain matches.
        no_chain,
        /// Connections on which HTTP could not begin in time.
        timed_out,
        /// Connections whose PROXY header was none.
        proxy_header_errors,
        /// TLS handshakes that ended with version 1.2.
        tls12,
        /// TLS handshakes that ended with version 1.3.
        tls13,
        /// TLS handshakes without a certificate of the client.
        tls_anonymous,
        /// TLS handshakes that failed.
        tls_failures,
    }
}

#[derive(Debug, Default)]
struct Stripe {
    cells: Cells,
    times: Times,
}

/// Books by the name of what they are about.
type Named<T> = Vec<(Arc<str>, Arc<T>)>;

/// What has happened at one address of a listener.
#[derive(Debug)]
pub struct ListenerCounts {
    name: Arc<str>,
    address: ListenAddress,
    stripes: Striped<Stripe>,
    http: Mutex<Named<HttpCounts>>,
    relays: Mutex<Named<RelayCounts>>,
    identities: ArcSwap<Vec<Identity>>,
    limits: ArcSwap<Vec<Arc<ChainLimit>>>,
}

/// One accepted connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    counts: Arc<ListenerCounts>,
    since: Instant,
}

impl ListenerCounts {
    pub(crate) fn new(name: Arc<str>, address: ListenAddress) -> Self {
        Self {
            name,
            address,
            stripes: Striped::default(),
            http: Mutex::default(),
            relays: Mutex::default(),
            identities: ArcSwap::default(),
            limits: ArcSwap::default(),
        }
    }

    /// The listener's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The numbers now.
    #[must_use]
    pub fn totals(&self) -> ListenerTotals {
        let mut totals = ListenerTotals::default();
        self.stripes
            .iter()
            .for_each(|stripe| stripe.cells.add_to(&mut totals));
        totals
    }

    /// How long connections lasted, in milliseconds.
    #[must_use]
    pub fn connection_times(&self) -> Vec<Bin> {
        Times::sum(self.stripes.iter().map(|stripe| &stripe.times))
    }

    /// What its chains have counted, by [`HttpSettings::metrics_name`](crate::config::http::HttpSettings::metrics_name).
    #[must_use]
    pub fn http(&self) -> Vec<(Arc<str>, Arc<HttpCounts>)> {
        lock(&self.http).clone()
    }

    /// What its chains that carry no HTTP have counted, by
    /// [`RelaySettings::metrics_name`](crate::relay::RelaySettings::metrics_name).
    #[must_use]
    pub fn relays(&self) -> Vec<(Arc<str>, Arc<RelayCounts>)> {
        lock(&self.relays).clone()
    }

    /// The books of the chains of this name.
    pub(crate) fn chain(&self, name: &Arc<str>) -> Arc<HttpCounts> {
        books(&self.http, name)
    }

    /// The books of the chains of this name that carry no HTTP.
    pub(crate) fn relay(&self, name: &Arc<str>) -> Arc<RelayCounts> {
        books(&self.relays, name)
    }

    /// The certificates that its chains show now; none where none speaks TLS.
    #[must_use]
    pub fn identities(&self) -> Arc<Vec<Identity>> {
        self.identities.load_full()
    }

    /// The bounds that its chains have now.
    #[must_use]
    pub fn limits(&self) -> Arc<Vec<Arc<ChainLimit>>> {
        self.limits.load_full()
    }

    pub(crate) fn limited_by(&self, limits: Vec<Arc<ChainLimit>>) {
        self.limits.store(Arc::new(limits));
    }

    pub(crate) fn shows(&self, identities: Vec<Identity>) {
        self.identities.store(Arc::new(identities));
    }

    pub(crate) fn cells(&self) -> &Cells {
        &self.stripes.mine().cells
    }

    /// A TLS handshake has ended well; `known` says that the client showed a certificate.
    pub(crate) fn handshake(&self, version: Option<ProtocolVersion>, known: bool) {
        let cells = self.cells();
        one(match version {
            Some(ProtocolVersion::TLSv1_3) => &cells.tls13,
            _ => &cells.tls12,
        });
        if !known {
            one(&cells.tls_anonymous);
        }
    }

    /// A connection was closed before HTTP began.
    pub(crate) fn refused(&self, reason: &'static str) {
        let cells = self.cells();
        one(match reason {
            metrics::REFUSED_TOO_MANY | metrics::REFUSED_SOURCE => &cells.refused,
            metrics::REFUSED_CEILING => &cells.refused_by_ceiling,
            metrics::REFUSED_NO_CHAIN => &cells.no_chain,
            metrics::REFUSED_TIMEOUT => &cells.timed_out,
            metrics::REFUSED_PROXY_HEADER => &cells.proxy_header_errors,
            metrics::REFUSED_TLS => &cells.tls_failures,
            _ => return,
        });
    }

    /// Counts one accepted connection until it is dropped.
    pub(crate) fn connection(self: &Arc<Self>) -> OpenConnection {
        one(&self.cells().accepted);
        OpenConnection {
            counts: Arc::clone(self),
            since: Instant::now(),
        }
    }
}

/// Those of this name; new ones where there are none.
fn books<T: Default>(named: &Mutex<Named<T>>, name: &Arc<str>) -> Arc<T> {
    let mut named = lock(named);
    if let Some((_, counts)) = named.iter().find(|(known, _)| known == name) {
        return Arc::clone(counts);
    }
    // Those of chains that are gone, with their last connection.
    named.retain(|(_, counts)| Arc::strong_count(counts) > 1);
    let counts = Arc::<T>::default();
    named.push((Arc::clone(name), Arc::clone(&counts)));
    counts
}

fn lock<T>(named: &Mutex<Named<T>>) -> MutexGuard<'_, Named<T>> {
    named.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let stripe = self.counts.stripes.mine();
        one(&stripe.cells.ended);
        stripe.times.add(self.since.elapsed());
    }
}
