//! The proxy as it is compared: one worker, 1 000 hosts, header edits, edge policy and metrics, nothing switched off.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use http::HeaderName;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tidegate_knative::headers::STRIPPED_AT_THE_EDGE;
use tidegate_proxy::Proxy;
use tidegate_proxy::config::Handle;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::drain::Drain;
use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
use tidegate_proxy::listener::{Listener, ListenerSettings};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::observe::metrics as names;
use tidegate_proxy::process::Workers;
use tidegate_proxy::tls::identity::Identity;
use tidegate_proxy::tls::server::ServerTls;

use crate::fixture::{self, Activated};

/// How often the recorder folds its samples, as any program of ours does.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What stands between the routes and the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Chain {
    /// Nothing: what an ingress is.
    Plain,
    /// The activator and the sidecar, as in `tidegate up`; the one replica takes any number of requests.
    Revision,
}

/// Files with a certificate and its key, both PEM: with them it listens for TLS.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Pair {
    fn read(&self) -> anyhow::Result<ServerTls> {
        let (certificate, key) = (std::fs::read(&self.certificate)?, std::fs::read(&self.key)?);
        Ok(ServerTls::showing(vec![Identity::from_pem(&certificate, &key)?])?)
    }
}

/// Serves until the process is ended. Prints `listening on ADDRESS` when it takes connections.
///
/// # Errors
/// When it cannot listen or start.
pub fn run(backend: SocketAddr, chain: Chain, pair: Option<Pair>) -> anyhow::Result<()> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Full(names::REQUEST_SECONDS.into()),
            names::REQUEST_SECONDS_BUCKETS,
        )?
        .install_recorder()?;
    names::describe();
    thread::Builder::new()
        .name("upkeep".into())
        .spawn(move || upkeep(&recorder))?;

    let snapshot = match chain {
        Chain::Plain => fixture::snapshot(fixture::HOSTS, backend)?,
        Chain::Revision => {
            let activated = Activated::new(0);
            activated.ready([backend]);
            activated.snapshot(fixture::HOSTS)?
        }
    };
    let config = Handle::new(snapshot);
    let edge = EdgePolicy::removing(STRIPPED_AT_THE_EDGE.map(HeaderName::from_static));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let http = HttpSettings {
        edge,
        ..HttpSettings::default()
    };
    let chain = match pair {
        Some(pair) => FilterChain::tls(pair.read()?, http),
        None => FilterChain::plain(http),
    };
    let settings = ListenerSettings::new("bench", address, FilterChains::one(chain)?);
    let listener = Listener::open(settings, NonZeroUsize::MIN)?;
    writeln!(std::io::stdout(), "listening on {}", listener.address())?;
    let acceptors: Arc<Mutex<Vec<_>>> = Arc::new(Mutex::new(listener.into_acceptors().collect()));
    let (_drain, watch) = Drain::new();
    let workers = Workers::start(NonZeroUsize::MIN, move |_index| {
        let acceptor = acceptors.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let proxy = Proxy::new(config.clone(), watch.clone());
        async move {
            if let Some(acceptor) = acceptor {
                // The comparison waits for answers, and says so when none come.
                acceptor.serve(proxy).await.unwrap_or_default();
            }
        }
    })?;
    anyhow::ensure!(workers.join() == 0, "the worker ended by a panic");
    Ok(())
}

fn upkeep(recorder: &PrometheusHandle) {
    loop {
        thread::park_timeout(UPKEEP_EVERY);
        recorder.run_upkeep();
    }
}
