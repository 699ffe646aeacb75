//! What was accepted, what is warming, and what is in force: brings resources together and publishes snapshots.
//!
//! Pure but for what it asks of [`Outside`]: time is passed in. Resources are told apart by the hash of their bytes, and only
//! those that changed are read; a resource that is refused changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::process::give_way;

use crate::client::Wanted;
use crate::limits;
use crate::resource::{Kept, Kind, Raw, Update, Verdict};
use crate::translate::secret::SecretSource;
use crate::translate::{self, Context};

mod apply;
mod clusters;
pub mod counts;
mod endpoints;
mod held;
mod init;
mod listeners;
mod now;
pub mod outside;
mod read;
mod record;
mod routes;
mod secrets;
pub mod view;
mod wording;

use clusters::{Clusters, Parts};
use counts::Counts;
use endpoints::EndpointsBook;
use held::Held;
pub use held::Ticket;
use init::Init;
pub use init::{Fetched, Stage};
use listeners::{Listeners, Needs};
pub use now::Now;
use outside::Outside;
use routes::RouteBook;
use secrets::SecretBook;
use view::{Entry, Origin, View};

/// What the store goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What translation goes by.
    pub context: Context,
    /// Which kinds are fetched at all, and how long the start waits for them.
    pub fetched: Fetched,
    /// The names of runtime layers to subscribe to; they have no effect.
    pub runtime_layers: BTreeSet<Arc<str>>,
    /// How long connections of a listener that is gone drain.
    pub drain_time: Duration,
    /// What an empty set of clusters or listeners does.
    pub empty: Empty,
}

/// What an empty set of clusters or listeners does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Empty {
    /// It deletes all, as the protocol says.
    #[default]
    Deletes,
    /// It is refused where there are some (`--guard-empty`).
    Refused,
}

/// The store.
pub struct Store<O> {
    settings: Settings,
    outside: O,
    config: Handle,
    view: Arc<ArcSwap<View>>,
    books: Books,
    init: Init,
    versions: BTreeMap<Kind, Arc<str>>,
    /// The version of clusters that was last applied, as far as it went.
    applied_clusters: Option<Arc<str>>,
    held: Option<Held>,
    tickets: u64,
    decided: Vec<(Ticket, Verdict)>,
    changes: Changes,
    wanted: Wanted,
    /// Which kinds were wanted at all when that was last said; none before the first time.
    wanted_for: Option<[bool; 2]>,
    /// What was read from disk and not confirmed by a control plane since.
    unconfirmed: BTreeSet<Kind>,
    generation: u64,
    /// When what is large is packed.
    packing: Option<Instant>,
}

/// The resources of each kind.
struct Books {
    clusters: Clusters,
    endpoints: EndpointsBook,
    secrets: SecretBook,
    listeners: Listeners,
    routes: RouteBook,
}

/// What has to be published.
#[derive(Default)]
struct Changes {
    snapshot: bool,
    /// Which clusters are told of to the world.
    clusters: Vec<Arc<str>>,
    view: BTreeSet<Kind>,
    counts: Arc<Counts>,
}

/// What a change needs beside its data.
struct Tools<'a, O> {
    outside: &'a mut O,
    changes: &'a mut Changes,
    now: Now,
}

/// What becomes of an update.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is decided.
    Now(Verdict),
    /// It waits for clusters; [`Store::decided`] has the verdict later.
    Later(Ticket),
}

impl<O: Outside> Store<O> {
    /// A store that has nothing yet, and publishes in `config`.
    pub fn new(settings: Settings, outside: O, config: Handle, now: Now) -> Self {
        let books = Books {
            clusters: Clusters::default(),
            endpoints: EndpointsBook::default(),
            secrets: SecretBook::default(),
            listeners: Listeners::new(settings.drain_time),
            routes: RouteBook::default(),
        };
        let mut store = Self {
            init: Init::new(settings.fetched, now.at),
            settings,
            outside,
            config,
            view: Arc::default(),
            books,
            versions: BTreeMap::new(),
            applied_clusters: None,
            held: None,
            tickets: 0,
            decided: Vec::new(),
            changes: Changes::default(),
            wanted: Wanted::new(),
            wanted_for: None,
            unconfirmed: BTreeSet::new(),
            generation: 0,
            packing: None,
        };
        store.settle(now);
        store
    }

