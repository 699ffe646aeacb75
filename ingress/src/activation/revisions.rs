//! What follows for revisions from the clusters that change?

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use tidegate_activator::backends::Sets;
use tidegate_activator::fleet::{Fleet, Known};
use tidegate_activator::slice::infer_index;
use tidegate_activator::tracker::Ports;
use tidegate_activator::world::{Key, RevisionFacts};
use tidegate_proxy::cluster::{Address, Cluster, Status};
use tidegate_proxy::layers::timeout::Timeouts;
use tidegate_xds::translate::cluster::activation::{Activation, Protocol};
use tokio::runtime;

use super::Settings;

/// The cluster whose endpoints are all ingresses that share revisions, this one among them.
pub(crate) const PEERS: &str = "tidegate/ingress-peers";

/// Keeps the revisions, as clusters say what they are.
pub(crate) struct Revisions {
    fleet: Fleet,
    /// Where pods are asked.
    control: runtime::Handle,
    own: Option<IpAddr>,
    /// What clusters say of revisions, by name.
    said: HashMap<Arc<str>, Said>,
    /// The clusters that have their pods in another one, by that one's name.
    users: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// Those whose requests are not held any more once requests find what has changed, and where they go then.
    released: Vec<(Key, Arc<Cluster>)>,
    /// The clusters that say nothing of their revision any more: what is counted of it stays until they are gone themselves.
    silent: HashSet<Arc<str>>,
    /// Whether somebody hears of load; until that was said.
    is_reported: bool,
}

/// What a cluster says.
struct Said {
    activation: Arc<Activation>,
    /// The cluster of the pods that was last used; it may be called otherwise than what is said now.
    pods: Option<Arc<Cluster>>,
    /// Why the one that is said now is not used, if it is there.
    unfit: Option<&'static str>,
    /// Whether requests are held for it.
    is_known: bool,
    /// Whether they were before, and are not now.
    is_released: bool,
}

/// Which cluster has a name now.
type Find<'a> = &'a dyn Fn(&str) -> Option<Arc<Cluster>>;

impl Revisions {
    pub(super) fn new(fleet: Fleet, control: runtime::Handle, settings: &Settings) -> Self {
        Self {
            fleet,
            control,
            own: settings.own,
            said: HashMap::new(),
            users: HashMap::new(),
            released: Vec::new(),
            silent: HashSet::new(),
            is_reported: settings.autoscaler.is_some(),
        }
    }

    /// Takes note that clusters have changed. Done before requests find them.
    pub(crate) fn changed(&mut self, names: &[Arc<str>], find: Find<'_>) {
        let (mut concerned, mut gone) = (BTreeSet::new(), Vec::new());
        for name in names {
            let cluster = find(name);
            if &**name == PEERS {
                self.share(cluster.as_deref());
            }
            let metadata = cluster.as_ref().map(|cluster| &cluster.settings().metadata);
            match metadata.and_then(|metadata| metadata.get::<Arc<Activation>>()) {
                Some(activation) => {
                    self.say(name, activation);
                    concerned.insert(Arc::clone(name));
                }
                None => gone.extend(self.unsay(name, cluster)),
            }
            concerned.extend(self.users.get(name).into_iter().flatten().cloned());
        }
        let mut known = Vec::new();
        for name in &concerned {
            match self.known(name, find) {
                Some(now) => known.push(now),
                None => {
                    let unknown = self.unknown(name, find);
                    self.released.extend(unknown);
                }
            }
        }
        let _context = self.control.enter();
        if !gone.is_empty() {
            self.fleet.forget(&gone);
        }
        if !known.is_empty() {
            self.tell_of_reports();
            self.fleet.know(known);
        }
    }

    /// Requests find what has changed: whose requests are not held any more is let go only now. Who came meanwhile was held for
    /// want of endpoints as before, and goes to them with all others.
    pub(crate) fn published(&mut self) {
        let released = mem::take(&mut self.released);
        if !released.is_empty() {
            let _context = self.control.enter();
            self.fleet.release(&released);
        }
    }

