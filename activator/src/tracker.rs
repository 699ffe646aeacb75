//! Where can a revision's requests go from here, and which part of that is this activator's?
//!
//! Takes what is found out about a revision's pods, and about who else sends to them, and turns it into the pods that
//! its [`Revision`] hands out. A pod that stays keeps its count of requests in flight.

use std::{
    collections::BTreeMap,
    fmt,
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
pub struct Tracker {
    revision: Arc<Revision>,
    ports: Ports,
    endpoints: Box<MakeEndpoint>,
    state: Mutex<State>,
}

/// What stands for an address.
type MakeEndpoint = dyn Fn(SocketAddr) -> Arc<Endpoint> + Send + Sync;

#[derive(Debug)]
struct State {
    /// All pods, those of other activators too; in the order of their addresses as text.
    pods: BTreeMap<String, Arc<Pod>>,
    service: Option<Service>,
    /// How many requests a pod takes at a time; 0 for any number.
    limit: u32,
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
        Self::with_endpoints(revision, ports, |address| Endpoint::new(address).into())
    }

    /// The same; `endpoints` says what stands for the address of a pod that is new.
    #[must_use]
    pub fn with_endpoints(
        revision: Arc<Revision>,
        ports: Ports,
        endpoints: impl Fn(SocketAddr) -> Arc<Endpoint> + Send + Sync + 'static,
    ) -> Self {
        let state = State {
            pods: BTreeMap::new(),
            service: None,
            limit: revision.container_concurrency(),
            index: None,
            activators: 1,
        };
        Self {
            revision,
            ports,
            endpoints: Box::new(endpoints),
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
                    (name, pod.unwrap_or_else(|| self.pod(*address, state.limit)))
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

    /// Says that a pod takes another number of requests at a time; 0 for any number. What is in flight above it goes on.
    pub fn limit(&self, container_concurrency: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.limit != container_concurrency {
            state.limit = container_concurrency;
            self.revision.set_container_concurrency(container_concurrency);
            let pods = state.pods.values();
            pods.for_each(|pod| pod.set_limit(container_concurrency));
            self.apply(&state);
        }
    }

    /// The revision whose pods it keeps.
    #[must_use]
    pub fn revision(&self) -> &Arc<Revision> {
        &self.revision
    }

    fn apply(&self, state: &State) {
        let limit = state.limit;
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

    fn pod(&self, mut address: SocketAddr, limit: u32) -> Arc<Pod> {
        if self.ports == Ports::Tls {
            address.set_port(POD_TLS_PORT);
        }
        Pod::new((self.endpoints)(address), limit, found_now())
    }

    fn service(&self, mut address: SocketAddr) -> Arc<Pod> {
        if self.ports == Ports::Tls {
            address.set_port(SERVICE_TLS_PORT);
        }
        Pod::new((self.endpoints)(address), 0, found_now())
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker")
            .field("revision", &self.revision)
            .field("ports", &self.ports)
            .field("state", &self.state)
            .finish_non_exhaustive()
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
