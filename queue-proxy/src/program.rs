//! The running sidecar, top to bottom: what it is told, its state, its listeners, its workers, until it is told to end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use tidegate_knative::observability::NoAddress;
use tidegate_knative::request_log::RequestLog;
use tidegate_proxy::config::http::{DownstreamTimeouts, HttpSettings};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::{Drain, Watch};
use tidegate_proxy::layers::Layers;
use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::observe::lines::Lines;
use tidegate_proxy::process::{self, Workers};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Sidecar;
use crate::drainer::Drainer;
use crate::in_flight::{Awaited, InFlight};
use crate::limits::{
    CONNECTIONS_DRAIN_TIMEOUT, LOG_FLUSH_TIMEOUT, LOG_LINES_WAITING_MAX, SIDE_IDLE_TIMEOUT,
    STREAMS_DRAIN_TIMEOUT, WORKERS_MAX,
};
use crate::measures::Measures;
use crate::readiness::Readiness;
use crate::stats::{Loads, Page};
use crate::wire::seen::{self, Seeing};
use crate::wire::{Wire, WireLayer, settings};

pub mod env;
mod listeners;
pub mod log;
mod metrics;
mod side;
mod tls;
mod traces;

use env::{Env, EnvError};
use listeners::{Listeners, OpenError};
use log::Log;
use side::{Admin, Side};

const ADMIN: &str = "admin";
const STATS: &str = "stats";
const METRICS: &str = "metrics";
const PROFILES: &str = "profiling";

/// Why the sidecar cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What it is told is wrong.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A port is taken.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The system refused threads or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Numbers are to be shown at a place that is none.
    #[error(transparent)]
    Metrics(#[from] NoAddress),
    /// There is a certificate that cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::TlsStartError),
}

/// Serves by the variables of the process until it is told to end.
#[must_use]
pub fn run() -> ExitCode {
    let ended = Env::read(|name| std::env::var(name).ok())
        .map_err(StartError::from)
        .and_then(|env| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let ended = runtime.block_on(serve(env));
            // What is left waits for nothing any more.
            runtime.shutdown_background();
            ended
        });
    match ended {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "there may be no log yet")]
fn complain(error: &StartError) {
    eprintln!("{error}");
}

/// The sidecar once it serves.
struct Running {
    wire: Arc<Wire>,
    admin: Admin,
    drain: Drain,
    workers: Workers,
    /// Who sends spans and numbers.
    sending: Vec<JoinHandle<()>>,
    lines: Option<Lines>,
    log: Log,
}

async fn serve(env: Env) -> Result<ExitCode, StartError> {
    let mut signals = Signals::listen()?;
    let running = start(env)?;
    signals.next().await;
    running.log.info("told to end: draining");
    tokio::select! {
        () = running.end() => Ok(ExitCode::SUCCESS),
        // Who asks twice does not want to wait.
        () = signals.next() => Ok(ExitCode::FAILURE),
    }
}

fn start(env: Env) -> Result<Running, StartError> {
    let identity = &env.identity;
    let revision = format!("{}/{}", identity.namespace, identity.revision);
    let log = Log::new(&revision, &identity.pod, env.log_level);
    log::follow(log.clone());
    let (drain, watch) = Drain::new();
    let workers = workers(env.threads);
    let app = SocketAddr::from((Ipv4Addr::LOCALHOST, env.user_port));
    let loads = Arc::new(Loads::new(&identity.pod, workers.get(), Instant::now()));
    let get = |name: &str| std::env::var(name).ok();
    let collected = metrics::Collected::of(&env.observability.request_metrics, get, &log)?;
    let resource = traces::resource(identity);
    let service = env
        .otel_service_name
        .as_deref()
        .unwrap_or_else(|| identity.service_name());
    let of_service = ("service.name".to_owned(), service.to_owned());
    let lines = request_lines(&env, &log);
    let seeing = Seeing {
        log: lines.clone().and_then(|lines| request_log(&env, lines, &log)),
        measures: collected
            .is_some()
            .then(|| Measures::new(resource.iter().cloned().chain([of_service]).collect(), app)),
    };
    let wire = Arc::new(Wire {
        app,
        sidecar: Sidecar::new(env.container_concurrency, env.timeouts),
        readiness: Readiness::new(app, env.probes, watch.clone(), log.clone()),
        drainer: Drainer::new(env.quiet),
        loads: Arc::clone(&loads),
        in_flight: InFlight::default(),
        seeing,
    });
    let admin = Admin::new(Arc::clone(&wire.drainer), watch.clone());
    let page = Page::new(&loads);
    let shown = collected.as_ref().filter(|collected| collected.are_here());
    let config = Handle::new(snapshot(&wire, &admin, &page, shown.is_some()));

    let traces = traces::start(&env.observability, (resource, service), &watch, &log);
    let mut listeners = Listeners::new(workers, env.address, log.clone());
    let http = HttpSettings {
        tracing: traces.as_ref().map(|traces| traces.tracing.clone()),
        ..settings::http(env.timeouts.request)
    };
    listeners.open("main", env.ports.main, FilterChain::plain(http.clone()))?;
    listeners.open(ADMIN, env.ports.admin, FilterChain::plain(of_table(ADMIN)))?;
    listeners.open(STATS, env.ports.stats, FilterChain::plain(of_table(STATS)))?;
    if env.observability.is_profiled {
        open_for_profiles(&mut listeners, env.ports.profiling, &log);
    }
    let mut sending = Vec::new();
    if let (Some(collected), Some(measures)) = (collected, &wire.seeing.measures) {
        let listen = (&mut listeners, FilterChain::plain(of_table(METRICS)));
        sending.extend(collected.start(listen, measures.instruments(), &watch)?);
    }
    if let Some((certificate, chain)) = tls::find(&env.certificates, &env.tls, &http, &log)? {
        let listener = listeners.open("tls", env.ports.tls, chain)?;
        certificate.follow(listener, &watch, log.clone());
    }
    let workers = listeners.serve(&config, &watch)?;
    report(page, loads, &watch);
    sending.extend(traces.map(|traces| traces.sending));
    Ok(Running {
        wire,
        admin,
        drain,
        workers,
        sending,
        lines,
        log,
    })
}

