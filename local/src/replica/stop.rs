//! When does a replica have to stop, and when is its time over?

use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Asks a replica to stop; dropped, it asks to stop at once.
#[derive(Debug)]
pub(crate) struct StopSender(watch::Sender<Option<Instant>>);

/// Hears of it.
#[derive(Debug)]
pub(crate) struct StopOrder(watch::Receiver<Option<Instant>>);

pub(crate) fn order() -> (StopSender, StopOrder) {
    let (sender, receiver) = watch::channel(None);
    (StopSender(sender), StopOrder(receiver))
}

impl StopSender {
    /// Asks to stop within this time. Of several such times the earliest counts.
    pub(crate) fn within(&self, grace: Duration) {
        let wanted = Instant::now() + grace;
        self.0.send_modify(|deadline| {
            *deadline = Some(deadline.map_or(wanted, |earlier| earlier.min(wanted)));
        });
    }
}

impl StopOrder {
    /// Resolves when a stop is asked for, with the time there is. Safe to drop.
    pub(crate) async fn asked(&mut self) -> Duration {
        match self.0.wait_for(Option::is_some).await {
            Ok(deadline) => deadline.map_or(Duration::ZERO, |deadline| deadline - Instant::now()),
            Err(_replica_dropped) => Duration::ZERO,
        }
    }

    /// Resolves when the time to stop is over; it may be shortened meanwhile. Safe to drop.
    pub(crate) async fn forced(&mut self) {
        loop {
            let deadline = *self.0.borrow_and_update();
            let over = OptionFuture::from(deadline.map(sleep_until));
            tokio::select! {
                Some(()) = over => return,
                changed = self.0.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }
}
