//! What becomes of the connections of filter chains that a listener does not have any more.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;

use super::chain::Chain;
use crate::config::limits;
use crate::drain::{Fade, Watch};

/// Filter chains that were replaced. Their connections go on until [`Retired::drain`] ends them.
#[derive(Debug)]
pub struct Retired {
    chains: Vec<(Weak<Chain>, Watch)>,
}

impl Retired {
    pub(super) fn new(chains: &[Arc<Chain>]) -> Self {
        let chains = chains
            .iter()
            .map(|chain| (Arc::downgrade(chain), chain.watch().clone()));
        Self {
            chains: chains.collect(),
        }
    }

    /// Whether nothing was replaced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// Parts with their clients as `fade` says for `grace`, then cuts those that are left, after a moment for their last
    /// words. Ends early when none is left. The fade begins with this call.
    pub fn drain(self, fade: Fade, grace: Duration) -> impl Future<Output = ()> + Send + use<> {
        for chain in self.left() {
            chain.drain().fade(fade);
        }
        self.end(grace)
    }

    async fn end(self, grace: Duration) {
        if self.is_over_within(grace).await {
            return;
        }
        for chain in self.left() {
            chain.drain().start();
        }
        if self.is_over_within(limits::LAST_WORDS_TIMEOUT).await {
            return;
        }
        for chain in self.left() {
            chain.drain().cut();
        }
    }

    /// Those that have connections.
    fn left(&self) -> impl Iterator<Item = Arc<Chain>> {
        self.chains.iter().filter_map(|(chain, _)| chain.upgrade())
    }

    /// A chain is dropped with the last of its connections, and its drain with it.
    async fn is_over_within(&self, time: Duration) -> bool {
        let over = join_all(self.chains.iter().map(|(_, watch)| watch.forced()));
        tokio::time::timeout(time, over).await.is_ok()
    }
}