    /// Takes a resource of the bootstrap: secrets before clusters, clusters before listeners.
    ///
    /// # Errors
    /// When it cannot be used, in Envoy's words.
    pub fn add_static(&mut self, kind: Kind, raw: Raw, now: Now) -> Result<(), String> {
        let context = &self.settings.context;
        let why = |reject: translate::Reject| reject.to_string();
        match kind {
            Kind::Secret => {
                let secret = translate::secret::secret(&raw.body, context).map_err(why)?;
                let changes = (&mut self.changes, now);
                self.books.secrets.put(raw, secret, Origin::Static, changes);
            }
            Kind::Cluster => {
                let config = translate::cluster::cluster(&raw.body, context).map_err(why)?;
                let (parts, clusters, mut tools) = self.for_clusters(now);
                clusters.add_static(raw, config, &parts, &mut tools)?;
            }
            Kind::Listener => {
                let config = translate::listener::listener(&raw.body, context)
                    .map_err(|reject| wording::of_static_listener(&raw.name, reject))?;
                self.with_listeners(now, |listeners, _, needs, tools| {
                    listeners.add_static(raw, config, needs, tools)
                })?;
            }
            Kind::Endpoints | Kind::Routes | Kind::Runtime => {}
        }
        self.settle(now);
        Ok(())
    }

    /// Takes what a control plane says.
    pub fn apply(&mut self, update: &Update, now: Now) -> Answer {
        let answer = self.take(update, now);
        if let Answer::Now(verdict) = &answer {
            self.note(update, verdict);
        }
        self.settle(now);
        answer
    }

    /// Notes that what was applied until now came from disk: it is stale until a control plane has confirmed it.
    pub fn came_from_disk(&mut self, now: Now) {
        let kinds = [Kind::Cluster, Kind::Listener].into_iter();
        let unconfirmed = kinds.filter(|kind| self.versions.contains_key(kind));
        self.unconfirmed = unconfirmed.collect();
        self.versions.clear();
        self.applied_clusters = None;
        self.changes.view.extend(Kind::ALL);
        self.settle(now);
    }

    /// The verdicts that have become due since this was last asked.
    pub fn decided(&mut self) -> Vec<(Ticket, Verdict)> {
        std::mem::take(&mut self.decided)
    }

    /// Does what time brings: to be called at [`Store::deadline`].
    pub fn tick(&mut self, now: Now) {
        self.read_secrets_again(now);
        self.settle(now);
        self.pack(now.at);
    }

