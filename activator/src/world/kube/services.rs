//! Which services stand before the pods of revisions? As the API server tells of them, so that nobody has to ask it.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ::kube::{
    Api,
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher},
};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{
    follow::{Name, Synced, name},
    read,
};
use crate::{backends::endpoints::Service, world::Event};

/// All of them, by namespace and name. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Services {
    all: Arc<Mutex<HashMap<Name, Service>>>,
}

impl Services {
    /// The one of this name.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Service> {
        self.all().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Follows them until it is dropped; tells when this was the last of all that had to be known.
    pub(super) async fn follow(self, api: Api<DynamicObject>, synced: Synced, events: mpsc::Sender<Event>) {
        let config = watcher::Config::default().labels("networking.internal.knative.dev/serviceType=Private");
        let mut changes = pin!(watcher(api, config).default_backoff());
        let mut listed = HashSet::new();
        let mut is_synced = false;
        while let Some(change) = changes.next().await {
            match change {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    listed.insert(name(&object));
                    self.put(object);
                }
                Ok(watcher::Event::InitDone) => {
                    self.all().retain(|name, _| listed.contains(name));
                    listed.clear();
                    if !std::mem::replace(&mut is_synced, true) && synced.one() {
                        // Nobody to tell means that the program ends.
                        _ = events.send(Event::Synced).await;
                    }
                }
                Ok(watcher::Event::Apply(object)) => self.put(object),
                Ok(watcher::Event::Delete(object)) => _ = self.all().remove(&name(&object)),
                Err(error) => tracing::warn!(%error, "watching services was interrupted"),
            }
        }
    }

    fn put(&self, object: DynamicObject) {
        let name = name(&object);
        if let Some(service) = read(object) {
            self.all().insert(name, service);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Name, Service>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
