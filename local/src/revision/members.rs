//! Which replicas a revision has, how far each has come, and which of them goes first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Extensions;
use tidegate_activator::Pod;
use tidegate_proxy::cluster::Endpoint;
use tidegate_queue_proxy::Sidecar;

use super::Identity;
use super::bring_up::Ready;
use crate::replica::Replica;

/// The replicas by number.
#[derive(Default)]
pub(super) struct Members {
    members: BTreeMap<u32, Member>,
}

/// One replica.
pub(super) struct Member {
    replica: Arc<Replica>,
    stage: Stage,
}

enum Stage {
    Starting,
    Ready {
        pod: Arc<Pod>,
        since: Instant,
    },
    /// Its end is wanted, or known already.
    Stopping,
}

/// A replica that gets no new requests.
pub(super) struct Retired {
    pub(super) replica: Arc<Replica>,
    pod: Option<Arc<Pod>>,
}

impl Retired {
    /// Whether it had become ready.
    pub(super) fn served(&self) -> bool {
        self.pod.is_some()
    }

    /// Waits until its requests are done, at most for `patience`.
    pub(super) async fn drained(&self, patience: Duration) {
        if let Some(pod) = &self.pod {
            let in_time = tokio::time::timeout(patience, pod.drained()).await.is_ok();
            if !in_time {
                tracing::warn!(replica = %self.replica.name(), "stopped with requests under way");
            }
        }
    }
}

impl Members {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&u32, &Member)> {
        self.members.iter()
    }

    /// How many serve.
    pub(super) fn ready_count(&self) -> u32 {
        self.count(|stage| matches!(stage, Stage::Ready { .. }))
    }

    /// How many serve or are about to.
    pub(super) fn serving_count(&self) -> u32 {
        self.count(|stage| !matches!(stage, Stage::Stopping))
    }

    /// The lowest number that is free.
    pub(super) fn free_index(&self) -> u32 {
        (1..)
            .find(|index| !self.members.contains_key(index))
            .unwrap_or(u32::MAX)
    }

    pub(super) fn add(&mut self, index: u32, replica: Arc<Replica>) {
        self.members.insert(
            index,
            Member {
                replica,
                stage: Stage::Starting,
            },
        );
    }

    /// A replica came up. False if its end was wanted meanwhile.
    pub(super) fn set_ready(&mut self, index: u32, ready: Ready, identity: &Identity) -> bool {
        let Some(member) = self.members.get_mut(&index) else {
            return false;
        };
        if !matches!(member.stage, Stage::Starting) {
            return false;
        }
        let limit = identity.container_concurrency;
        let mut metadata = Extensions::new();
        metadata.insert(Arc::new(Sidecar::new(limit, identity.timeouts)));
        let endpoint = Endpoint::new(ready.address).with_metadata(metadata);
        let pod = Pod::new(Arc::new(endpoint), limit, ready.timeline);
        member.replica.mark_ready();
        member.stage = Stage::Ready {
            pod,
            since: Instant::now(),
        };
        true
    }

    /// A replica did not come up. False if its end was wanted anyway.
    pub(super) fn set_failed(&mut self, index: u32) -> bool {
        let Some(member) = self.members.get_mut(&index) else {
            return false;
        };
        let was_wanted = matches!(member.stage, Stage::Starting);
        member.stage = Stage::Stopping;
        was_wanted
    }

    /// The replica to part with first: one that is still starting, else the one with the fewest requests, and
    /// of those the newest.
    pub(super) fn pick_to_stop(&self) -> Option<u32> {
        let candidates = self
            .members
            .iter()
            .filter_map(|(index, member)| match &member.stage {
                Stage::Starting => Some((0, usize::MIN, std::cmp::Reverse(*index), *index)),
                Stage::Ready { pod, .. } => Some((1, pod.in_flight(), std::cmp::Reverse(*index), *index)),
                Stage::Stopping => None,
            });
        candidates.min().map(|(_, _, _, index)| index)
    }

    /// Marks a replica as stopping.
    pub(super) fn retire(&mut self, index: u32) -> Option<Retired> {
        let member = self.members.get_mut(&index)?;
        let pod = match std::mem::replace(&mut member.stage, Stage::Stopping) {
            Stage::Ready { pod, .. } => Some(pod),
            Stage::Starting | Stage::Stopping => None,
        };
        Some(Retired {
            replica: Arc::clone(&member.replica),
            pod,
        })
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Member> {
        self.members.remove(&index)
    }

    /// The replicas that serve, for the requests that wait.
    pub(super) fn pods(&self) -> Vec<Arc<Pod>> {
        let ready = self.members.values().filter_map(|member| match &member.stage {
            Stage::Ready { pod, .. } => Some(Arc::clone(pod)),
            Stage::Starting | Stage::Stopping => None,
        });
        ready.collect()
    }

    fn count(&self, is_counted: impl Fn(&Stage) -> bool) -> u32 {
        let counted = self
            .members
            .values()
            .filter(|member| is_counted(&member.stage))
            .count();
        u32::try_from(counted).unwrap_or(u32::MAX)
    }
}

impl Member {
    pub(super) fn replica(&self) -> &Replica {
        &self.replica
    }

    pub(super) fn state(&self) -> &'static str {
        match self.stage {
            Stage::Starting => "starting",
            Stage::Ready { .. } => "ready",
            Stage::Stopping => "stopping",
        }
    }

    /// For how long it has served, where it did until its end came by itself.
    pub(super) fn served_for(&self) -> Option<Duration> {
        match self.stage {
            Stage::Ready { since, .. } => Some(since.elapsed()),
            Stage::Starting | Stage::Stopping => None,
        }
    }
}
