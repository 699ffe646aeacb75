//! `tidegate up`: files in, services out, all in one process. Puts the parts together and runs them to the end.

mod check;
mod error;
mod events;
mod fleet;
mod serve;
mod settings;
mod signals;
mod site;

use std::sync::Arc;

use http::HeaderName;
use tidegate_activator::reporter::Reporter;
use tidegate_activator::{ActivatorLayer, Registry};
use tidegate_knative::headers;
use tidegate_proxy::admin::{self, Admin, Readiness};
use tidegate_proxy::config::Handle;
use tidegate_proxy::drain::{Drain, Watch};
use tidegate_proxy::layers::Layers;
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::process::{self, Workers};
use tidegate_queue_proxy::QueueProxyLayer;
use tower::ServiceBuilder;

use crate::address::ListenAddress;
use crate::board::Board;
use crate::clock::Clock;
use crate::files::Watcher;
use crate::guardian::{Guardian, GuardianProgram, GuardianTask};
use crate::host::Host;
use crate::instance::Instance;
use crate::launcher::Workshop;
use crate::limits::{METRICS_UPKEEP, STOP_GRACE};
use crate::output::Terminal;
use crate::ports::Ports;
use crate::revision::Surroundings;
use crate::state::StateDir;

use events::Events;
use fleet::{Fleet, Parts, Switchboard};
use serve::Front;
use signals::Signals;
use site::Site;

pub use error::UpError;
pub use settings::Settings;

/// What `up` needs of the recorder that the program has installed.
pub struct Metrics {
    /// Renders the page `/metrics`.
    pub render: Box<dyn Fn() -> String + Send + Sync>,
    /// Folds what was measured into the recorder's sums: without it memory grows with each measurement until
    /// somebody looks at the page.
    pub upkeep: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Serves until it is asked to stop.
///
/// The recorder of `metrics` has to be installed already.
///
/// # Errors
/// When it could not start, or was asked a second time to stop.
pub fn run(settings: Settings, terminal: &Terminal, metrics: Metrics) -> Result<(), UpError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(up(settings, terminal.clone(), metrics));
    // What is left are tasks that wait for nothing any more, such as admin connections.
    runtime.shutdown_background();
    ended
}

async fn up(settings: Settings, terminal: Terminal, metrics: Metrics) -> Result<(), UpError> {
    let mut signals = Signals::listen()?;
    let opened = Watcher::open(&settings.paths, settings.defaults()).await;
    let (mut watcher, objects) = opened.map_err(UpError::Objects)?;
    let mut workshop = Workshop::new(settings.run.clone())?;
    let problems = check::problems(&objects, &mut workshop).await;
    if !problems.is_empty() {
        return Err(UpError::Objects(problems));
    }

    let front = Front::bind(&settings.http, settings.workers, &edge()).map_err(port("--http"))?;
    let admin = admin::bind(settings.admin).map_err(port("--admin"))?;
    let planning =
        tidegate_controller::Settings::new(&settings.domain, front.port()).map_err(UpError::Domain)?;
    let state = StateDir::open(settings.state_dir.as_deref(), &settings.paths, &terminal)?;

    let (traffic, traffic_watch) = Drain::new();
    let (tasks, tasks_watch) = Drain::new();
    let (host, guardian) = host(&state, &terminal, tasks_watch).await?;
    let board = Board::default();
    let surroundings = Surroundings {
        host,
        clock: Clock::start(),
        board: board.clone(),
    };
    let config = Handle::default();
    let (fleet, reporter) = fleet(&settings, workshop, surroundings, config.clone());
    let mut site = Site::new(fleet, planning, state, board.clone());
    site.begin(objects).await?;

    let addresses = (front.port(), admin.local_addr()?);
    let workers = front.serve(&config, &traffic_watch)?;
    let readiness = Readiness::default();
    watch_over(admin, &readiness, &board, metrics, &traffic_watch);
    process::spawn("reporter", traffic_watch.unguarded(), async move {
        reporter.run().await;
    });
    welcome(&terminal, &board, &settings.http, addresses);
    readiness.set_ready();

    loop {
        tokio::select! {
            change = watcher.next() => site.on_change(change).await,
            news = board.news() => site.on_news(news).await,
            () = signals.next() => break,
        }
    }

    readiness.set_unready();
    terminal.event("stopping: requests under way may finish; Ctrl-C once more ends at once");
    let ending = Ending {
        traffic,
        tasks,
        workers,
        guardian,
        site,
        settings,
    };
    tokio::select! {
        () = ending.run(&terminal) => Ok(()),
        () = signals.next() => Err(UpError::StoppedAtOnce),
    }
}