    /// When time alone changes something.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let held = self.held.as_ref().map(|held| held.until);
        let deadlines = [
            held,
            self.init.deadline(),
            self.packing,
            self.books.secrets.deadline(),
            self.books.clusters.deadline(now),
            self.books.listeners.deadline(now),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Brings everything to where it belongs after a change, and publishes.
    fn settle(&mut self, now: Now) {
        let (parts, clusters, mut tools) = self.for_clusters(now);
        clusters.tick(&parts, &mut tools);
        self.look_at_held(now);
        let holds = self.with_listeners(now, |listeners, _, needs, tools| {
            listeners.tick(needs, tools);
            listeners.hold_start(needs, tools.now.at)
        });
        let was_live = self.init.stage() == Stage::Live;
        let holding = (self.books.clusters.hold_start(now.at), holds);
        self.init.advance(now.at, holding);
        self.want();
        self.publish(now.at);
        if self.init.stage() == Stage::Live && !was_live {
            // Routes are published before the first connection asks for them.
            self.with_listeners(now, |listeners, _, needs, tools| listeners.tick(needs, tools));
            self.publish(now.at);
        }
    }

    /// Says anew which names are wanted, and forgets what is not, where clusters or listeners have changed: they name the rest.
    fn want(&mut self) {
        let wildcards = [self.init.wants_clusters(), self.init.wants_listeners()];
        let changed = |kind| self.changes.view.contains(&kind);
        if self.wanted_for == Some(wildcards) && !changed(Kind::Cluster) && !changed(Kind::Listener) {
            return;
        }
        self.wanted_for = Some(wildcards);
        let mut wanted = Wanted::new();
        for (kind, is_wanted) in [Kind::Cluster, Kind::Listener].into_iter().zip(wildcards) {
            if is_wanted {
                wanted.insert(kind, BTreeSet::new());
            }
        }
        let Books {
            clusters,
            listeners,
            endpoints,
            routes,
            secrets,
        } = &mut self.books;
        let services: BTreeSet<_> = clusters.services().map(|(name, _)| Arc::clone(name)).collect();
        let of_control_plane = clusters
            .services()
            .filter(|(_, by_control_plane)| *by_control_plane);
        let of_control_plane = of_control_plane.map(|(name, _)| Arc::clone(name)).collect();
        let named: BTreeSet<_> = listeners.routes().cloned().collect();
        let counts = &self.changes.counts;
        counts.routes.keep(listeners.route_users());
        counts.endpoints.keep(clusters.endpoint_users());
        endpoints.keep(&services, &mut self.changes);
        routes.keep(&named, &mut self.changes);
        let used = || clusters.secrets().chain(listeners.secrets());
        let all: BTreeSet<_> = used().map(|secret| Arc::clone(&secret.name)).collect();
        secrets.keep(&all, &mut self.changes);
        let by_ads = used().filter(|secret| secret.source == SecretSource::Ads);
        let by_ads: BTreeSet<_> = by_ads.map(|secret| Arc::clone(&secret.name)).collect();
        let come = used().filter(|secret| secret.source != SecretSource::Static);
        let come: BTreeSet<_> = come.map(|secret| Arc::clone(&secret.name)).collect();
        let no_prefix = Arc::default();
        let counted = come.iter().map(|name| (name, &no_prefix));
        self.changes.counts.secrets.keep(counted);
        let layers = self.settings.runtime_layers.clone();
        for (kind, names) in [
            (Kind::Endpoints, of_control_plane),
            (Kind::Secret, by_ads),
            (Kind::Routes, named),
            (Kind::Runtime, layers),
        ] {
            if !names.is_empty() {
                wanted.insert(kind, names);
            }
        }
        self.wanted = wanted;
    }

    fn publish(&mut self, now: Instant) {
        let told = std::mem::take(&mut self.changes.clusters);
        if !told.is_empty() {
            let clusters = &self.books.clusters;
            self.outside
                .clusters_changed(&told, &|name| clusters.in_force(name).cloned());
        }
        if std::mem::take(&mut self.changes.snapshot) {
            let tables = self.books.routes.tables().chain(self.books.listeners.tables());
            let clusters = self.books.clusters.published();
            self.config.publish(Snapshot::with_tables(tables, clusters));
        }
        if !told.is_empty() {
            self.outside.clusters_published();
        }
        let changed = std::mem::take(&mut self.changes.view);
        let stale = !self.unconfirmed.is_empty();
        let before = self.view.load_full();
        if changed.is_empty() && before.stale == stale {
            return;
        }
        self.generation += 1;
        let mut view = View {
            versions: self.versions.clone(),
            stale,
            ..View::clone(&before)
        };
        for kind in changed {
            let entries: Vec<_> = self
                .entries(kind)
                .into_iter()
                .inspect(|_| give_way())
                .cloned()
                .collect();
            view.resources.insert(kind, entries);
        }
        if view.bodies().any(Kept::is_packable) {
            self.packing = Some(now + limits::PACKING_DELAY);
        }
        self.view.store(Arc::new(view));
    }

    /// Packs what is large, once nothing has changed for a moment.
    fn pack(&mut self, now: Instant) {
        if self.packing.is_some_and(|at| at <= now) {
            self.packing = None;
            self.view.load().bodies().for_each(Kept::pack);
        }
    }

    fn entries(&self, kind: Kind) -> Vec<&Arc<Entry>> {
        match kind {
            Kind::Cluster => self.books.clusters.entries().collect(),
            Kind::Endpoints => self.books.endpoints.entries().collect(),
            Kind::Secret => self.books.secrets.entries().collect(),
            Kind::Listener => self.books.listeners.entries().collect(),
            Kind::Routes => self.books.routes.entries().collect(),
            Kind::Runtime => Vec::new(),
        }
    }

    fn wanted_of(&self, kind: Kind) -> BTreeSet<Arc<str>> {
        self.wanted.get(&kind).cloned().unwrap_or_default()
    }

    fn all_secrets(&self) -> BTreeSet<Arc<str>> {
        let used = self.books.clusters.secrets();
        let used = used.chain(self.books.listeners.secrets());
        used.map(|secret| Arc::clone(&secret.name)).collect()
    }

    fn for_clusters(&mut self, now: Now) -> (Parts<'_>, &mut Clusters, Tools<'_, O>) {
        let Books {
            clusters,
            endpoints,
            secrets,
            ..
        } = &mut self.books;
        let parts = Parts {
            secrets: secrets.all(),
            endpoints,
        };
        let tools = Tools {
            outside: &mut self.outside,
            changes: &mut self.changes,
            now,
        };
        (parts, clusters, tools)
    }

    fn with_listeners<T>(
        &mut self,
        now: Now,
        act: impl FnOnce(&mut Listeners, &Context, &Needs<'_>, &mut Tools<'_, O>) -> T,
    ) -> T {
        let Books {
            clusters,
            listeners,
            secrets,
            routes,
            ..
        } = &mut self.books;
        let needs = Needs {
            secrets: secrets.all(),
            routes: &|name| routes.has(name),
            unknown: &|routes| routes.unknown_cluster(|name| clusters.knows(name)),
            live: self.init.stage() == Stage::Live,
        };
        let mut tools = Tools {
            outside: &mut self.outside,
            changes: &mut self.changes,
            now,
        };
        act(listeners, &self.settings.context, &needs, &mut tools)
    }
}

impl<O> std::fmt::Debug for Store<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("stage", &self.init.stage())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