/// That nobody can ask for profiles is no reason not to serve.
fn open_for_profiles(listeners: &mut Listeners, port: u16, log: &Log) {
    if let Err(error) = listeners.open(PROFILES, port, FilterChain::plain(of_table(PROFILES))) {
        log.error(format_args!("nothing listens for profiling: {error}"));
    }
}

/// Where lines about requests go, where there are to be any.
fn request_lines(env: &Env, log: &Log) -> Option<Lines> {
    if env.observability.request_log.is_empty() {
        return None;
    }
    let complain = |error: &io::Error| log.error(format_args!("requests are not logged: {error}"));
    let lines = Lines::to_stdout("request-log", LOG_LINES_WAITING_MAX);
    lines.inspect_err(complain).ok()
}

/// The request log. Requests are served whatever its template is.
fn request_log(env: &Env, lines: Lines, log: &Log) -> Option<seen::Log> {
    let template = &env.observability.request_log;
    let request_log = RequestLog::new(template, move |line| lines.say(line));
    let request_log = request_log
        .inspect_err(|error| log.error(format_args!("requests are not logged: {error}")))
        .ok()?;
    Some(seen::Log {
        log: Arc::new(request_log),
        takes_probes: env.observability.logs_probes,
        about: Arc::new(env.identity.clone()),
    })
}

fn snapshot(wire: &Arc<Wire>, admin: &Admin, page: &Page, shows_metrics: bool) -> Snapshot {
    let measures = wire.seeing.measures.as_ref().filter(|_| shows_metrics);
    let metrics = measures.map(|all| (METRICS, Side::Metrics(Arc::clone(all.instruments()))));
    let sides = [
        (ADMIN, Side::Admin(admin.clone())),
        (STATS, Side::Stats(page.clone())),
    ];
    let profiles = (PROFILES, Side::Profiles);
    let sides = sides.into_iter().chain(metrics).chain([profiles]);
    let tables = sides.map(|(name, side)| (name.into(), Layers::new(side)));
    settings::snapshot(wire.app, Layers::new(WireLayer::new(Arc::clone(wire))), tables)
}

fn of_table(name: &str) -> HttpSettings {
    let of_requests = settings::http(SIDE_IDLE_TIMEOUT);
    HttpSettings {
        route_table: name.into(),
        timeouts: DownstreamTimeouts {
            idle: SIDE_IDLE_TIMEOUT,
            ..of_requests.timeouts
        },
        ..of_requests
    }
}

/// One worker for each core that the pod may use, up to a bound.
fn workers(asked: Option<usize>) -> NonZeroUsize {
    let count = asked
        .and_then(NonZeroUsize::new)
        .unwrap_or_else(process::default_workers);
    NonZeroUsize::new(WORKERS_MAX).map_or(count, |max| count.min(max))
}

fn report(page: Page, loads: Arc<Loads>, watch: &Watch) {
    process::spawn(
        "report",
        watch.unguarded(),
        async move { page.keep(&loads).await },
    );
}

impl Running {
    /// Ends in order, as Knative does: first until nobody sends any more, then until what is under way has ended.
    async fn end(self) {
        self.admin.terminate();
        self.wire.drainer.drain().await;
        self.log.info("drained: no request comes any more");
        self.drain.start();
        self.wire.in_flight.none_left(Awaited::Always).await;
        let streams = self.wire.in_flight.none_left(Awaited::ForAWhile);
        if timeout(STREAMS_DRAIN_TIMEOUT, streams).await.is_err() {
            self.log.error("tunnels or streams are still open: they are cut");
        }
        self.drain.finish(CONNECTIONS_DRAIN_TIMEOUT).await;
        let panicked = self.workers.join();
        for sending in self.sending {
            // Bounded by itself; whether all were taken is not ours to mend.
            drop(sending.await);
        }
        if let Some(lines) = &self.lines {
            lines.flush(LOG_FLUSH_TIMEOUT);
        }
        if panicked > 0 {
            self.log
                .error(format_args!("{panicked} workers ended by a panic"));
        }
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
