//! The running activator, top-down: it learns of the cluster, listens once it knows its revisions, and serves until it
//! is told to end.

mod domain;
mod encrypted;
pub mod env;
mod listeners;
pub mod network;
pub mod observe;
mod side;

#[cfg(feature = "kubernetes")]
pub mod log;
#[cfg(feature = "kubernetes")]
pub mod run;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use http::Uri;
use tidegate_knative::observability::Listen;
use tidegate_proxy::{
    config::{Handle, http::HttpSettings},
    drain::{Drain, Outcome, Watch},
    layers::Layers,
    listener::{BindError, Listener, chain::ChainError},
    process::{self, Workers},
    tls::{TlsError, identity::Identity, terms::Terms},
};
use tokio::sync::{self, mpsc};

pub use domain::cluster_domain;

use crate::{
    backends::{ask, watch::Pace},
    directory::Directory,
    health::Health,
    limits::STOP_GRACE,
    link::Link,
    measures::{Counting, Measures},
    program::{
        network::Network,
        observe::{Observing, Telling},
        side::Side,
    },
    registry::Registry,
    reporter::Reporter,
    steering::{self, Steering},
    wire::{self, WireLayer},
    world::{Event, World},
};

/// What the program goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Under which name it reports (`POD_NAME`).
    pub pod_name: String,
    /// Its own address (`POD_IP`).
    pub own: IpAddr,
    /// Where it listens.
    pub ports: Vec<u16>,
    /// Where it listens for TLS, where pods are connected to over TLS too.
    pub tls_port: u16,
    /// How TLS is spoken there.
    pub tls: Terms,
    /// Where the autoscaler listens.
    pub autoscaler: Uri,
    /// How the names of the cluster's services end.
    pub cluster_domain: String,
    /// How pods can be addressed.
    pub network: Network,
    /// When pods are asked whether they are ready.
    pub pace: Pace,
    /// How many threads carry traffic.
    pub workers: NonZeroUsize,
}

/// The running program. Dropping it cuts everything.
#[derive(Debug)]
pub struct Program {
    addresses: Vec<SocketAddr>,
    registry: Arc<Registry>,
    health: Health,
    drain: Drain,
    workers: Workers,
    observing: Observing,
}

/// Why it could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// What is listened for makes no sense.
    #[error(transparent)]
    Chains(#[from] ChainError),
    /// The system refused a thread.
    #[error("threads cannot be started: {0}")]
    Threads(#[from] io::Error),
    /// What it is to show does not go together.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The cluster asks for TLS, and there is nothing to show.
    #[error(
        "system-internal-tls is enabled, and there is no secret routing-serving-certs with tls.crt and tls.key"
    )]
    NoCertificate,
    /// Nobody tells of the cluster any more.
    #[error("the cluster is not told of any more")]
    Blind,
}

impl Program {
    /// Starts it: returns once it serves, which is when all of `events` up to [`Event::Synced`] has been taken.
    ///
    /// The drain is its own from here on; what tells of the cluster may end with its watch.
    ///
    /// # Errors
    /// Why it does not serve.
    pub async fn start(
        settings: Settings,
        world: Arc<dyn World>,
        events: mpsc::Receiver<Event>,
        drain: (Drain, Watch),
    ) -> Result<Self, StartError> {
        Self::start_telling(settings, &Telling::default(), world, events, drain).await
    }

