//! Where can a revision's requests go from here, and which part of that is this activator's?
//!
//! Takes what is found out about a revision's pods, and about who else sends to them, and turns it into the pods that
//! its [`Revision`] hands out. A pod that stays keeps its count of requests in flight.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
    fmt, mem,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tidegate_proxy::cluster::{Cluster, Endpoint, address::Address};

use crate::{
    capacity::capacity,
    slice::assign,
    throttle::{Place, Pod, Revision, Timeline},
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
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// All pods, those of other activators too, and where each is asked; in the order of their addresses as text.
    pods: BTreeMap<String, (SocketAddr, Arc<Pod>)>,
    ports: Ports,
    /// How pods are connected to, where that is not for each request to know.
    cluster: Option<Arc<Cluster>>,
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
        Self::of(revision, ports, None)
    }

    /// The same; pods are connected to as `cluster` says, and where it has an endpoint of their address they are that one.
    #[must_use]
    pub fn with_cluster(revision: Arc<Revision>, ports: Ports, cluster: Arc<Cluster>) -> Self {
        Self::of(revision, ports, Some(cluster))
    }

    fn of(revision: Arc<Revision>, ports: Ports, cluster: Option<Arc<Cluster>>) -> Self {
        let state = State {
            pods: BTreeMap::new(),
            ports,
            cluster,
            service: None,
            limit: revision.container_concurrency(),
            index: None,
            activators: 1,
        };
        Self {
            revision,
            state: Mutex::new(state),
        }
    }

    /// Replaces what can be reached.
    pub fn update(&self, to: &Destinations) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        match to {
            Destinations::None => (state.pods, state.service) = (BTreeMap::new(), None),
            Destinations::Pods(addresses) => {
                let known = mem::take(&mut state.pods);
                let places = OnceCell::new();
                let pod = |address: &SocketAddr| {
                    let name = address.to_string();
                    let pod = known.get(&name).map(|(_, pod)| Arc::clone(pod));
                    let pod = pod.unwrap_or_else(|| {
                        let places = places.get_or_init(|| Places::of(state.cluster.as_ref()));
                        let place = places.of_address(state.ports.of_pod(*address));
                        Pod::at(place, state.limit, found_now())
                    });
                    (name, (*address, pod))
                };
                state.pods = addresses.iter().map(pod).collect();
                state.service = None;
            }
            Destinations::ClusterIp { address, ready } => {
                let known = state.service.take().filter(|service| service.address == *address);
                let pod = known.map(|service| service.pod).unwrap_or_else(|| {
                    let places = Places::of(state.cluster.as_ref());
                    let place = places.of_address(state.ports.of_service(*address));
                    Pod::at(place, 0, found_now())
                });
                state.service = Some(Service {
                    address: *address,
                    ready: *ready,
                    pod,
                });
                state.pods = BTreeMap::new();
            }
        }
        self.apply(state);
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

    /// Says that pods take requests at these ports, and how they are connected to now. They are the same pods as before, with what
    /// they have under way; one that the cluster does not list stays the endpoint that it was, unless its port is another.
    pub(crate) fn reach(&self, ports: Ports, cluster: &Arc<Cluster>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_elsewhere = mem::replace(&mut state.ports, ports) != ports;
        state.cluster = Some(Arc::clone(cluster));
        let places = Places::of(state.cluster.as_ref());
        for (asked, pod) in state.pods.values() {
            let (address, before) = (ports.of_pod(*asked), pod.place());
            let place = match places.endpoints.contains_key(&address) || is_elsewhere {
                true => places.of_address(address),
                false => places.with(Arc::clone(&before.endpoint)),
            };
            if !place.is(&before) {
                pod.move_to(place);
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
}

/// Where pods are, as one cluster says.
struct Places {
    cluster: Option<Arc<Cluster>>,
    endpoints: HashMap<SocketAddr, Arc<Endpoint>>,
}

impl Places {
    fn of(cluster: Option<&Arc<Cluster>>) -> Self {
        let endpoints = cluster.map(|cluster| cluster.endpoints()).unwrap_or_default();
        let by_address = endpoints.iter().filter_map(|endpoint| match endpoint.address() {
            Address::Tcp(address) => Some((*address, Arc::clone(endpoint))),
            Address::Unix(_) => None,
        });
        Self {
            cluster: cluster.map(Arc::clone),
            endpoints: by_address.collect(),
        }
    }

    /// The cluster's own endpoint, so that what happens there is in its numbers, if it has one of this address.
    fn of_address(&self, address: SocketAddr) -> Place {
        let endpoint = self.endpoints.get(&address).map(Arc::clone);
        self.with(endpoint.unwrap_or_else(|| Endpoint::new(address).into()))
    }

    fn with(&self, endpoint: Arc<Endpoint>) -> Place {
        Place {
            endpoint,
            cluster: self.cluster.clone(),
        }
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
