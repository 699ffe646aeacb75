//! What is a cluster under load, and how are its parts replaced?

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tidegate_testkit::wait::{eventually, eventually_within};
use tokio::task::JoinSet;

use crate::access_log::{self, Sent};
use crate::clients::{Caller, Doors, may_be_repeated};
use crate::cluster::{Cluster, Path, Protocol};
use crate::ledger::Ledger;
use crate::pods::Pod;
use crate::programs::{Activator, Ingress};
use crate::streams::Stream;

/// Who is told first that a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// Those who send to it.
    Senders,
    /// The pod: it is still sent to for a while.
    Pod,
}

/// A cluster under load.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    doors: Arc<Doors>,
    pub(crate) ledger: Arc<Ledger>,
    clients: JoinSet<()>,
    /// Programs that were told to end, and carry streams that nobody ends.
    activators: Vec<Activator>,
    ingresses: Vec<Ingress>,
    /// Applications whose sidecars were killed.
    pub(crate) killed: Vec<SocketAddr>,
}

impl Stage {
    /// From zero: the first requests come before the first pods.
    pub(crate) async fn start() -> Self {
        Self::in_cluster(Cluster::start(&[Protocol::Http1, Protocol::H2c]).await).await
    }

    /// The same, with TLS between the programs.
    pub(crate) async fn encrypted() -> Self {
        Self::in_cluster(Cluster::encrypted(&[Protocol::Http1, Protocol::H2c]).await).await
    }

    async fn in_cluster(cluster: Cluster) -> Self {
        let mut this = Self {
            cluster,
            doors: Arc::default(),
            ledger: Arc::default(),
            clients: JoinSet::new(),
            activators: Vec::new(),
            ingresses: Vec::new(),
            killed: Vec::new(),
        };
        this.open_doors();
        for (revision, stream) in this
            .cluster
            .revisions
            .iter()
            .zip([Stream::WebSocket, Stream::Call])
        {
            let caller = this.caller(revision.host());
            caller.start(&mut this.clients);
            caller.start_streams(stream, STREAMS, &mut this.clients);
        }
        for revision in [0, 0, 1, 1] {
            this.cluster.start_pod(revision).await;
            this.tell_all().await;
        }
        this
    }

    fn caller(&self, host: String) -> Caller {
        Caller {
            doors: Arc::clone(&self.doors),
            ledger: Arc::clone(&self.ledger),
            host,
        }
    }

    /// Asks each revision for answers that are held back, and waits until all are; says which.
    pub(crate) async fn hold(&mut self, count: usize) -> Vec<String> {
        let mut held = Vec::new();
        for revision in &self.cluster.revisions {
            let caller = self.caller(revision.host());
            held.extend(caller.start_held(count, &mut self.clients));
        }
        let visits = Arc::clone(&self.cluster.visits);
        let have_come = || held.iter().all(|number| !visits.of(number).is_empty());
        eventually("requests that are held", async || have_come()).await;
        held
    }

    fn open_doors(&self) {
        let ingresses = self.cluster.ingresses.iter();
        self.doors.set(ingresses.map(Ingress::address).collect());
    }

    pub(crate) async fn tell_all(&self) {
        self.cluster.tell_activators().await;
        self.cluster.tell_ingresses().await;
    }

    /// Waits for more answers and messages; fails at the first thing that went wrong.
    pub(crate) async fn goes_on(&self) {
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
    pub(crate) async fn lead(&mut self, path: Path) {
        for revision in &mut self.cluster.revisions {
            revision.path = path;
        }
        self.tell_all().await;
        self.goes_on().await;
    }

    /// Replaces all pods, one of each revision at a time.
    pub(crate) async fn replace_pods(&mut self, first: First) {
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

    /// One authority after the other, with all certificates that it signs.
    pub(crate) async fn replace_certificates(&mut self) {
        self.cluster.certificates().announce();
        self.tell_whom_to_believe().await;
        self.cluster.certificates().change();
        self.cluster.tell_what_to_show().await;
        self.cluster.shows_its_certificates().await;
        self.goes_on().await;
        self.cluster.certificates().retire();
        self.tell_whom_to_believe().await;
    }

    async fn tell_whom_to_believe(&mut self) {
        self.cluster.tell_whom_to_believe().await;
        self.cluster.tell_ingresses().await;
        self.goes_on().await;
    }

    pub(crate) async fn replace_activators(&mut self) {
        for number in [3, 4] {
            self.cluster.start_activator(number).await;
            let old = self.cluster.activators.remove(0);
            old.terminate().await;
            self.tell_all().await;
            self.goes_on().await;
            self.activators.push(old);
        }
    }

    pub(crate) async fn replace_ingresses(&mut self) {
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

    /// Ends the load, and then all programs; nothing was lost. Says whom the ingresses sent each request and stream to.
    pub(crate) async fn end(mut self) -> Sent {
        self.ledger.end();
        while let Some(client) = self.clients.join_next().await {
            client.expect("a client that comes to an end");
        }
        assert!(self.ledger.is_balanced(), "{:?}", self.ledger);
        self.all_came_once();
        eventually("nothing in flight at the activators", async || self.is_at_rest()).await;
        for ingress in &self.cluster.ingresses {
            ingress.terminate();
        }
        for activator in &self.cluster.activators {
            activator.terminate().await;
        }
        let ingresses = self.ingresses.into_iter().chain(self.cluster.ingresses);
        let noted = join_all(ingresses.map(Ingress::ends)).await;
        join_all(
            self.activators
                .into_iter()
                .chain(self.cluster.activators)
                .map(Activator::ends),
        )
        .await;
        access_log::read(&noted.concat())
    }

    /// Every request came to one application and only once, but for what was cut, or sent again because of that.
    fn all_came_once(&self) {
        let visits = &self.cluster.visits;
        let was_killed = |number: &str| {
            visits
                .of(number)
                .first()
                .is_some_and(|app| self.killed.contains(app))
        };
        let (came, mut twice) = visits.totals();
        twice.retain(|number| !(may_be_repeated(number) && was_killed(number)));
        let cut = self.ledger.cut();
        let cut = cut
            .iter()
            .filter(|cut| !cut.is_stream() && !visits.of(&cut.number).is_empty());
        let expected = (self.ledger.answers() + cut.count(), Vec::new());
        assert_eq!((came, twice), expected, "{:?}", self.ledger);
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

/// How many streams are open to each revision.
pub(crate) const STREAMS: usize = 3;

/// Long enough for a machine that builds meanwhile.
pub(crate) const LONG: Duration = Duration::from_secs(60);