    fn say(&mut self, name: &Arc<str>, activation: &Arc<Activation>) {
        let is_released = self.silent.remove(name);
        let users = self.users.entry(Arc::clone(&activation.pods)).or_default();
        if !users.contains(name) {
            users.push(Arc::clone(name));
        }
        let Some(said) = self.said.get_mut(name) else {
            let said = Said {
                // Where its pods are not there to be used yet, it stays so.
                is_released,
                ..Said::new(activation)
            };
            self.said.insert(Arc::clone(name), said);
            return;
        };
        let before = mem::replace(&mut said.activation, Arc::clone(activation));
        if before.pods != activation.pods {
            said.unfit = None;
        }
        self.leave_unused(&before.pods, name);
    }

    /// The revision that is not there any more, if there was one: where its cluster is, only nobody is held for it.
    fn unsay(&mut self, name: &Arc<str>, cluster: Option<Arc<Cluster>>) -> Option<Key> {
        let said = self.said.remove(name);
        if let Some(said) = &said {
            self.leave_unused(&said.activation.pods, name);
            if let Some(pods) = &said.pods {
                self.leave_unused(pods.name(), name);
            }
        }
        let was_held = said.is_some_and(|said| said.is_known || said.is_released);
        let key = (was_held || self.silent.contains(name)).then(|| key_of(name));
        let key = key.flatten()?;
        let Some(cluster) = cluster else {
            self.silent.remove(name);
            return Some(key);
        };
        self.silent.insert(Arc::clone(name));
        self.released.push((key, cluster));
        None
    }

    /// Does not follow a cluster of pods for this one any more, unless that still says or uses it.
    fn leave_unused(&mut self, pods: &str, name: &Arc<str>) {
        if self.said.get(name).is_some_and(|said| said.follows(pods)) {
            return;
        }
        if let Some(users) = self.users.get_mut(pods) {
            users.retain(|user| user != name);
            if users.is_empty() {
                self.users.remove(pods);
            }
        }
    }

    /// All that is known of a revision, once the cluster of its pods was in force; when that is gone it has no pods. Before, its
    /// requests go to its own endpoints, and only where it has none they wait.
    fn known(&mut self, name: &Arc<str>, find: Find<'_>) -> Option<Known> {
        let said = self.said.get_mut(name)?;
        let now = said.usable(name, find);
        let pods = now.as_deref().map(pods).unwrap_or_default();
        let before = said.pods.take();
        said.pods = now.or_else(|| before.clone());
        let own = || find(name).filter(|own| own.endpoints().is_empty());
        let cluster = said.pods.clone().or_else(own)?;
        (said.is_known, said.is_released) = (true, false);
        let activation = &said.activation;
        let known = Known {
            facts: facts(activation),
            ports: if activation.tls { Ports::Tls } else { Ports::Same },
            cluster,
            pods,
        };
        if let Some(before) = before {
            self.leave_unused(before.name(), name);
        }
        Some(known)
    }

    /// The revision for which requests were held as it had no endpoints of its own, and now has some again; and its cluster, which is
    /// where those go, too, whose turn is still to come.
    fn unknown(&mut self, name: &Arc<str>, find: Find<'_>) -> Option<(Key, Arc<Cluster>)> {
        let said = self.said.get_mut(name)?;
        let own = find(name)?;
        said.is_released |= mem::take(&mut said.is_known);
        said.is_released.then(|| (key(&said.activation), own))
    }

    /// Finds this ingress among those who share revisions. One that is not among them uses every pod.
    fn share(&mut self, peers: Option<&Cluster>) {
        let endpoints = peers.map(Cluster::endpoints).unwrap_or_default();
        let healthy = endpoints.iter().filter(|peer| peer.status() == Status::Healthy);
        let addresses = healthy.filter_map(|peer| match peer.address() {
            Address::Tcp(address) => Some(address.ip().to_canonical()),
            Address::Unix(_) => None,
        });
        let addresses: BTreeSet<IpAddr> = addresses.collect();
        let addresses: Vec<_> = addresses.into_iter().collect();
        let index = self.own.and_then(|own| infer_index(&addresses, own));
        let of = index.map_or(1, |_| addresses.len());
        tracing::info!(index, of, "the share of revisions");
        self.fleet.share(index, of);
    }

