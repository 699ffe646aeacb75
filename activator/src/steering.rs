//! What follows for requests from what happens in the cluster?
//!
//! One task takes [`Event`]s in their order. It keeps the directory of revisions, and for each revision whose pods are
//! listed a watcher that asks them. What comes in an odd order, such as pods before their revision, is kept until it
//! makes sense.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use http::HeaderValue;
use tidegate_knative::names::child_name;
use tidegate_proxy::{cluster::Cluster, drain::Watch, tls::identity::Identity};
use tokio::sync::{mpsc, watch};

use crate::{
    backends::{
        Mesh, Rules, Sets, State,
        ask::Ask,
        endpoints::{Endpoints, backends, senders},
        turns::Turns,
        watch::{Pace, Watcher},
    },
    certificates::Certificates,
    directory::{Directory, Entry},
    slice::infer_index,
    throttle::Revision,
    tracker::{Destinations, Ports, Tracker},
    wire,
    world::{ConfigMap, Event, Key, RevisionFacts, World},
};

/// What holds for all revisions.
pub struct Settings {
    /// This activator's own address (`POD_IP`).
    pub own: IpAddr,
    /// Whether pods can be addressed one by one.
    pub mesh: Mesh,
    /// Whether a mesh passes requests to single pods.
    pub passthrough: bool,
    /// When pods are asked.
    pub pace: Pace,
    /// Who asks them.
    pub ask: Arc<dyn Ask>,
    /// Where services are found.
    pub world: Arc<dyn World>,
    /// Where pods are connected to over TLS: who is told of the certificate that the program shows itself.
    pub encrypted: Option<watch::Sender<Option<Identity>>>,
}

/// Follows the cluster.
pub struct Steering {
    settings: Settings,
    directory: Arc<Directory>,
    /// How pods are connected to in the clear.
    plain: Arc<Cluster>,
    /// How those of each namespace are connected to over TLS.
    encrypted: HashMap<String, Arc<Cluster>>,
    certificates: Certificates,
    known: HashMap<Key, Known>,
    observability: Option<Told>,
    /// Whether all was told that was there at the start. Until then requests find nothing, as nobody serves them yet.
    synced: bool,
    /// Of those who ask pods.
    turns: Turns,
    watch: Watch,
}

/// Hears what a configuration says.
type Told = Box<dyn Fn(&ConfigMap) + Send>;

/// What is known under one name; never nothing.
#[derive(Default)]
struct Known {
    revision: Option<Steered>,
    private: Option<Endpoints>,
    public: Option<Endpoints>,
}

struct Steered {
    facts: RevisionFacts,
    tracker: Arc<Tracker>,
    /// Tells the watcher of the pods, where they are listed. Dropping it ends the watcher.
    watcher: Option<watch::Sender<Option<Sets>>>,
}

impl Steering {
    /// Keeps `directory`; what it starts ends with `watch`.
    #[must_use]
    pub fn new(settings: Settings, directory: Arc<Directory>, watch: Watch) -> Self {
        Self {
            settings,
            directory,
            plain: wire::plain_cluster(),
            encrypted: HashMap::new(),
            certificates: Certificates::default(),
            known: HashMap::new(),
            observability: None,
            synced: false,
            turns: Turns::default(),
            watch,
        }
    }

    /// The same; `told` hears what `config-observability` says, each time that changes.
    #[must_use]
    pub fn telling(self, told: impl Fn(&ConfigMap) + Send + 'static) -> Self {
        Self {
            observability: Some(Box::new(told)),
            ..self
        }
    }

