//! Which revisions does an ingress hold requests for, and where are their pods?
//!
//! Whoever reads the ingress's configuration says of each revision all that is known, as often as something of it changes. Pods
//! that are ready take requests at once; one that is not ready is asked itself, so that it takes them the moment it is. Whoever
//! waits for a revision goes on to wait, whatever is said anew of it.
//!
//! ```
//! use std::sync::Arc;
//! use tidegate_activator::{Registry, backends::Sets, directory::Directory, fleet::{Fleet, Known}};
//! use tidegate_activator::world::{Key, RevisionFacts};
//! use tidegate_proxy::{cluster::{Cluster, ClusterSettings}, drain::Drain, layers::timeout::Timeouts};
//!
//! let directory = Directory::new(Registry::new());
//! let (_drain, watch) = Drain::new();
//! let mut fleet = Fleet::new(Arc::clone(&directory), watch);
//! let facts = RevisionFacts {
//!     key: Key { namespace: "default".to_owned(), name: "hello-00001".to_owned() },
//!     service: "hello".to_owned(),
//!     configuration: "hello".to_owned(),
//!     container_concurrency: 1,
//!     timeouts: Timeouts::from_seconds(300, 0, 0),
//!     port_name: "http",
//!     believe_pods: true,
//! };
//! let cluster = Cluster::new(ClusterSettings::new("default/hello-00001-private"));
//! let pods = Sets { ready: ["10.0.0.1:8012".parse()?].into(), ..Sets::default() };
//! fleet.know(vec![Known { facts, ports: Default::default(), cluster, pods }]);
//! let entry = directory.get("default", "hello-00001").expect("it is known");
//! assert_eq!(entry.revision.pods().len(), 1);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::{
    collections::{HashMap, hash_map},
    fmt, mem,
    net::SocketAddr,
    sync::Arc,
};

use tidegate_proxy::{cluster::Cluster, drain::Watch, layers::timeout::Timeouts};
use tokio::sync::watch;

use crate::{
    backends::{
        Mesh, Rules, Sets, State,
        ask::{Ask, Plain},
        endpoints::Service,
        turns::Turns,
        watch::{Pace, Watcher},
    },
    directory::{Directory, Entry},
    limits::{PROBE_INTERVAL, PROBE_TIMEOUT},
    throttle::Revision,
    tracker::{Destinations, Ports, Tracker},
    world::{Found, Key, RevisionFacts, World},
};

/// The revisions of one ingress.
pub struct Fleet {
    directory: Arc<Directory>,
    held: HashMap<Key, Held>,
    share: Share,
    asking: Asking,
}

/// All that is known of a revision.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its name and limits.
    pub facts: RevisionFacts,
    /// Which port of a pod takes requests.
    pub ports: Ports,
    /// The cluster of its pods: how they are connected to.
    pub cluster: Arc<Cluster>,
    /// Its pods.
    pub pods: Sets,
}

/// Which of those who send to a revision this one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    index: Option<usize>,
    of: usize,
}

/// How pods are asked.
struct Asking {
    ask: Arc<dyn Ask>,
    pace: Pace,
    turns: Turns,
    watch: Watch,
}

struct Held {
    rules: Treatment,
    tracker: Arc<Tracker>,
    /// The cluster of its pods.
    cluster: Arc<Cluster>,
    /// Its pods, and whether each is ready.
    pods: Box<[(SocketAddr, bool)]>,
    /// Tells the watcher of the pods, while some of them are not ready.
    watcher: Option<watch::Sender<Option<Sets>>>,
}

/// How its requests and pods are treated. The rest of what is known is with the revision itself: there may be thousands.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Treatment {
    container_concurrency: u32,
    timeouts: Timeouts,
    port_name: &'static str,
    believe_pods: bool,
    ports: Ports,
}

impl Fleet {
    /// One without revisions, which keeps `directory`. What asks pods ends with `watch`.
    #[must_use]
    pub fn new(directory: Arc<Directory>, watch: Watch) -> Self {
        let pace = Pace {
            interval: PROBE_INTERVAL,
            timeout: PROBE_TIMEOUT,
        };
        Self {
            directory,
            held: HashMap::new(),
            share: Share { index: None, of: 1 },
            asking: Asking {
                ask: Arc::new(Plain),
                pace,
                turns: Turns::default(),
                watch,
            },
        }
    }

    /// Takes what is known of revisions; those that it has not heard of take requests from now on. Asks pods in the runtime that
    /// this is called in.
    pub fn know(&mut self, all: Vec<Known>) {
        let mut entries = Vec::new();
        for known in all {
            let (held, is_told) = match self.held.entry(known.facts.key.clone()) {
                hash_map::Entry::Vacant(vacant) => (vacant.insert(Held::new(&known, self.share)), true),
                hash_map::Entry::Occupied(held) => {
                    let held = held.into_mut();
                    // Pods come and go all the time, and are no business of who looks revisions up.
                    let is_told = held.come_back() || !held.treats_alike(&known);
                    (held, is_told)
                }
            };
            if is_told {
                entries.push(Entry {
                    revision: Arc::clone(held.tracker.revision()),
                    timeouts: known.facts.timeouts,
                    cluster: Arc::clone(&known.cluster),
                    passthrough_host: None,
                });
            }
            held.adapt(known, &self.asking);
        }
        if !entries.is_empty() {
            self.directory.extend(entries);
        }
    }

    /// These revisions are not there any more: who waits for one waits in vain.
    pub fn forget(&mut self, keys: &[Key]) {
        for key in keys {
            if let Some(mut held) = self.held.remove(key) {
                held.rest();
            }
        }
        self.directory.remove_all(keys);
    }

