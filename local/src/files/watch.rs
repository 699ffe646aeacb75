//! Whether the system tells of changes at the places of the files.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::places::Places;

/// What can be seen of the places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Every change, and so it was before.
    Clear,
    /// Every change from now on; some places are new.
    Widened,
    /// Not every change: files have to be read from time to time.
    Blind,
}

/// The system's watch.
pub(super) struct Watch {
    system: System,
    watched: BTreeSet<PathBuf>,
    shared: Arc<Shared>,
}

enum System {
    Watches(RecommendedWatcher),
    /// It was refused, and is asked for again.
    Refused,
    /// There is none.
    #[cfg(test)]
    Absent,
}

/// What the system's thread and the reading side share.
#[derive(Default)]
struct Shared {
    places: ArcSwap<Places>,
    /// A watched directory was removed or moved: its watch is dead, or follows it elsewhere.
    stale: AtomicBool,
    touched: Notify,
}

impl Watch {
    /// A watch on nothing yet.
    pub(super) fn start() -> Self {
        let shared = Arc::default();
        Self {
            system: System::ask(&shared),
            watched: BTreeSet::new(),
            shared,
        }
    }

    /// A watch that sees nothing, as where the system has none.
    #[cfg(test)]
    pub(super) fn absent() -> Self {
        Self {
            system: System::Absent,
            watched: BTreeSet::new(),
            shared: Arc::default(),
        }
    }

    /// Waits until something was touched that may change the files. Cancel-safe.
    pub(super) async fn touched(&self) {
        self.shared.touched.notified().await;
    }

    /// Watches these places, and those only.
    pub(super) fn follow(&mut self, places: Places) -> Sight {
        let refused = matches!(self.system, System::Refused);
        if self.shared.stale.swap(false, Ordering::AcqRel) || refused {
            self.system = System::ask(&self.shared);
            self.watched.clear();
        }
        let (directories, incomplete) = (places.directories.clone(), places.incomplete);
        // First what counts, then the watches: no event of theirs is missed.
        self.shared.places.store(Arc::new(places));
        let System::Watches(system) = &mut self.system else {
            return Sight::Blind;
        };
        for gone in self.watched.difference(&directories) {
            // A directory that is no more has no watch either.
            if let Err(error) = system.unwatch(gone) {
                tracing::debug!(%error, "a watch had ended before");
            }
        }
        let (kept, new): (BTreeSet<_>, BTreeSet<_>) = directories
            .into_iter()
            .partition(|directory| self.watched.contains(directory));
        let (wanted, mut watched) = (new.len(), kept);
        let before = watched.len();
        watched.extend(
            new.into_iter()
                .filter(|new| system.watch(new, RecursiveMode::NonRecursive).is_ok()),
        );
        let added = watched.len() - before;
        self.watched = watched;
        match added {
            _ if incomplete || added < wanted => Sight::Blind,
            0 => Sight::Clear,
            _ => Sight::Widened,
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("watched", &self.watched)
            .finish_non_exhaustive()
    }
}

impl System {
    fn ask(shared: &Arc<Shared>) -> Self {
        let shared = Arc::clone(shared);
        let system = notify::recommended_watcher(move |event: notify::Result<Event>| shared.on_event(event));
        system.map_or(Self::Refused, Self::Watches)
    }
}

impl Shared {
    fn on_event(&self, event: notify::Result<Event>) {
        let concern = match event {
            Ok(event) if is_reading(event.kind) => false,
            Ok(event) => {
                let places = self.places.load();
                let ends = matches!(
                    event.kind,
                    EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
                );
                if ends && event.paths.iter().any(|path| places.directories.contains(path)) {
                    self.stale.store(true, Ordering::Release);
                }
                // Without a path: the system lost count of what happened.
                event.need_rescan() || event.paths.iter().any(|path| places.concern(path))
            }
            Err(_) => true,
        };
        if concern {
            self.touched.notify_one();
        }
    }
}

/// Whether an event only tells that something was opened or read, as we do ourselves.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
