//! Whom to ask, and what follows from the answers? Pure: the watcher of one revision without its I/O.
//!
//! An event ([`State::endpoints`], [`State::tick`]) begins a check, and each [`Step`] says what the check needs next, until it
//! rests (Knative `pkg/activator/net/revision_backends.go`). Whatever comes out is [news](State::take_news) at once: a pod whose
//! own answer is known does not wait for that of another, and nothing that is said of pods waits for answers.
//!
//! ```
//! use tidegate_activator::{Destinations, backends::{Asked, Rules, Sets, State, Step}};
//!
//! let pod = "10.0.0.1:8012".parse()?;
//! let mut state = State::new(Rules::default());
//! let sets = Sets { not_ready: [pod].into(), ..Sets::default() };
//! // Kubernetes does not know yet, but the pod says that it is ready.
//! assert_eq!(state.endpoints(sets), Step::AskPods(vec![pod]));
//! assert_eq!(state.pods_answered(&[(pod, Asked::Ready)]), Step::Rest);
//! assert_eq!(state.take_news(), Some(Destinations::Pods(vec![pod])));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::{collections::BTreeSet, mem, net::SocketAddr};

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
    /// Nothing, but the answers that are still to come.
    Rest,
    /// The answers of these pods: [`State::pods_answered`].
    AskPods(Vec<SocketAddr>),
    /// The address of the pods' service: [`State::service_found`]. Until that is said, and what answers there, neither is asked for
    /// again.
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
    /// Those of them that turned unready, and have not answered since.
    doubted: BTreeSet<SocketAddr>,
    round: Round,
    /// Until a service answered where its pods did not.
    pods_addressable: bool,
    service_healthy: bool,
    service: Option<SocketAddr>,
    inquiry: Inquiry,
    has_published: bool,
    news: Option<Destinations>,
}

/// The questions of one check, and of what comes up before all of them are answered.
#[derive(Debug, Default)]
struct Round {
    /// Those that have not answered yet.
    asking: BTreeSet<SocketAddr>,
    /// All that were asked since the last tick.
    asked: BTreeSet<SocketAddr>,
    /// Those that have answered since it was last judged whether there is a mesh.
    answered: BTreeSet<SocketAddr>,
    /// Those whose answer is worth nothing, as they turned unready after they were asked.
    overtaken: BTreeSet<SocketAddr>,
    /// Whether there was anything to publish.
    has_changed: bool,
    /// Whether somebody answered as no mesh does.
    is_no_mesh: bool,
}

/// How far it has come with asking for the service.
#[derive(Debug, Default, PartialEq, Eq)]
enum Inquiry {
    /// It is not asked for.
    #[default]
    Closed,
    /// It is asked for.
    Open,
    /// It is, but the answer is worth nothing: since then there was no pod, or one answered as no mesh does.
    Overtaken,
}

