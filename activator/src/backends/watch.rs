//! Who asks the pods of one revision, and when? One task that follows its [`State`].

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use http::HeaderValue;
use tidegate_proxy::{drain::Watch, process};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    backends::{Asked, Sets, State, Step, ask::Ask, endpoints::service_address, turns::Line},
    tracker::{Destinations, Tracker},
    world::World,
};

/// When pods are asked, and how long they may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often (`PROBE_FREQUENCY`).
    pub interval: Duration,
    /// How long each that is asked may take (`PROBE_TIMEOUT`).
    pub timeout: Duration,
}

/// The watcher of one revision.
pub(crate) struct Watcher {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) ask: Arc<dyn Ask>,
    pub(crate) world: Arc<dyn World>,
    pub(crate) pace: Pace,
    /// When it may ask.
    pub(crate) turns: Line,
    /// The private service of the revision, and the name of its protocol's port.
    pub(crate) service: String,
    pub(crate) port_name: &'static str,
    pub(crate) passthrough_host: Option<HeaderValue>,
}

/// What came of a question about the service.
enum OfService {
    /// Where it is.
    Found(Option<SocketAddr>),
    /// What answers there.
    Answered(Asked),
}

impl Watcher {
    /// [Runs](Self::run) as a task that ends with `watch`, too.
    pub(crate) fn start(self, state: State, sets: watch::Receiver<Option<Sets>>, watch: &Watch) {
        let forced = watch.forced();
        process::spawn("pods", watch.unguarded(), async move {
            tokio::select! {
                () = forced => {}
                () = self.run(state, sets) => {}
            }
        });
    }

    /// Follows what is said of the pods, until nobody says it any more, or it is `None`.
    pub(crate) async fn run(self, mut state: State, mut sets: watch::Receiver<Option<Sets>>) {
        let mut ticks = interval(self.pace.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut questions = FuturesUnordered::new();
        let mut of_service: OptionFuture<BoxFuture<'_, OfService>> = None.into();
        // Nothing else is awaited: whoever is not polled may have been given a turn, which nobody would get back.
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
                Some(first) = questions.next() => {
                    // What has been answered by now is published together.
                    let mut answers = vec![first];
                    while let Some(Some(another)) = questions.next().now_or_never() {
                        answers.push(another);
                    }
                    state.pods_answered(&answers)
                }
                Some(answer) = &mut of_service => {
                    of_service = None.into();
                    match answer {
                        OfService::Found(address) => state.service_found(address),
                        OfService::Answered(asked) => state.service_answered(asked),
                    }
                }
                _ = ticks.tick(), if !state.is_settled() => state.tick(),
            };
            if let Some(to) = state.take_news() {
                self.publish(&to, &sets);
            }
            match step {
                Step::Rest => {}
                Step::AskPods(pods) => questions.extend(pods.into_iter().map(|pod| self.ask(pod))),
                Step::FindService => {
                    let answer = self.find_service().map(OfService::Found);
                    of_service = Some(answer.boxed()).into();
                }
                Step::AskService(address) => {
                    let answer = self.ask(address).map(|(_, asked)| OfService::Answered(asked));
                    of_service = Some(answer.boxed()).into();
                }
            }
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

    /// Asks as soon as it is its turn; its time begins then.
    async fn ask(&self, address: SocketAddr) -> (SocketAddr, Asked) {
        let _turn = self.turns.turn().await;
        let answer = self.ask.ask(address, self.passthrough_host.as_ref());
        let asked = timeout(self.pace.timeout, answer).await;
        (address, asked.unwrap_or(Asked::Failed))
    }

    async fn find_service(&self) -> Option<SocketAddr> {
        let namespace = &self.tracker.revision().settings().namespace;
        let service = self.world.service(namespace, &self.service);
        let service = timeout(self.pace.timeout, service).await.ok()??;
        let address = service_address(&service, self.port_name);
        address
            .inspect_err(|reason| tracing::error!(reason, "the pods of a revision cannot be reached"))
            .ok()
    }
}

#[cfg(test)]
mod tests;
