//! The task that owns the store: what control planes deliver goes in, verdicts and wanted names come out.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tidegate_proxy::drain::Watch;
use tidegate_xds::client::{Delivery, Wanted};
use tidegate_xds::resource::{Kind, Verdict};
use tidegate_xds::store::outside::Outside;
use tidegate_xds::store::{Answer, Now, Store, Ticket};
use tokio::sync::{mpsc, oneshot, watch};

use crate::lifecycle::{Lifecycle, Stage};
use crate::limits::DELIVERIES_WAITING_MAX;

mod refusals;
mod spare;

use refusals::{Refusals, Subject};
use spare::Spare;

/// The store and who hears of it.
pub(crate) struct Keeper<O> {
    pub(crate) store: Store<O>,
    pub(crate) lifecycle: Lifecycle,
    /// The names that streams subscribe to.
    pub(crate) wanted: watch::Sender<Wanted>,
    /// The files that resources come from.
    pub(crate) files: watch::Sender<BTreeSet<(Kind, Arc<Path>)>>,
    /// What outlives a restart; none where nothing does.
    pub(crate) saved: Option<watch::Sender<u64>>,
    waiting: HashMap<Ticket, (Subject, oneshot::Sender<Verdict>)>,
    refusals: Refusals,
    spare: Spare,
    generation: u64,
}

impl<O: Outside> Keeper<O> {
    /// Keeps `store`.
    pub(crate) fn new(store: Store<O>, lifecycle: Lifecycle, saved: Option<watch::Sender<u64>>) -> Self {
        let mut keeper = Self {
            wanted: watch::Sender::new(Wanted::new()),
            files: watch::Sender::new(BTreeSet::new()),
            generation: store.generation(),
            store,
            lifecycle,
            saved,
            waiting: HashMap::new(),
            refusals: Refusals::default(),
            spare: Spare::default(),
        };
        keeper.tell();
        keeper.spare.changed(Instant::now());
        keeper
    }

    /// Takes deliveries until the drain is over or nobody delivers any more.
    pub(crate) async fn run(mut self, mut deliveries: mpsc::Receiver<Delivery>, drain: Watch) {
        let mut forced = drain.forced();
        loop {
            let deadlines = [self.store.deadline(Instant::now()), self.spare.deadline()];
            let deadline = deadlines.into_iter().flatten().min();
            let mut batch = Vec::new();
            tokio::select! {
                count = deliveries.recv_many(&mut batch, DELIVERIES_WAITING_MAX) => if count == 0 {
                    // Static resources still warm and drain.
                    tokio::select! {
                        () = until(deadline) => {}
                        () = &mut forced => return,
                    }
                },
                () = until(deadline) => {}
                () = &mut forced => return,
            }
            // What belongs together comes in any order: what makes is before what breaks.
            batch.sort_by_key(|delivery| delivery.update.kind);
            for delivery in batch {
                self.take(delivery);
            }
            self.store.tick(Now::read());
            self.spare.tick(Instant::now());
            self.settle();
        }
    }

    fn take(&mut self, delivery: Delivery) {
        let subject = Subject::of(&delivery.update);
        match self.store.apply(&delivery.update, Now::read()) {
            Answer::Now(verdict) => self.answer(subject, delivery.verdict, verdict),
            Answer::Later(ticket) => _ = self.waiting.insert(ticket, (subject, delivery.verdict)),
        }
        self.settle();
    }

    fn settle(&mut self) {
        for (ticket, verdict) in self.store.decided() {
            if let Some((subject, waiting)) = self.waiting.remove(&ticket) {
                self.answer(subject, waiting, verdict);
            }
        }
        // A response that was overtaken is answered by nobody.
        let held = self.store.held();
        self.waiting.retain(|ticket, _| Some(*ticket) == held);
        self.tell();
        if self.generation != self.store.generation() {
            self.generation = self.store.generation();
            self.spare.changed(Instant::now());
            if let Some(saved) = &self.saved {
                saved.send_replace(self.generation);
            }
        }
    }

    fn answer(&mut self, subject: Subject, sender: oneshot::Sender<Verdict>, verdict: Verdict) {
        self.refusals.log(subject, &verdict);
        // Whoever asked may be gone; then its stream is, too.
        _ = sender.send(verdict);
    }

    fn tell(&self) {
        self.lifecycle.reached(match self.store.stage() {
            tidegate_xds::store::Stage::PreInitializing => Stage::PreInitializing,
            tidegate_xds::store::Stage::Initializing => Stage::Initializing,
            tidegate_xds::store::Stage::Live => Stage::Live,
        });
        send_if_new(&self.wanted, self.store.wanted());
        send_if_new(&self.files, &self.store.files());
    }
}

fn send_if_new<T: Clone + PartialEq>(sender: &watch::Sender<T>, value: &T) {
    sender.send_if_modified(|now| {
        let new = now != value;
        if new {
            now.clone_from(value);
        }
        new
    });
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
