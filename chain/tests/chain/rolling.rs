//! Is anything lost while every part is replaced, one after the other, under load?

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tidegate_testkit::wait::{eventually, eventually_within};
use tokio::task::JoinSet;

use crate::clients::{Caller, Doors};
use crate::cluster::{Cluster, Path, Protocol};
use crate::ledger::Ledger;
use crate::programs::{Activator, Ingress, Pod};
use crate::streams::Stream;

/// Who is told first that a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// Those who send to it.
    Senders,
    /// The pod: it is still sent to for a while.
    Pod,
}

/// A cluster under load.
struct Stage {
    cluster: Cluster,
    doors: Arc<Doors>,
    ledger: Arc<Ledger>,
    clients: JoinSet<()>,
    /// Programs that were told to end, and carry streams that nobody ends.
    activators: Vec<Activator>,
    ingresses: Vec<Ingress>,
}

impl Stage {
    /// From zero: the first requests come before the first pods.
    async fn start() -> Self {
        let cluster = Cluster::start(&[Protocol::Http1, Protocol::H2c]).await;
        let mut this = Self {
            cluster,
            doors: Arc::default(),
            ledger: Arc::default(),
            clients: JoinSet::new(),
            activators: Vec::new(),
            ingresses: Vec::new(),
        };
        this.open_doors();
        for (revision, stream) in this
            .cluster
            .revisions
            .iter()
            .zip([Stream::WebSocket, Stream::Call])
        {
            let caller = Caller {
                doors: Arc::clone(&this.doors),
                ledger: Arc::clone(&this.ledger),
                host: revision.host(),
            };
            caller.start(&mut this.clients);
            caller.start_streams(stream, 3, &mut this.clients);
        }
        for revision in [0, 0, 1, 1] {
            this.cluster.start_pod(revision).await;
            this.tell_all().await;
        }
        this
    }

    fn open_doors(&self) {
        let ingresses = self.cluster.ingresses.iter();
        self.doors.set(ingresses.map(Ingress::address).collect());
    }

    async fn tell_all(&self) {
        self.cluster.tell_activators().await;
        self.cluster.tell_ingresses().await;
    }

    /// Waits for more answers and messages; fails at the first thing that went wrong.
    async fn goes_on(&self) {
        let (answers, messages) = (self.ledger.answers() + 100, self.ledger.messages() + 30);
        eventually_within("more answers", LONG, async || {
            assert!(!self.ledger.has_failures(), "{:?}", self.ledger);
            if self.ledger.answers() >= answers && self.ledger.messages() >= messages {
                Ok(())
            } else {
                Err(format!("{:?}", self.ledger))
            }
        })
        .await;
    }

    /// Who the ingresses send to from now on.
    async fn lead(&mut self, path: Path) {
        for revision in &mut self.cluster.revisions {
            revision.path = path;
        }
        self.tell_all().await;
        self.goes_on().await;
    }

    /// Replaces all pods, one of each revision at a time.
    async fn replace_pods(&mut self, first: First) {
        for _ in 0..2 {
            let mut old = Vec::new();
            for revision in 0..self.cluster.revisions.len() {
                self.cluster.start_pod(revision).await;
                old.push(self.cluster.revisions[revision].pods.remove(0));
            }
            if first == First::Pod {
                old.iter().for_each(Pod::terminate);
                self.goes_on().await;
            }
            self.tell_all().await;
            if first == First::Senders {
                old.iter().for_each(Pod::terminate);
            }
            join_all(old.into_iter().map(Pod::ends)).await;
            self.goes_on().await;
        }
    }

    async fn replace_activators(&mut self) {
        for number in [3, 4] {
            self.cluster.start_activator(number).await;
            let old = self.cluster.activators.remove(0);
            old.terminate().await;
            self.tell_all().await;
            self.goes_on().await;
            self.activators.push(old);
        }
    }