/// The listeners are external: nobody outside says what only Knative's parts say to each other. Nobody probes the
/// network here either.
fn edge() -> EdgePolicy {
    let names = headers::STRIPPED_AT_THE_EDGE
        .into_iter()
        .chain([headers::NETWORK_PROBE]);
    EdgePolicy::removing(names.map(HeaderName::from_static))
}

fn port(flag: &'static str) -> impl Fn(tidegate_proxy::listener::BindError) -> UpError {
    move |error| UpError::Port { flag, error }
}

/// The surroundings of replicas; ends first what an earlier run that was killed has left.
async fn host(state: &StateDir, terminal: &Terminal, tasks: Watch) -> Result<(Host, GuardianTask), UpError> {
    let instance = Instance::generate();
    if let Some(earlier) = state.begin_instance(&instance)? {
        let swept = crate::guardian::sweep(&earlier).await;
        if !swept.is_clean() {
            terminal.event("ended what an earlier run had left behind");
        }
    }
    let program = GuardianProgram::current()?;
    let (guardian, task) = Guardian::start(instance.clone(), program, &tasks)?;
    Ok((
        Host {
            instance,
            guardian,
            terminal: terminal.clone(),
            ports: Ports::new(),
            tasks,
        },
        task,
    ))
}

/// The revisions' home, and the reporter of their load.
fn fleet(
    settings: &Settings,
    workshop: Workshop,
    surroundings: Surroundings,
    config: Handle,
) -> (Fleet, Arc<Reporter>) {
    let (registry, switchboard) = (Registry::new(), Switchboard::default());
    let line = switchboard.clone();
    let reporter = Reporter::new(Arc::clone(&registry), "tidegate-up", move |revision: &_, stat| {
        line.stat(revision, &stat);
    });
    let observer = Events {
        terminal: surroundings.host.terminal.clone(),
    };
    let activator = ActivatorLayer::new(Arc::clone(&registry), Arc::clone(&reporter), observer)
        .bounded(config.overload());
    let layers = Layers::new(
        ServiceBuilder::new()
            .layer(activator)
            .layer(QueueProxyLayer)
            .into_inner(),
    );
    let autoscaler = settings.autoscaler.clone();
    let parts = Parts {
        workshop,
        registry,
        layers,
        config,
        autoscaler,
        surroundings,
        switchboard,
    };
    (Fleet::new(parts), reporter)
}

/// Serves the admin pages, and keeps the metrics small.
fn watch_over(
    admin: std::net::TcpListener,
    readiness: &Readiness,
    board: &Board,
    metrics: Metrics,
    drain: &Watch,
) {
    let Metrics { render, upkeep } = metrics;
    let board = board.clone();
    let pages = Admin::new(readiness.clone())
        .metrics(render)
        .json("/services", move || board.json());
    process::spawn("admin", drain.unguarded(), pages.serve(admin, drain.clone()));
    process::spawn("metrics-upkeep", drain.unguarded(), async move {
        let mut turns = tokio::time::interval(METRICS_UPKEEP);
        loop {
            turns.tick().await;
            upkeep();
        }
    });
}

fn welcome(terminal: &Terminal, board: &Board, http: &ListenAddress, addresses: (u16, std::net::SocketAddr)) {
    for line in board.table() {
        terminal.event(&line);
    }
    let (port, admin) = addresses;
    let shown = http.shown(port);
    terminal.event(&format!(
        "serving on http://{shown}, admin on http://{admin}; Ctrl-C stops"
    ));
}

/// Everything that has to end, in its order.
struct Ending {
    traffic: Drain,
    tasks: Drain,
    workers: Workers,
    guardian: GuardianTask,
    site: Site,
    settings: Settings,
}

impl Ending {
    /// Requests first, then the replicas that answer them, then what watches over the replicas.
    async fn run(self, terminal: &Terminal) {
        let outcome = self.traffic.finish(self.settings.drain_timeout).await;
        if outcome.forced > 0 {
            terminal.event(&format!(
                "cut {} connections that were not done in time",
                outcome.forced
            ));
        }
        let instance = self.site.instance();
        self.site.end().await;
        // What left its process group is no replica's any more; it carries our mark all the same.
        crate::guardian::sweep(&instance).await;
        self.guardian.finish().await;
        self.tasks.finish(STOP_GRACE).await;
        let panicked = self.workers.join();
        if panicked > 0 {
            tracing::error!(panicked, "worker threads ended by a panic");
        }
    }
}
