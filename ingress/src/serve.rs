//! The running program: puts store, listeners, workers and control plane together, and runs them to the end.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tidegate_proxy::config::Handle;
use tidegate_proxy::drain::{Drain, Watch};
use tidegate_proxy::overload as proxy;
use tidegate_proxy::process;
use tidegate_xds::client::{Delivery, Wanted};
use tidegate_xds::resource::{Kind, Raw};
use tidegate_xds::store::counts::Counts;
use tidegate_xds::store::view::View;
use tidegate_xds::store::{self, Now, Store};
use tidegate_xds::translate::bootstrap::Overload;
use tidegate_xds::translate::listener::access_log::Sinks;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::activation::{self, Activators};
use crate::drain::{self, Before};
use crate::keeper::Keeper;
use crate::lifecycle::{End, Lifecycle};
use crate::limits::DELIVERIES_WAITING_MAX;
use crate::listeners::{Listeners, Manners};
use crate::snapshot_file::{self, Directory, DirectoryError};
use crate::world::World;
use crate::{traces, workers};

/// What the program is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many threads carry traffic (`--concurrency`).
    pub workers: NonZeroUsize,
    /// How connections are parted with.
    pub manners: Manners,
    /// How long a SIGTERM drains that comes without a drain before it (`--drain-on-sigterm`).
    pub drain_on_sigterm: Duration,
    /// What it may use of memory and connections.
    pub overload: Overload,
    /// What it is told about itself among those who activate revisions.
    pub activation: activation::Settings,
    /// What the store goes by.
    pub store: store::Settings,
    /// The resources of the bootstrap: secrets, then clusters, then listeners.
    pub static_resources: Vec<(Kind, Raw)>,
    /// The last good configuration on disk.
    pub snapshot: Option<snapshot_file::Settings>,
}

/// The running program, for whoever serves its admin endpoints and talks to its control plane.
#[derive(Debug)]
pub struct Program {
    /// How far it has got, and what it is told.
    pub lifecycle: Lifecycle,
    /// Its listeners.
    pub listeners: Listeners,
    /// What it knows.
    pub view: Arc<ArcSwap<View>>,
    /// What it has counted.
    pub counts: Arc<Counts>,
    /// What is in force.
    pub config: Handle,
    /// The revisions that requests wait for here.
    pub activators: Activators,
    /// Which names are to be subscribed to.
    pub wanted: watch::Receiver<Wanted>,
    /// Which files resources are to be read from.
    pub files: watch::Receiver<BTreeSet<(Kind, Arc<Path>)>>,
    /// The files that access logs write to.
    pub sinks: Sinks,
    /// Takes what control planes and files say.
    pub deliveries: mpsc::Sender<Delivery>,
    /// Ends with the traffic.
    pub watch: Watch,
}

/// Why the program could not start, or go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system refused threads or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A resource of the bootstrap cannot be used; in Envoy's words.
    #[error("{0}")]
    Resource(String),
    /// The directory for the last good configuration cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It had started, and a part of it has panicked since.
    #[error("a part of the program has panicked: its lines above say where")]
    Broken,
}

/// Serves until it is told to end. `attach` is called in the control runtime once all is set up: it starts what talks to
/// operators and control planes.
///
/// # Errors
/// When it could not start.
pub fn run(
    settings: Settings,
    attach: impl FnOnce(Program) -> Result<(), StartError>,
) -> Result<(), StartError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(settings, attach));
    // What is left waits for nothing any more.
    runtime.shutdown_background();
    ended
}

