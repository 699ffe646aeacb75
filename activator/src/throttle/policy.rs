//! Which pod with capacity comes first? Knative's three policies, by containerConcurrency
//! (`pkg/activator/net/{throttler,lb_policy}.go`).

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
};

use crate::throttle::Pod;

/// Up to this containerConcurrency pods are filled one by one.
const FIRST_AVAILABLE_MAX: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// Of two drawn by lot, the one with fewer requests in flight.
    PowerOfTwoChoices,
    /// The first in the order of addresses: few pods are busy, and the others can go.
    FirstAvailable,
    /// One after the other.
    RoundRobin,
}

/// Picks pods for one revision; shared by all workers.
#[derive(Debug)]
pub(crate) struct Balancer {
    container_concurrency: AtomicU32,
    turn: AtomicUsize,
}

impl Balancer {
    pub(crate) fn new(container_concurrency: u32) -> Self {
        Self {
            container_concurrency: AtomicU32::new(container_concurrency),
            turn: AtomicUsize::new(0),
        }
    }

    pub(crate) fn container_concurrency(&self) -> u32 {
        self.container_concurrency.load(Relaxed)
    }

    pub(crate) fn set_container_concurrency(&self, container_concurrency: u32) {
        self.container_concurrency.store(container_concurrency, Relaxed);
    }

    fn policy(&self) -> Policy {
        match self.container_concurrency() {
            0 => Policy::PowerOfTwoChoices,
            1..=FIRST_AVAILABLE_MAX => Policy::FirstAvailable,
            _ => Policy::RoundRobin,
        }
    }

    /// The pod that takes the next request, counted in already; none if none has capacity.
    pub(crate) fn reserve<'a>(&self, pods: &'a [Arc<Pod>]) -> Option<&'a Arc<Pod>> {
        match (pods, self.policy()) {
            ([], _) => None,
            ([only], _) => only.reserve().then_some(only),
            (_, Policy::FirstAvailable) => first_available(pods),
            (_, Policy::RoundRobin) => self.round_robin(pods),
            (_, Policy::PowerOfTwoChoices) => self.power_of_two(pods),
        }
    }

    fn round_robin<'a>(&self, pods: &'a [Arc<Pod>]) -> Option<&'a Arc<Pod>> {
        let start = match self.turn.load(Relaxed) {
            turn if turn < pods.len() => turn,
            _ => 0,
        };
        let (before, after) = pods.split_at(start);
        let order = (start..).zip(after).chain((0..).zip(before));
        let (index, pod) = order.into_iter().find(|(_, pod)| pod.reserve())?;
        self.turn.store(index + 1, Relaxed);
        Some(pod)
    }

    fn power_of_two<'a>(&self, pods: &'a [Arc<Pod>]) -> Option<&'a Arc<Pod>> {
        let lot = scramble(self.turn.fetch_add(1, Relaxed));
        let first = lot % pods.len();
        let step = 1 + (lot / pods.len()) % (pods.len() - 1);
        let (first, second) = (pods.get(first)?, pods.get((first + step) % pods.len())?);
        let lighter = if second.in_flight() < first.in_flight() {
            second
        } else {
            first
        };
        // A pod can be retired, or full if it has a limit of its own: any other will do then.
        if lighter.reserve() {
            Some(lighter)
        } else {
            first_available(pods)
        }
    }
}

fn first_available(pods: &[Arc<Pod>]) -> Option<&Arc<Pod>> {
    pods.iter().find(|pod| pod.reserve())
}

/// Spreads consecutive numbers over all numbers (SplitMix64's finaliser): a lot that needs no state of its own.
fn scramble(turn: usize) -> usize {
    let mut x = (turn as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as usize
}

#[cfg(test)]
mod tests;