    /// Requests are not held for these revisions any more: who waits for one is sent on to this cluster, where whoever comes later
    /// goes too. Said again, it is where those go whose turn is still to come. What was counted of a revision goes on where it was when it is [known](Self::know) again, until it is
    /// [forgotten](Self::forget).
    pub fn release(&mut self, to: &[(Key, Arc<Cluster>)]) {
        let mut keys = Vec::new();
        for (key, cluster) in to {
            if let Some(held) = self.held.get_mut(key) {
                let is_new = !held.tracker.revision().is_released();
                held.release(cluster);
                keys.extend(is_new.then(|| key.clone()));
            }
        }
        self.directory.hide(&keys);
    }

    /// Says how many ingresses share the revisions, and which of them this one is, if it is one of them.
    pub fn share(&mut self, index: Option<usize>, of: usize) {
        let share = Share { index, of };
        if mem::replace(&mut self.share, share) != share {
            for held in self.held.values() {
                held.tracker.share(index, of);
            }
        }
    }
}

impl Held {
    fn new(known: &Known, share: Share) -> Self {
        let (revision, cluster) = (Revision::new(known.facts.settings()), Arc::clone(&known.cluster));
        let tracker = Tracker::with_cluster(revision, known.ports, Arc::clone(&cluster));
        tracker.share(share.index, share.of);
        Self {
            tracker: tracker.into(),
            rules: Treatment::of(known),
            cluster,
            pods: Box::default(),
            watcher: None,
        }
    }

    fn release(&mut self, to: &Arc<Cluster>) {
        self.rest();
        self.tracker.revision().release(to);
        // Who has just not been let in by a pod does not try again there.
        self.tracker.update(&Destinations::None);
        self.pods = Box::default();
    }

    /// Lets requests be held again; returns whether they were not, until now.
    fn come_back(&self) -> bool {
        let revision = self.tracker.revision();
        let is_released = revision.is_released();
        if is_released {
            revision.accept();
        }
        is_released
    }

    /// Whether requests are treated as they were before.
    fn treats_alike(&self, known: &Known) -> bool {
        self.rules.timeouts == known.facts.timeouts && Arc::ptr_eq(&self.cluster, &known.cluster)
    }

    fn adapt(&mut self, known: Known, asking: &Asking) {
        let (rules, before) = (Treatment::of(&known), self.rules);
        self.cluster = known.cluster;
        if rules.container_concurrency != before.container_concurrency {
            self.tracker.limit(rules.container_concurrency);
        }
        // Pods that are known are connected to as their cluster says now.
        self.tracker.reach(rules.ports, &self.cluster);
        let is_begun_anew = rules.believe_pods != before.believe_pods;
        if is_begun_anew {
            self.rest();
        }
        self.rules = rules;
        let pods = listed(&known.pods);
        if is_begun_anew || pods != self.pods {
            self.pods = pods;
            self.follow(known.pods, asking);
        }
    }

    /// Lets the pods take requests that are ready, and asks the others.
    fn follow(&mut self, pods: Sets, asking: &Asking) {
        if let Some(watcher) = self.watcher.as_ref().filter(|_| !pods.not_ready.is_empty()) {
            watcher.send_replace(Some(pods));
            return;
        }
        // There is nothing to be asked, or nobody yet who has asked.
        self.rest();
        let ready = pods.ready.iter().copied().collect();
        self.tracker.update(&Destinations::Pods(ready));
        if !pods.not_ready.is_empty() {
            self.watcher = Some(asking.start(&self.tracker, self.rules, pods));
        }
    }

    /// Ends the watcher: what it has found out and not said yet is not said any more.
    fn rest(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.send_replace(None);
        }
    }
}

impl Treatment {
    fn of(known: &Known) -> Self {
        let facts = &known.facts;
        Self {
            container_concurrency: facts.container_concurrency,
            timeouts: facts.timeouts,
            port_name: facts.port_name,
            believe_pods: facts.believe_pods,
            ports: known.ports,
        }
    }
}

impl Asking {
    fn start(&self, tracker: &Arc<Tracker>, rules: Treatment, pods: Sets) -> watch::Sender<Option<Sets>> {
        let watcher = Watcher {
            tracker: Arc::clone(tracker),
            ask: Arc::clone(&self.ask),
            world: Arc::new(Nowhere),
            pace: self.pace,
            turns: self.turns.line(),
            service: String::new(),
            port_name: rules.port_name,
            passthrough_host: None,
        };
        // An ingress goes by what it is told is ready, as it does for any cluster, and looks for no mesh.
        let state = State::new(Rules {
            mesh: Mesh::Disabled,
            passthrough: false,
            believe_pods: rules.believe_pods,
        });
        let (sender, mut receiver) = watch::channel(Some(pods));
        receiver.mark_changed();
        watcher.start(state, receiver, &self.watch);
        sender
    }
}

/// An ingress knows no services: it has the addresses of pods.
struct Nowhere;

impl World for Nowhere {
    fn service<'a>(&'a self, _namespace: &'a str, _name: &'a str) -> Found<'a, Service> {
        Box::pin(async { None })
    }
}

fn listed(pods: &Sets) -> Box<[(SocketAddr, bool)]> {
    let ready = pods.ready.iter().map(|pod| (*pod, true));
    ready
        .chain(pods.not_ready.iter().map(|pod| (*pod, false)))
        .collect()
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("directory", &self.directory)
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
