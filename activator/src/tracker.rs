//! Where can a revision's requests go from here, and which part of that is this activator's?
//!
//! Takes what is found out about a revision's pods, and about who else sends to them, and turns it into the pods that
//! its [`Revision`] hands out. A pod that stays keeps its count of requests in flight.

use std::{
    collections::BTreeMap,
    fmt, mem,
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
    endpoints: Box<FindEndpoint>,
    state: Mutex<State>,
}

/// What stands for an address, where there is something that does.
type FindEndpoint = dyn Fn(SocketAddr) -> Option<Arc<Endpoint>> + Send + Sync;

#[derive(Debug)]
struct State {
    /// All pods, those of other activators too, and where each is asked; in the order of their addresses as text.
    pods: BTreeMap<String, (SocketAddr, Arc<Pod>)>,
    ports: Ports,
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
        Self::with_endpoints(revision, ports, |_| None)
    }

    /// The same; `endpoints` says what stands for the address of a pod that is new, if something does.
    #[must_use]
    pub fn with_endpoints(
        revision: Arc<Revision>,
        ports: Ports,
        endpoints: impl Fn(SocketAddr) -> Option<Arc<Endpoint>> + Send + Sync + 'static,
    ) -> Self {
        let state = State {
            pods: BTreeMap::new(),
            ports,
            service: None,
            limit: revision.container_concurrency(),
            index: None,
            activators: 1,
        };
        Self {
            revision,
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
                let known = mem::take(&mut state.pods);
                let pod = |address: &SocketAddr| {
                    let name = address.to_string();
                    let pod = known.get(&name).map(|(_, pod)| Arc::clone(pod));
                    let pod = pod.unwrap_or_else(|| {
                        let endpoint = self.endpoint(state.ports.of_pod(*address));
                        Pod::new(endpoint, state.limit, found_now())
                    });
                    (name, (*address, pod))
                };
                state.pods = addresses.iter().map(pod).collect();
                state.service = None;
            }
            Destinations::ClusterIp { address, ready } => {
                let known = state.service.take().filter(|service| service.address == *address);
                let pod = known.map_or_else(
                    || self.service(state.ports.of_service(*address)),
                    |service| service.pod,
                );
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
            pods.for_each(|(_, pod)| pod.set_limit(container_concurrency));
            self.apply(&state);
        }
    }

    /// Says that pods take requests at these ports, and what stands for each address now, if something does. They are the same pods
    /// as before, with what they have under way.
    pub(crate) fn reach(&self, ports: Ports, endpoints: impl Fn(SocketAddr) -> Option<Arc<Endpoint>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_elsewhere = mem::replace(&mut state.ports, ports) != ports;
        for (asked, pod) in state.pods.values() {
            let address = ports.of_pod(*asked);
            match endpoints(address) {
                Some(endpoint) => pod.move_to(endpoint),
                None if is_elsewhere => pod.move_to(Endpoint::new(address).into()),
                None => {}
            }
        }
        if is_elsewhere {
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
        let sorted: Vec<_> = state.pods.values().map(|(_, pod)| Arc::clone(pod)).collect();
        let own = match limit {
            0 => sorted,
            _ => assign(&sorted, state.index, state.activators),
        };
        self.revision.set_pods(own);
    }

    fn endpoint(&self, address: SocketAddr) -> Arc<Endpoint> {
        (self.endpoints)(address).unwrap_or_else(|| Endpoint::new(address).into())
    }

    fn service(&self, address: SocketAddr) -> Arc<Pod> {
        Pod::new(self.endpoint(address), 0, found_now())
    }
}

impl Ports {
    /// Where the pod takes requests that is asked at this address.
    fn of_pod(self, address: SocketAddr) -> SocketAddr {
        self.or(address, POD_TLS_PORT)
    }

    /// Where the service takes them that is asked at this address.
    fn of_service(self, address: SocketAddr) -> SocketAddr {
        self.or(address, SERVICE_TLS_PORT)
    }

    fn or(self, address: SocketAddr, tls: u16) -> SocketAddr {
        match self {
            Self::Same => address,
            Self::Tls => SocketAddr::new(address.ip(), tls),
        }
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker")
            .field("revision", &self.revision)
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