async fn serve(
    mut settings: Settings,
    attach: impl FnOnce(Program) -> Result<(), StartError>,
) -> Result<(), StartError> {
    let mut signals = Signals::listen(settings.store.context.sinks.clone())?;
    let lifecycle = Lifecycle::new();
    settings.store.context.readiness = lifecycle.readiness();
    let (traffic, watch) = Drain::new();
    let config = Handle::default().bounded(bounds(settings.overload));
    follow_memory(&config, &watch);
    let (seats, workers) = workers::start(settings.workers, &config, &lifecycle, &watch)?;
    let control = runtime::Handle::current();
    traces::start(&settings.store.context.traces, &config, &watch);
    let connections_max = settings.overload.connections_max;
    let connections_max = connections_max.map(|max| usize::try_from(max).unwrap_or(usize::MAX));
    let listeners = Listeners::new(seats, settings.manners, connections_max, control, watch.clone());
    let (activator, revisions, activators) = activation::start(&settings.activation, &config, &watch);
    settings.store.context.activator = Some(activator);
    let world = World {
        listeners: listeners.clone(),
        revisions,
    };
    let mut store = Store::new(settings.store.clone(), world, config.clone(), Now::read());
    for (kind, raw) in settings.static_resources {
        let added = store.add_static(kind, raw, Now::read());
        added.map_err(StartError::Resource)?;
    }
    let saved = restore(&mut store, settings.snapshot)?;
    let (view, counts) = (Arc::clone(store.view()), Arc::clone(store.counts()));
    let keeper = Keeper::new(store, lifecycle.clone(), saved);
    let (deliveries, inbox) = mpsc::channel(DELIVERIES_WAITING_MAX);
    let program = Program {
        lifecycle: lifecycle.clone(),
        listeners: listeners.clone(),
        view,
        counts,
        config,
        activators,
        wanted: keeper.wanted.subscribe(),
        files: keeper.files.subscribe(),
        sinks: settings.store.context.sinks.clone(),
        deliveries,
        watch: watch.clone(),
    };
    let over = watch.clone();
    let vital = lifecycle.vital("store");
    let keeping = on_a_thread("store", move || async move {
        step_back();
        let _vital = vital;
        keeper.run(inbox, over).await;
    })?;
    attach(program)?;

    let following = drain::follow(lifecycle.orders(), &listeners, &traffic, &watch);
    let (end, before) = until_told(&mut signals, &lifecycle, following).await;
    let grace = match (end, before) {
        (End::Quit, _) | (_, Before::Drained) => Duration::ZERO,
        (End::Terminate | End::Broken, Before::Serving) => settings.drain_on_sigterm,
    };
    tracing::info!(?end, grace_s = grace.as_secs(), "the program ends");
    tokio::select! {
        () = drain::end(&listeners, traffic, grace) => {}
        // Who asks twice does not want to wait; dropping the drain cuts what is left.
        () = signals.next() => {}
    }
    let panicked = workers.join();
    if panicked > 0 || keeping.join().is_err() {
        tracing::error!(panicked, "threads ended by a panic");
    }
    match lifecycle.orders().borrow().end {
        Some(End::Broken) => Err(StartError::Broken),
        _ => Ok(()),
    }
}

/// What all workers hold together.
fn bounds(settings: Overload) -> proxy::Overload {
    proxy::Overload::new(proxy::OverloadSettings {
        memory_bytes_max: settings.memory_bytes_max,
        ..proxy::OverloadSettings::default()
    })
}

/// Looks at how much memory there is, where that has a bound.
fn follow_memory(config: &Handle, watch: &Watch) {
    let following = config.overload().clone().follow_memory();
    process::spawn("memory", watch.unguarded(), async move {
        if let Err(error) = following.await {
            tracing::error!(%error, "the bound of fixed_heap does not hold");
        }
    });
}

/// Follows what the program is told until it is to end; a signal tells it so.
async fn until_told(
    signals: &mut Signals,
    lifecycle: &Lifecycle,
    following: impl Future<Output = (End, Before)>,
) -> (End, Before) {
    let mut following = std::pin::pin!(following);
    loop {
        tokio::select! {
            ended = &mut following => return ended,
            () = signals.next() => lifecycle.end(End::Terminate),
        }
    }
}

/// Reads the last good configuration, and starts to keep the next.
fn restore(
    store: &mut Store<World>,
    settings: Option<snapshot_file::Settings>,
) -> Result<Option<watch::Sender<u64>>, StartError> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let directory = Directory::open(&settings.directory)?;
    match snapshot_file::load(&directory, &settings, SystemTime::now()) {
        Ok(Some(updates)) => {
            for update in &updates {
                // What it was refused for stands in the entry, as it does for one of a control plane.
                _ = store.apply(update, Now::read());
            }
            store.came_from_disk(Now::read());
            tracing::warn!("serving the last good configuration from disk until a control plane answers");
        }
        Ok(None) => {}
        Err(refused) => {
            let directory = settings.directory.display();
            tracing::warn!(%directory, %refused, "the snapshot on disk is not used");
        }
    }
    let (saved, changes) = watch::channel(store.generation());
    let view = Arc::clone(store.view());
    // Ends with its sender, the store's task; nobody waits for the disk.
    drop(on_a_thread("snapshot", move || {
        step_back();
        snapshot_file::keep(directory, settings, view, changes)
    })?);
    Ok(Some(saved))
}

/// Has this thread, which takes in configuration, take less of a core that carries traffic too.
fn step_back() {
    if let Err(error) = process::step_back() {
        tracing::debug!(%error, "this thread takes as much of a core as those that carry traffic");
    }
}

/// Runs a task on a thread of its own, so that it can take its time.
pub(crate) fn on_a_thread<F: Future<Output = ()>>(
    name: &'static str,
    make: impl FnOnce() -> F + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    process::start_thread(name, move || runtime.block_on(make()))
}

/// Opens the files of access logs anew: after they were renamed, the next line goes to one of the old name.
pub(crate) fn reopen(sinks: &Sinks) {
    for sink in sinks.all() {
        sink.reopen();
    }
}

/// SIGTERM and SIGINT. SIGUSR1 opens access logs anew and SIGHUP changes nothing, as with Envoy.
struct Signals {
    sinks: Sinks,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reopen: Signal,
}

impl Signals {
    fn listen(sinks: Sinks) -> io::Result<Self> {
        Ok(Self {
            sinks,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {}
                _ = self.reopen.recv() => reopen(&self.sinks),
            }
        }
    }
}
