//! Which revisions does the program know, and what does it know of each?
//!
//! Requests look them up by namespace and name without a lock. What is learned of a revision anew does not touch the
//! requests that wait for it.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tidegate_proxy::{cluster::Cluster, layers::timeout::Timeouts};

use crate::{registry::Registry, throttle::Revision, world::Key};

/// A revision, and how its requests are treated.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its pods, and who waits for them.
    pub revision: Arc<Revision>,
    /// How long its requests may take.
    pub timeouts: Timeouts,
    /// How its pods are connected to.
    pub cluster: Arc<Cluster>,
    /// The Host that its pods are addressed by, where a mesh passes requests to single ones.
    pub passthrough_host: Option<HeaderValue>,
}

type Names = HashMap<Box<str>, Arc<Entry>>;

/// All revisions that the program knows.
#[derive(Debug)]
pub struct Directory {
    registry: Arc<Registry>,
    namespaces: ArcSwap<HashMap<Box<str>, Arc<Names>>>,
}

impl Directory {
    /// One without revisions; those that it gets are in `registry` too, until they are removed.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Arc<Self> {
        Arc::new(Self {
            registry,
            namespaces: ArcSwap::default(),
        })
    }

    /// The revision of this name. Takes no lock.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        let namespaces = self.namespaces.load();
        namespaces.get(namespace)?.get(name).map(Arc::clone)
    }

    /// The revision that a cluster is called after: `namespace/name`. Takes no lock.
    #[must_use]
    pub fn of_cluster(&self, name: &str) -> Option<Arc<Entry>> {
        let (namespace, name) = name.split_once('/')?;
        self.get(namespace, name)
    }

    /// Adds a revision, or replaces what is known of it.
    pub fn insert(&self, entry: Entry) {
        self.extend(vec![entry]);
    }

    /// Adds revisions, or replaces what is known of them: each map is copied once.
    pub fn extend(&self, entries: Vec<Entry>) {
        let revisions: Vec<_> = entries.iter().map(|entry| Arc::clone(&entry.revision)).collect();
        self.registry.insert_all(&revisions);
        let mut by_namespace: HashMap<String, Vec<Arc<Entry>>> = HashMap::new();
        for entry in entries {
            let namespace = entry.revision.settings().namespace.clone();
            by_namespace.entry(namespace).or_default().push(Arc::new(entry));
        }
        for (namespace, entries) in by_namespace {
            self.change(&namespace, |names| {
                let named = entries.iter().map(|entry| {
                    let name = entry.revision.settings().name.as_str();
                    (name.into(), Arc::clone(entry))
                });
                names.extend(named);
            });
        }
    }

    /// Takes a revision out, and refuses what waits for it.
    pub fn remove(&self, namespace: &str, name: &str) {
        self.change(namespace, |names| {
            names.remove(name);
        });
        self.registry.remove(&format!("{namespace}/{name}"));
    }

    /// Takes revisions out, as [`remove`](Self::remove) takes out one: each map is copied once.
    pub fn remove_all(&self, keys: &[Key]) {
        self.hide(keys);
        let keys: Vec<_> = keys
            .iter()
            .map(|key| format!("{}/{}", key.namespace, key.name))
            .collect();
        self.registry
            .remove_all(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Lets no request find these revisions. What is counted of them is in the registry all the same.
    pub(crate) fn hide(&self, keys: &[Key]) {
        let mut by_namespace: HashMap<&str, Vec<&str>> = HashMap::new();
        for key in keys {
            by_namespace.entry(&key.namespace).or_default().push(&key.name);
        }
        for (namespace, gone) in by_namespace {
            self.change(namespace, |names| {
                for name in &gone {
                    names.remove(*name);
                }
            });
        }
    }

    /// What its revisions are in as well.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Only the namespace that changes is copied.
    fn change(&self, namespace: &str, change: impl Fn(&mut Names)) {
        self.namespaces.rcu(|namespaces| {
            let mut namespaces = HashMap::clone(namespaces);
            let names = namespaces.get(namespace).map(|names| Names::clone(names));
            let mut names = names.unwrap_or_default();
            change(&mut names);
            match names.is_empty() {
                true => _ = namespaces.remove(namespace),
                false => _ = namespaces.insert(namespace.into(), Arc::new(names)),
            }
            namespaces
        });
    }
}
