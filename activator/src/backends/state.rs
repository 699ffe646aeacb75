//! Whom to ask, and what follows from the answers? Pure: the watcher of one revision without its I/O.
//!
//! An event ([`State::endpoints`], [`State::tick`]) begins a check, and each [`Step`] says what the check needs next,
//! until it has something to publish or rests (Knative `pkg/activator/net/revision_backends.go`).
//!
//! ```
//! use tidegate_activator::{Destinations, backends::{Asked, Rules, Sets, State, Step}};
//!
//! let pod = "10.0.0.1:8012".parse()?;
//! let mut state = State::new(Rules::default());
//! let sets = Sets { not_ready: [pod].into(), ..Sets::default() };
//! // Kubernetes does not know yet, but the pod says that it is ready.
//! assert_eq!(state.endpoints(sets), Step::AskPods(vec![pod]));
//! assert_eq!(state.pods_answered(&[(pod, Asked::Ready)]), Step::Publish(Destinations::Pods(vec![pod])));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::{collections::BTreeSet, net::SocketAddr};

use crate::{backends::Sets, tracker::Destinations};

/// Whether pods can be addressed one by one (`mesh-compatibility-mode` of `config-network`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mesh {
    /// Found out by asking them.
    #[default]
    Auto,
    /// No: only by their service's address.
    Enabled,
    /// Yes.
    Disabled,
}

/// What a watcher goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether pods can be addressed one by one.
    pub mesh: Mesh,
    /// Whether a mesh lets single pods be addressed by a header (`enable-mesh-pod-addressability`).
    pub passthrough: bool,
    /// Whether a pod that says that it is ready is believed before Kubernetes says so.
    pub believe_pods: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mesh: Mesh::Auto,
            passthrough: false,
            believe_pods: true,
        }
    }
}

/// What came of asking one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It is the sidecar of a pod that is ready.
    Ready,
    /// Somebody answered something else, with a status that no mesh makes.
    NotReady,
    /// A mesh may be between: it answered 502 or 503.
    PerhapsMesh,
    /// Nobody answered.
    Failed,
}

/// What a check needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it has ended.
    Rest,
    /// It has ended, and this is what can be reached now.
    Publish(Destinations),
    /// The answers of these pods: [`State::pods_answered`].
    AskPods(Vec<SocketAddr>),
    /// The address of the pods' service: [`State::service_found`].
    FindService,
    /// The answer at that address: [`State::service_answered`].
    AskService(SocketAddr),
}

/// What is known about the pods of one revision.
#[derive(Debug)]
pub struct State {
    rules: Rules,
    now: Sets,
    /// Those that take requests.
    healthy: BTreeSet<SocketAddr>,
    /// Those of this check that turned unready, and must be asked anew.
    doubted: bool,
    /// Until a service answered where its pods did not.
    pods_addressable: bool,
    service_healthy: bool,
    service: Option<SocketAddr>,
    has_published: bool,
}

impl State {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            now: Sets::default(),
            healthy: BTreeSet::new(),
            doubted: false,
            pods_addressable: true,
            service_healthy: false,
            service: None,
            has_published: false,
        }
    }

    /// Kubernetes said something new.
    pub fn endpoints(&mut self, now: Sets) -> Step {
        let turned: Vec<_> = self.now.ready.intersection(&now.not_ready).copied().collect();
        self.now = now;
        self.check(&turned)
    }

    /// It is time to ask again, if there is a reason to.
    pub fn tick(&mut self) -> Step {
        if self.is_settled() {
            Step::Rest
        } else {
            self.check(&[])
        }
    }

    /// Whether there is nothing to find out until Kubernetes says something new.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.now.is_empty() || self.service_healthy || self.now.all() == self.healthy
    }

    fn check(&mut self, turned_unready: &[SocketAddr]) -> Step {
        if self.now.is_empty() {
            self.service_healthy = false;
            self.healthy.clear();
            return match self.has_published {
                true => self.publish(Destinations::None),
                false => Step::Rest,
            };
        }
        if !self.pods_addressable || self.rules.mesh == Mesh::Enabled {
            return self.fall_back();
        }
        self.doubted = !turned_unready.is_empty();
        for pod in turned_unready {
            self.healthy.remove(pod);
        }
        let trusted = self.trusted();
        let unknown: Vec<_> = self.now.all().difference(&trusted).copied().collect();
        if unknown.is_empty() {
            self.pods_answered(&[])
        } else {
            Step::AskPods(unknown)
        }
    }

    /// What these pods answered.
    pub fn pods_answered(&mut self, answers: &[(SocketAddr, Asked)]) -> Step {
        let believed = |(pod, asked): &(SocketAddr, Asked)| {
            let ready = self.rules.believe_pods || self.now.ready.contains(pod);
            (*asked == Asked::Ready && ready).then_some(*pod)
        };
        let mut healthy = self.trusted();
        healthy.extend(answers.iter().filter_map(believed));
        let all = self.now.all();
        healthy.retain(|pod| all.contains(pod));
        if healthy != self.healthy || self.doubted {
            self.healthy = healthy;
            return self.publish(Destinations::Pods(self.healthy.iter().copied().collect()));
        }
        let no_mesh = |asked| matches!(asked, Asked::Ready | Asked::NotReady);
        if !healthy.is_empty() || answers.iter().any(|(_, asked)| no_mesh(*asked)) {
            return Step::Rest;
        }
        self.fall_back()
    }

    /// Pods that need not be asked: those that answered before, and where nothing is to be found out about a mesh, those
    /// that Kubernetes says are ready.
    fn trusted(&self) -> BTreeSet<SocketAddr> {
        match self.rules.mesh {
            Mesh::Auto => self.healthy.clone(),
            Mesh::Enabled | Mesh::Disabled => self.healthy.union(&self.now.ready).copied().collect(),
        }
    }

    fn fall_back(&self) -> Step {
        if self.rules.passthrough || self.rules.mesh == Mesh::Disabled {
            return Step::Rest;
        }
        Step::FindService
    }

    /// Where the pods' service is; it may have been deleted, or have a new address.
    pub fn service_found(&mut self, address: Option<SocketAddr>) -> Step {
        let Some(address) = address else {
            return Step::Rest;
        };
        self.service = Some(address);
        if self.service_healthy {
            self.publish_service(address)
        } else {
            Step::AskService(address)
        }
    }

    /// What answered at that address.
    pub fn service_answered(&mut self, asked: Asked) -> Step {
        let Some(address) = self.service.filter(|_| asked == Asked::Ready) else {
            return Step::Rest;
        };
        self.pods_addressable = false;
        self.service_healthy = true;
        self.healthy.clear();
        self.publish_service(address)
    }

    fn publish_service(&mut self, address: SocketAddr) -> Step {
        let ready = self.now.ready.len();
        self.publish(Destinations::ClusterIp { address, ready })
    }

    fn publish(&mut self, to: Destinations) -> Step {
        self.has_published = to != Destinations::None;
        Step::Publish(to)
    }
}

#[cfg(test)]
mod tests;
