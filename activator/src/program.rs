//! The running activator, top-down: it learns of the cluster, listens once it knows its revisions, and serves until it
//! is told to end.

mod domain;
mod encrypted;
pub mod env;
mod listeners;
pub mod network;

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
use tidegate_proxy::{
    config::Handle,
    drain::{Drain, Outcome, Watch},
    layers::Layers,
    listener::{BindError, chain::ChainError},
    process::{self, Workers},
    tls::{TlsError, identity::Identity},
};
use tokio::sync::{self, mpsc};

pub use domain::cluster_domain;

use crate::{
    backends::{ask, watch::Pace},
    directory::Directory,
    health::Health,
    limits::STOP_GRACE,
    link::Link,
    program::network::Network,
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
        (drain, watch): (Drain, Watch),
    ) -> Result<Self, StartError> {
        let registry = Registry::new();
        let directory = Directory::new(Arc::clone(&registry));
        let health = Health::default();
        let link = Link::start(settings.autoscaler.clone(), health.clone(), &watch);
        let reporter = Reporter::new(Arc::clone(&registry), settings.pod_name.clone(), link);
        let (shows, shown) = sync::watch::channel(None);
        let steering_settings = steering_settings(&settings, world, shows);
        let steering = Steering::new(steering_settings, Arc::clone(&directory), watch.clone());
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
        let config = Handle::new(wire::snapshot(Layers::new(layer)));
        let mut listeners = listeners::open(&settings.ports, settings.workers)?;
        if settings.network.is_encrypted {
            listeners.push(encrypted::open(
                settings.tls_port,
                settings.workers,
                shown,
                &watch,
            )?);
        }
        let addresses = listeners.iter().map(|listener| listener.address()).collect();
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
        outcome
    }
}

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
