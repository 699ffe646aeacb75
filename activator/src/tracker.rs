//! Where can a revision's requests go from here, and which part of that is this activator's?
//!
//! Takes what is found out about a revision's pods, and about who else sends to them, and turns it into the pods that
//! its [`Revision`] hands out. A pod that stays keeps its count of requests in flight.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tidegate_proxy::cluster::Endpoint;

use crate::{
    capacity::capacity,
    slice::assign,
    throttle::{Pod, Revision, Timeline},
};

/// What can be reached of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Destinations {
    /// Nothing.
    #[default]
    None,
    /// Its pods, one by one.
    Pods(Vec<SocketAddr>),
    /// One address for all of them, as in a mesh.
    ClusterIp {
        /// That address.
        address: SocketAddr,
        /// How many pods are ready behind it.
        ready: usize,
    },
}

/// Which port takes requests, where it is not the one that is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ports {
    /// The same.
    #[default]
    Same,
    /// The one for TLS: of a pod, or of a service.
    Tls,
}

/// A pod's port for requests over TLS.
const POD_TLS_PORT: u16 = 8112;
/// A service's port for requests over TLS.
const SERVICE_TLS_PORT: u16 = 443;

/// Keeps the pods of one [`Revision`].
#[derive(Debug)]
pub struct Tracker {
    revision: Arc<Revision>,
    ports: Ports,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// All pods, those of other activators too; in the order of their addresses as text.
    pods: BTreeMap<String, Arc<Pod>>,
    service: Option<Service>,
    /// This activator's place among those who share the revision, once it is known.
    index: Option<usize>,
    activators: usize,
}

#[derive(Debug)]
struct Service {
    address: SocketAddr,
    ready: usize,
    pod: Arc<Pod>,
}

impl Tracker {
    /// Keeps the pods of `revision`. Until it is told otherwise, all of them are for this activator.
    #[must_use]
    pub fn new(revision: Arc<Revision>, ports: Ports) -> Self {
        let state = State {
            pods: BTreeMap::new(),
            service: None,
            index: None,
            activators: 1,
        };
        Self {
            revision,
            ports,
            state: Mutex::new(state),
        }
    }

    /// Replaces what can be reached.
    pub fn update(&self, to: &Destinations) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match to {
            Destinations::None => (state.pods, state.service) = (BTreeMap::new(), None),
            Destinations::Pods(addresses) => {
                let known = std::mem::take(&mut state.pods);
                let pod = |address: &SocketAddr| {
                    let name = address.to_string();
                    let pod = known.get(&name).map(Arc::clone);
                    (name, pod.unwrap_or_else(|| self.pod(*address)))
                };
                state.pods = addresses.iter().map(pod).collect();
                state.service = None;
            }
            Destinations::ClusterIp { address, ready } => {
                let known = state.service.take().filter(|service| service.address == *address);
                let pod = known.map_or_else(|| self.service(*address), |service| service.pod);
                state.service = Some(Service {
                    address: *address,
                    ready: *ready,
                    pod,
                });
                state.pods = BTreeMap::new();
            }
        }
        self.apply(&state);
    }

    /// Says how many activators share the revision, and which of them this one is, if it is one of them.
    pub fn share(&self, index: Option<usize>, activators: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if (state.index, state.activators) != (index, activators) {
            (state.index, state.activators) = (index, activators);
            self.apply(&state);
        }
    }

    /// The revision whose pods it keeps.
    #[must_use]
    pub fn revision(&self) -> &Arc<Revision> {
        &self.revision
    }

    fn apply(&self, state: &State) {
        let limit = self.revision.settings().container_concurrency;
        if let Some(service) = &state.service {
            let capacity = capacity(limit, service.ready, 0, state.activators);
            service.pod.set_limit(capacity);
            let pods = (capacity > 0).then(|| Arc::clone(&service.pod));
            return self.revision.set_pods(pods.into_iter().collect());
        }
        let sorted: Vec<_> = state.pods.values().map(Arc::clone).collect();
        let own = match limit {
            0 => sorted,
            _ => assign(&sorted, state.index, state.activators),
        };
        self.revision.set_pods(own);
    }

    fn pod(&self, mut address: SocketAddr) -> Arc<Pod> {
        if self.ports == Ports::Tls {
            address.set_port(POD_TLS_PORT);
        }
        let limit = self.revision.settings().container_concurrency;
        Pod::new(Endpoint::new(address).into(), limit, found_now())
    }

    fn service(&self, mut address: SocketAddr) -> Arc<Pod> {
        if self.ports == Ports::Tls {
            address.set_port(SERVICE_TLS_PORT);
        }
        Pod::new(Endpoint::new(address).into(), 0, found_now())
    }
}

/// When somebody else's pod was launched is not known; a request that waited has waited for it to be found.
fn found_now() -> Timeline {
    let now = Instant::now();
    Timeline {
        launched: now,
        listening: now,
        ready: now,
    }
}

#[cfg(test)]
mod tests;