    /// Follows events until nobody tells of any. `synced` learns when the first picture is complete.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>, synced: watch::Sender<bool>) {
        while let Some(event) = events.recv().await {
            self.take(event);
            if self.synced {
                synced.send_if_modified(|synced| !std::mem::replace(synced, true));
            }
        }
    }

    /// Takes one event.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Revision(facts) => self.revision(*facts),
            Event::RevisionGone(key) => self.revision_gone(&key),
            Event::Private(key, endpoints) => {
                self.known.entry(key.clone()).or_default().private = Some(endpoints);
                self.tell_watcher(&key);
            }
            Event::PrivateGone(key) => self.private_gone(&key),
            Event::Public(key, endpoints) => {
                self.known.entry(key.clone()).or_default().public = Some(endpoints);
                self.share(&key);
            }
            // Whoever sent to it goes on as it did.
            Event::PublicGone(key) => self.forget(&key, |known| known.public = None),
            Event::Secret(secret) => {
                self.certificates.set_secret(secret);
                self.certified();
            }
            Event::Bundle(name, texts) => {
                self.certificates.set_bundle(&name, texts);
                self.certified();
            }
            Event::Observability(config) => {
                if let Some(told) = &self.observability {
                    told(&config);
                }
            }
            Event::Synced => {
                self.synced = true;
                self.enter_all();
            }
        }
    }

    /// Believes whom there is to believe now, in connections to come, and shows what there is to show.
    fn certified(&mut self) {
        let Some(shown) = &self.settings.encrypted else {
            return;
        };
        match self.certificates.identity() {
            Some(Ok(identity)) => _ = shown.send_replace(Some(identity)),
            Some(Err(error)) => tracing::error!(%error, "the certificate is not replaced"),
            // It may be told of yet.
            None if !self.synced => {}
            None => tracing::error!("there is no certificate any more; the last one stays"),
        }
        self.encrypted.clear();
        self.enter_all();
    }

    /// How the pods of this namespace are connected to.
    fn cluster(&mut self, namespace: &str) -> Arc<Cluster> {
        if self.settings.encrypted.is_none() {
            return Arc::clone(&self.plain);
        }
        let certificates = &self.certificates;
        let cluster = self
            .encrypted
            .entry(namespace.to_owned())
            .or_insert_with(|| certificates.cluster(namespace));
        Arc::clone(cluster)
    }

    /// Lets requests find the revision of this name, as it is known now.
    fn enter(&mut self, key: &Key) {
        if self.synced {
            let entry = self.entry(key);
            self.directory.extend(entry.into_iter().collect());
        }
    }

    /// Lets requests find all revisions, as they are known now: one by one each would copy all that are there before it.
    fn enter_all(&mut self) {
        if self.synced {
            let keys: Vec<Key> = self.known.keys().cloned().collect();
            let entries = keys.iter().filter_map(|key| self.entry(key)).collect();
            self.directory.extend(entries);
        }
    }

    fn entry(&mut self, key: &Key) -> Option<Entry> {
        let cluster = self.cluster(&key.namespace);
        let steered = self.known.get(key)?.revision.as_ref()?;
        Some(Entry {
            revision: Arc::clone(steered.tracker.revision()),
            timeouts: steered.facts.timeouts,
            cluster,
            passthrough_host: self.settings.passthrough_host(key),
        })
    }

    fn revision(&mut self, facts: RevisionFacts) {
        let key = facts.key.clone();
        let ports = match self.settings.encrypted {
            Some(_) => Ports::Tls,
            None => Ports::Same,
        };
        let known = self.known.entry(key.clone()).or_default();
        if known
            .revision
            .as_ref()
            .is_some_and(|steered| steered.facts == facts)
        {
            // Kubernetes says all of it again whenever a status changes, and after each break.
            return;
        }
        known.revision = Some(match known.revision.take() {
            // What cannot change of a revision has not; one that was made anew under its name has another limit.
            Some(steered) if steered.facts.is_same_revision(&facts) => Steered { facts, ..steered },
            before => {
                if before.is_some() {
                    // Who waits for what was there before waits in vain.
                    self.directory.remove(&key.namespace, &key.name);
                }
                Steered {
                    tracker: Arc::new(Tracker::new(Revision::new(facts.settings()), ports)),
                    facts,
                    watcher: None,
                }
            }
        });
        self.enter(&key);
        self.share(&key);
        self.tell_watcher(&key);
    }

    fn revision_gone(&mut self, key: &Key) {
        self.directory.remove(&key.namespace, &key.name);
        self.forget(key, |known| known.revision = None);
    }

    /// Its pods are not listed any more: nobody asks them, and nothing can be reached.
    fn private_gone(&mut self, key: &Key) {
        self.forget(key, |known| {
            known.private = None;
            if let Some(steered) = &mut known.revision {
                steered.watcher = None;
                steered.tracker.update(&Destinations::None);
            }
        });
    }

    fn forget(&mut self, key: &Key, forget: impl FnOnce(&mut Known)) {
        let Some(known) = self.known.get_mut(key) else {
            return;
        };
        forget(known);
        if known.revision.is_none() && known.private.is_none() && known.public.is_none() {
            self.known.remove(key);
        }
    }

    /// Finds this activator among those who send to the revision. One that is not among them keeps what it had.
    fn share(&self, key: &Key) {
        let Some(known) = self.known.get(key) else { return };
        let (Some(steered), Some(public)) = (&known.revision, &known.public) else {
            return;
        };
        let senders = senders(public, steered.facts.port_name);
        if let Some(index) = infer_index(&senders, self.settings.own) {
            steered.tracker.share(Some(index), senders.len());
        }
    }

    fn tell_watcher(&mut self, key: &Key) {
        let Some(known) = self.known.get_mut(key) else {
            return;
        };
        let (Some(steered), Some(private)) = (&mut known.revision, &known.private) else {
            return;
        };
        let sets = backends(private, steered.facts.port_name);
        let watcher = match &steered.watcher {
            Some(watcher) => watcher,
            None => {
                let (sender, receiver) = watch::channel(Some(Sets::default()));
                let (watcher, state) = self.settings.watcher(steered, &self.turns);
                watcher.start(state, receiver, &self.watch);
                steered.watcher.insert(sender)
            }
        };
        watcher.send_if_modified(|before| {
            let sets = Some(sets);
            let changed = *before != sets;
            *before = sets;
            changed
        });
    }
}

impl Settings {
    fn watcher(&self, steered: &Steered, turns: &Turns) -> (Watcher, State) {
        let facts = &steered.facts;
        let watcher = Watcher {
            tracker: Arc::clone(&steered.tracker),
            ask: Arc::clone(&self.ask),
            world: Arc::clone(&self.world),
            pace: self.pace,
            turns: turns.line(),
            service: child_name(&facts.key.name, PRIVATE),
            port_name: facts.port_name,
            passthrough_host: self.passthrough_host(&facts.key),
        };
        let state = State::new(Rules {
            mesh: self.mesh,
            passthrough: self.passthrough,
            believe_pods: facts.believe_pods,
        });
        (watcher, state)
    }

    fn passthrough_host(&self, key: &Key) -> Option<HeaderValue> {
        if !self.passthrough {
            return None;
        }
        let host = format!("{}.{}", child_name(&key.name, PRIVATE), key.namespace);
        HeaderValue::try_from(host).ok()
    }
}

/// How the name of the service ends whose endpoints are a revision's pods.
const PRIVATE: &str = "-private";

impl RevisionFacts {
    fn is_same_revision(&self, other: &Self) -> bool {
        (self.container_concurrency, self.port_name, self.believe_pods)
            == (other.container_concurrency, other.port_name, other.believe_pods)
    }
}

#[cfg(test)]
mod tests;