impl State {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            now: Sets::default(),
            healthy: BTreeSet::new(),
            doubted: BTreeSet::new(),
            round: Round::default(),
            pods_addressable: true,
            service_healthy: false,
            service: None,
            inquiry: Inquiry::default(),
            has_published: false,
            news: None,
        }
    }

    /// Kubernetes said something new.
    pub fn endpoints(&mut self, now: Sets) -> Step {
        let turned: Vec<_> = self.now.ready.intersection(&now.not_ready).copied().collect();
        // Who was asked too early is not to wait for the next time.
        for pod in now.ready.difference(&self.now.ready) {
            self.round.asked.remove(pod);
        }
        self.now = now;
        self.check(&turned)
    }

    /// It is time to ask again, if there is a reason to: whoever has answered, while others have not.
    pub fn tick(&mut self) -> Step {
        if self.is_settled() {
            return Step::Rest;
        }
        self.round.asked.clear();
        self.check(&[])
    }

    /// Whether there is nothing to find out until Kubernetes says something new.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.now.is_empty() || self.service_healthy || self.now.all() == self.healthy
    }

    /// What can be reached now, if that has changed since this was last asked.
    pub fn take_news(&mut self) -> Option<Destinations> {
        self.news.take()
    }

    fn check(&mut self, turned_unready: &[SocketAddr]) -> Step {
        if self.now.is_empty() {
            self.overtake_inquiry();
            self.service_healthy = false;
            self.healthy.clear();
            self.doubted.clear();
            if self.has_published {
                self.publish(Destinations::None);
            }
            return Step::Rest;
        }
        if !self.pods_addressable || self.rules.mesh == Mesh::Enabled {
            return self.fall_back();
        }
        for pod in turned_unready {
            self.doubted.insert(*pod);
            self.round.asked.remove(pod);
            if self.round.asking.contains(pod) {
                self.round.overtaken.insert(*pod);
            }
        }
        let all = self.now.all();
        let trusted = self.trusted();
        self.doubted
            .retain(|pod| all.contains(pod) && !trusted.contains(pod));
        // Who is doubted goes on until it has answered.
        self.round.asked.retain(|pod| all.contains(pod));
        let kept = self.healthy.intersection(&self.doubted);
        let healthy: BTreeSet<_> = trusted.iter().chain(kept).copied().collect();
        let healthy = &healthy & &all;
        if healthy != self.healthy {
            self.healthy = healthy;
            self.publish_pods();
        }
        let unknown = all.difference(&trusted).copied();
        let round = &mut self.round;
        let new: Vec<_> = unknown
            .filter(|pod| !round.asking.contains(pod) && round.asked.insert(*pod))
            .collect();
        round.asking.extend(&new);
        match new.is_empty() {
            true => self.rest(),
            false => Step::AskPods(new),
        }
    }

    /// What these pods answered, of those that were asked.
    pub fn pods_answered(&mut self, answers: &[(SocketAddr, Asked)]) -> Step {
        // The service stands for them by now, for good.
        if !self.pods_addressable {
            return Step::Rest;
        }
        let mut has_changed = false;
        let mut again = Vec::new();
        for (pod, asked) in answers {
            if self.round.overtaken.remove(pod) && self.now.not_ready.contains(pod) {
                again.push(*pod);
                continue;
            }
            self.round.asking.remove(pod);
            self.round.answered.insert(*pod);
            if matches!(asked, Asked::Ready | Asked::NotReady) {
                self.round.is_no_mesh = true;
                self.overtake_inquiry();
            }
            let is_said_ready = self.now.ready.contains(pod);
            if !is_said_ready && !self.now.not_ready.contains(pod) {
                continue;
            }
            has_changed |= self.doubted.remove(pod);
            let is_believed = *asked == Asked::Ready && (self.rules.believe_pods || is_said_ready);
            // It may have been said while it was asked.
            let is_trusted = is_said_ready && self.rules.mesh != Mesh::Auto;
            has_changed |= match is_believed || is_trusted {
                true => self.healthy.insert(*pod),
                false => self.healthy.remove(pod),
            };
        }
        if has_changed {
            self.publish_pods();
        }
        match again.is_empty() {
            true => self.rest(),
            false => Step::AskPods(again),
        }
    }

    /// Pods that need not be asked: those that answered before, and where nothing is to be found out about a mesh, those
    /// that Kubernetes says are ready.
    fn trusted(&self) -> BTreeSet<SocketAddr> {
        let sure = &self.healthy - &self.doubted;
        match self.rules.mesh {
            Mesh::Auto => sure,
            Mesh::Enabled | Mesh::Disabled => &sure | &self.now.ready,
        }
    }

    /// Once each has answered: none of them may be one that can be asked.
    fn rest(&mut self) -> Step {
        let round = &mut self.round;
        if !round.asking.is_subset(&round.answered) {
            return Step::Rest;
        }
        round.answered.clear();
        if round.asking.is_empty() {
            round.asked.clear();
        }
        let has_changed = mem::take(&mut round.has_changed);
        let is_no_mesh = mem::take(&mut round.is_no_mesh);
        if has_changed || is_no_mesh || !self.healthy.is_empty() || self.now.is_empty() {
            return Step::Rest;
        }
        self.fall_back()
    }

    fn fall_back(&mut self) -> Step {
        let is_asked_for = self.inquiry != Inquiry::Closed;
        if self.rules.passthrough || self.rules.mesh == Mesh::Disabled || is_asked_for {
            return Step::Rest;
        }
        self.inquiry = Inquiry::Open;
        Step::FindService
    }

    fn overtake_inquiry(&mut self) {
        if self.inquiry == Inquiry::Open {
            self.inquiry = Inquiry::Overtaken;
        }
    }

    /// Ends asking for the service; whether what came of it counts.
    fn close_inquiry(&mut self) -> bool {
        mem::take(&mut self.inquiry) == Inquiry::Open
    }

    /// Where the pods' service is; it may have been deleted, or have a new address.
    pub fn service_found(&mut self, address: Option<SocketAddr>) -> Step {
        let counts = self.close_inquiry();
        let Some(address) = address.filter(|_| counts) else {
            return Step::Rest;
        };
        self.service = Some(address);
        if !self.service_healthy {
            self.inquiry = Inquiry::Open;
            return Step::AskService(address);
        }
        self.publish_service(address)
    }

    /// What answered at that address.
    pub fn service_answered(&mut self, asked: Asked) -> Step {
        let counts = self.close_inquiry();
        let Some(address) = self.service.filter(|_| counts && asked == Asked::Ready) else {
            return Step::Rest;
        };
        self.pods_addressable = false;
        self.service_healthy = true;
        self.healthy.clear();
        self.publish_service(address)
    }

    fn publish_service(&mut self, address: SocketAddr) -> Step {
        let ready = self.now.ready.len();
        self.publish(Destinations::ClusterIp { address, ready });
        Step::Rest
    }

    fn publish_pods(&mut self) {
        self.round.has_changed = true;
        self.publish(Destinations::Pods(self.healthy.iter().copied().collect()));
    }

    fn publish(&mut self, to: Destinations) {
        self.has_published = to != Destinations::None;
        self.news = Some(to);
    }
}

#[cfg(test)]
mod tests;