    /// The same, which tells of its requests as `telling` says.
    ///
    /// # Errors
    /// Why it does not serve.
    pub async fn start_telling(
        settings: Settings,
        telling: &Telling,
        world: Arc<dyn World>,
        events: mpsc::Receiver<Event>,
        (drain, watch): (Drain, Watch),
    ) -> Result<Self, StartError> {
        let observing = Observing::start(telling, &watch)?;
        let measures = observing.seeing.measures.clone();
        let registry = Registry::new();
        let directory = Directory::new(Arc::clone(&registry));
        let health = Health::default();
        let link = link(&settings, &health, measures.clone(), &watch);
        let sink = Counting::new(measures, Arc::clone(&registry), link);
        let reporter = Reporter::new(Arc::clone(&registry), settings.pod_name.clone(), sink);
        let (shows, shown) = sync::watch::channel(None);
        let steering_settings = steering_settings(&settings, world, shows);
        let steering = Steering::new(steering_settings, Arc::clone(&directory), watch.clone());
        let live = observing.live.clone();
        let steering = steering.telling(move |config| live.config(config));
        let (synced, mut is_synced) = sync::watch::channel(false);
        process::spawn("steering", watch.unguarded(), steering.run(events, synced));
        is_synced
            .wait_for(|synced| *synced)
            .await
            .map_err(|_gone| StartError::Blind)?;

        let layer = WireLayer::new(
            directory,
            Arc::clone(&reporter),
            health.clone(),
            &settings.cluster_domain,
            (),
        );
        let layer = layer.seen_by(Arc::clone(&observing.seeing));
        let config = Handle::new(wire::snapshot_beside(Layers::new(layer), sides(&observing)));
        let http = HttpSettings {
            tracing: observing.tracing.clone(),
            ..wire::http_settings()
        };
        let mut listeners = listeners::open(&settings.ports, settings.workers, &http)?;
        if settings.network.is_encrypted {
            let terms = encrypted::Terms {
                http,
                tls: settings.tls.clone(),
            };
            let (port, workers) = (settings.tls_port, settings.workers);
            listeners.push(encrypted::open(port, workers, shown, terms, &watch)?);
        }
        let addresses = listeners.iter().map(|listener| listener.address()).collect();
        listeners.extend(beside(telling, settings.workers)?);
        let workers = listeners::serve(listeners, settings.workers, &config, &watch)?;
        let forced = watch.forced();
        process::spawn("reporter", watch.unguarded(), async move {
            tokio::select! {
                () = forced => {}
                () = reporter.run() => {}
            }
        });
        Ok(Self {
            addresses,
            registry,
            health,
            drain,
            workers,
            observing,
        })
    }

    /// Where it listens, in the order of its ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Its revisions.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Whether it is healthy.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Ends it: serves on, unhealthy, for `delay`, so that nobody sends here any more; then lets what is under way
    /// finish.
    pub async fn stop(self, delay: Duration) -> Outcome {
        self.health.stop();
        tokio::time::sleep(delay).await;
        let outcome = self.drain.finish(STOP_GRACE).await;
        let panicked = self.workers.join();
        if panicked > 0 {
            tracing::error!(panicked, "threads ended by a panic");
        }
        self.observing.end().await;
        outcome
    }
}

/// The connection to the autoscaler, which is counted where anything is.
fn link(settings: &Settings, health: &Health, measures: Option<Arc<Measures>>, watch: &Watch) -> Link {
    let tell = move |is_connected| {
        if let Some(measures) = &measures {
            measures.connected(is_connected);
        }
    };
    Link::telling(settings.autoscaler.clone(), health.clone(), watch, tell)
}

/// What answers on the ports beside, by the names of their tables.
fn sides(observing: &Observing) -> Vec<(Arc<str>, Layers)> {
    let measures = observing.seeing.measures.as_ref();
    let metrics = measures.map(|measures| Side::Metrics(Arc::clone(measures.instruments())));
    let metrics = metrics.map(|side| (METRICS.into(), Layers::new(side)));
    let profiles = Side::Profiles(Arc::clone(&observing.live.is_profiled));
    let profiles = (PROFILES.into(), Layers::new(profiles));
    metrics.into_iter().chain([profiles]).collect()
}

/// Listens on those ports. That nobody can take profiles is no reason not to serve.
fn beside(telling: &Telling, workers: NonZeroUsize) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::new();
    if let Some(Listen { host, port }) = telling.scraped {
        let listener = listeners::beside(METRICS, (host, port), workers)?;
        tracing::info!(address = %listener.address(), "listening for Prometheus");
        listeners.push(listener);
    }
    if let Some(port) = telling.profiling_port {
        match listeners::beside(PROFILES, (None, port), workers) {
            Ok(listener) => {
                tracing::info!(address = %listener.address(), "listening for profiling");
                listeners.push(listener);
            }
            Err(error) => tracing::warn!(%error, "nothing listens for profiling"),
        }
    }
    Ok(listeners)
}

const METRICS: &str = "metrics";
const PROFILES: &str = "profiles";

fn steering_settings(
    settings: &Settings,
    world: Arc<dyn World>,
    shows: sync::watch::Sender<Option<Identity>>,
) -> steering::Settings {
    steering::Settings {
        own: settings.own,
        mesh: settings.network.mesh,
        passthrough: settings.network.passthrough,
        pace: settings.pace,
        ask: Arc::new(ask::Plain),
        world,
        encrypted: settings.network.is_encrypted.then_some(shows),
    }
}
