//! Who asks the pods of one revision, and when? One task that follows its [`State`].

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::join_all;
use http::HeaderValue;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use crate::{
    backends::{Asked, Sets, State, Step, ask::Ask, endpoints::service_address},
    tracker::{Destinations, Tracker},
    world::World,
};

/// When pods are asked, and how long they may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often (`PROBE_FREQUENCY`).
    pub interval: Duration,
    /// How long all that are asked at once may take together (`PROBE_TIMEOUT`).
    pub timeout: Duration,
}

/// The watcher of one revision.
pub(crate) struct Watcher {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) ask: Arc<dyn Ask>,
    pub(crate) world: Arc<dyn World>,
    pub(crate) pace: Pace,
    /// The private service of the revision, and the name of its protocol's port.
    pub(crate) service: String,
    pub(crate) port_name: &'static str,
    pub(crate) passthrough_host: Option<HeaderValue>,
}

impl Watcher {
    /// Follows what is said of the pods, until nobody says it any more, or it is `None`.
    pub(crate) async fn run(self, mut state: State, mut sets: watch::Receiver<Option<Sets>>) {
        let mut ticks = interval(self.pace.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                changed = sets.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let Some(now) = sets.borrow_and_update().clone() else {
                        return;
                    };
                    state.endpoints(now)
                }
                _ = ticks.tick(), if !state.is_settled() => state.tick(),
            };
            self.follow(&mut state, step, &sets).await;
        }
    }

    async fn follow(&self, state: &mut State, mut step: Step, sets: &watch::Receiver<Option<Sets>>) {
        loop {
            step = match step {
                Step::Rest => return,
                Step::Publish(to) => return self.publish(&to, sets),
                Step::AskPods(pods) => state.pods_answered(&self.ask_all(&pods).await),
                Step::FindService => state.service_found(self.find_service().await),
                Step::AskService(address) => {
                    let answers = self.ask_all(&[address]).await;
                    state.service_answered(answers.first().map_or(Asked::Failed, |(_, asked)| *asked))
                }
            };
        }
    }

    fn publish(&self, to: &Destinations, sets: &watch::Receiver<Option<Sets>>) {
        // Held until it is said, so that whoever says `None` knows that nothing is said after that.
        let now = sets.borrow();
        // What nobody steers any more is steered by another watcher, or has nothing to reach.
        if now.is_none() || sets.has_changed().is_err() {
            return;
        }
        let revision = self.tracker.revision().key();
        tracing::debug!(%revision, ?to, "what can be reached has changed");
        self.tracker.update(to);
    }

    /// All at once, with one deadline.
    async fn ask_all(&self, addresses: &[SocketAddr]) -> Vec<(SocketAddr, Asked)> {
        let deadline = Instant::now() + self.pace.timeout;
        let asking = addresses.iter().map(|address| async move {
            let answer = self.ask.ask(*address, self.passthrough_host.as_ref());
            let asked = timeout_at(deadline, answer).await;
            (*address, asked.unwrap_or(Asked::Failed))
        });
        join_all(asking).await
    }

    async fn find_service(&self) -> Option<SocketAddr> {
        let namespace = &self.tracker.revision().settings().namespace;
        let service = self.world.service(namespace, &self.service).await?;
        let address = service_address(&service, self.port_name);
        address
            .inspect_err(|reason| tracing::error!(reason, "the pods of a revision cannot be reached"))
            .ok()
    }
}