    async fn replace_ingresses(&mut self) {
        for _ in 0..2 {
            self.cluster.start_ingress().await;
            let old = self.cluster.ingresses.remove(0);
            old.terminate();
            self.goes_on().await;
            self.open_doors();
            self.goes_on().await;
            self.ingresses.push(old);
        }
    }

    /// Ends the load, and then all programs; nothing was lost.
    async fn end(mut self) {
        self.ledger.end();
        while let Some(client) = self.clients.join_next().await {
            client.expect("a client that comes to an end");
        }
        assert!(self.ledger.is_balanced(), "{:?}", self.ledger);
        let (came, twice) = self.cluster.visits.totals();
        assert_eq!(
            (came, twice),
            (self.ledger.answers(), Vec::new()),
            "{:?}",
            self.ledger
        );
        eventually("nothing in flight at the activators", async || self.is_at_rest()).await;
        for ingress in &self.cluster.ingresses {
            ingress.terminate();
        }
        for activator in &self.cluster.activators {
            activator.terminate().await;
        }
        join_all(
            self.ingresses
                .into_iter()
                .chain(self.cluster.ingresses)
                .map(Ingress::ends),
        )
        .await;
        join_all(
            self.activators
                .into_iter()
                .chain(self.cluster.activators)
                .map(Activator::ends),
        )
        .await;
    }

    /// Whether the last that the autoscaler heard of each activator about each revision is that there is nothing.
    fn is_at_rest(&self) -> Result<(), String> {
        let mut last = std::collections::BTreeMap::new();
        for frame in self.cluster.autoscaler.frames() {
            for message in frame.messages {
                let stat = message.stat.unwrap_or_default();
                // One that has ended does not say so.
                if !self
                    .cluster
                    .activators
                    .iter()
                    .any(|activator| activator.name == stat.pod_name)
                {
                    continue;
                }
                last.insert((stat.pod_name, message.name), stat.average_concurrent_requests);
            }
        }
        let busy = last.iter().filter(|(_, concurrency)| **concurrency > 0.0);
        let busy: Vec<_> = busy.collect();
        if busy.is_empty() {
            Ok(())
        } else {
            Err(format!("{busy:?}"))
        }
    }
}

#[tokio::test]
async fn pods_are_replaced_behind_activators_and_without_and_nothing_is_lost() {
    let mut stage = Stage::start().await;
    stage.goes_on().await;
    stage.replace_pods(First::Senders).await;
    stage.replace_pods(First::Pod).await;
    stage.lead(Path::Pods).await;
    stage.replace_pods(First::Senders).await;
    stage.replace_pods(First::Pod).await;
    stage.lead(Path::Activators).await;
    stage.end().await;
}

#[tokio::test]
async fn pods_are_replaced_behind_ingresses_that_hold_requests_themselves_and_nothing_is_lost() {
    let mut stage = Stage::start().await;
    stage.goes_on().await;
    stage.lead(Path::Ingresses).await;
    stage.replace_pods(First::Senders).await;
    stage.replace_pods(First::Pod).await;
    stage.lead(Path::Activators).await;
    stage.lead(Path::Ingresses).await;
    stage.replace_ingresses().await;
    stage.end().await;
}

#[tokio::test]
async fn activators_are_replaced_one_after_the_other_and_nothing_is_lost() {
    let mut stage = Stage::start().await;
    stage.goes_on().await;
    stage.replace_activators().await;
    stage.lead(Path::Pods).await;
    stage.lead(Path::Activators).await;
    stage.end().await;
}

#[tokio::test]
async fn ingresses_are_replaced_one_after_the_other_and_nothing_is_lost() {
    let mut stage = Stage::start().await;
    stage.goes_on().await;
    stage.replace_ingresses().await;
    stage.lead(Path::Pods).await;
    stage.replace_ingresses().await;
    stage.end().await;
}

/// Long enough for a machine that builds meanwhile.
const LONG: Duration = Duration::from_secs(60);