    fn tell_of_reports(&mut self) {
        if !self.is_reported {
            self.is_reported = true;
            tracing::info!("nobody is told of the load of revisions: there is no --autoscaler-address");
        }
    }
}

impl Said {
    fn new(activation: &Arc<Activation>) -> Self {
        Self {
            activation: Arc::clone(activation),
            pods: None,
            unfit: None,
            is_known: false,
            is_released: false,
        }
    }

    /// Whether what happens to this cluster of pods matters to it.
    fn follows(&self, pods: &str) -> bool {
        *self.activation.pods == *pods || self.pods.as_ref().is_some_and(|used| &**used.name() == pods)
    }

    /// The cluster that has the pods now. As long as another one is said that cannot be used yet, it is the one that was used before.
    fn usable(&mut self, name: &str, find: Find<'_>) -> Option<Arc<Cluster>> {
        let activation = &self.activation;
        if let Some(pods) = find(&activation.pods) {
            let unfit = unfit(activation, &pods);
            if mem::replace(&mut self.unfit, unfit) != unfit {
                tell_of_fitness(name, &pods, unfit);
            }
            if unfit.is_none() {
                return Some(pods);
            }
        }
        let used = self
            .pods
            .as_ref()
            .filter(|used| **used.name() != *activation.pods)?;
        let used = find(used.name()).unwrap_or_else(|| Arc::clone(used));
        Some(used).filter(|used| unfit(activation, used).is_none())
    }
}

fn tell_of_fitness(cluster: &str, pods: &Cluster, unfit: Option<&'static str>) {
    let pods = pods.name();
    match unfit {
        Some(why) => tracing::error!(%cluster, %pods, "the cluster of a revision's pods is not used: {why}"),
        None => tracing::info!(%cluster, %pods, "the cluster of a revision's pods is used again"),
    }
}

/// Why requests cannot go to these pods, if they cannot.
fn unfit(activation: &Activation, pods: &Cluster) -> Option<&'static str> {
    let settings = pods.settings();
    if activation.tls && settings.transport.tls.is_none() {
        return Some("they take TLS, and it has none");
    }
    let by_name = settings.discovery.is_some();
    by_name.then_some("it has them by a name, and they have to be told one by one (STATIC, EDS)")
}

/// The pods that are endpoints of a cluster. One that drains takes nothing new.
fn pods(cluster: &Cluster) -> Sets {
    let mut sets = Sets::default();
    for endpoint in cluster.endpoints().iter() {
        let Address::Tcp(address) = endpoint.address() else {
            continue;
        };
        match endpoint.status() {
            Status::Healthy => _ = sets.ready.insert(*address),
            Status::Unhealthy | Status::Degraded => _ = sets.not_ready.insert(*address),
            Status::Draining => {}
        }
    }
    sets
}

fn key(activation: &Activation) -> Key {
    Key {
        namespace: activation.namespace.to_string(),
        name: activation.revision.to_string(),
    }
}

/// The revision that a cluster is called after.
fn key_of(cluster: &str) -> Option<Key> {
    let (namespace, name) = cluster.split_once('/')?;
    Some(Key {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

fn facts(activation: &Activation) -> RevisionFacts {
    RevisionFacts {
        key: key(activation),
        service: activation.service.to_string(),
        configuration: activation.configuration.to_string(),
        container_concurrency: activation.container_concurrency,
        timeouts: Timeouts::from_seconds(
            activation.timeout_seconds,
            activation.response_start_timeout_seconds,
            activation.idle_timeout_seconds,
        ),
        port_name: match activation.protocol {
            Protocol::Http1 => "http",
            Protocol::H2c => "http2",
        },
        believe_pods: activation.probe_not_ready_pods,
    }
}
