//! How does the program run as a process in a cluster?

use std::{fs, num::NonZeroUsize, sync::Arc, time::Duration};

use http::Uri;
use tidegate_knative::{
    go_duration,
    names::ports,
    observability::{NoAddress, Observability, ObservabilityError},
};
use tidegate_proxy::{
    drain::Drain,
    process,
    tls::terms::{Terms, TermsError},
};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    limits::STOP_DELAY,
    link,
    program::{
        Program, Settings, StartError, cluster_domain,
        env::Env,
        log::Levels,
        network::Network,
        observe::{Identity, Telling},
    },
    world::{
        ConfigMap,
        kube::{Kubernetes, KubernetesError},
    },
};

/// Why the process ends with a failure.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its environment is not as it has to be.
    #[error("failed to process environment variables: {0}")]
    Env(#[from] crate::program::env::EnvError),
    /// The cluster does not answer.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// The cluster is set up in a way that it cannot use.
    #[error(transparent)]
    Network(#[from] crate::program::network::NetworkError),
    /// What it is to tell of requests makes no sense.
    #[error("config-observability: {0}")]
    Observability(#[from] ObservabilityError),
    /// Numbers are to be shown at a place that is none.
    #[error("config-observability: {0}")]
    Metrics(#[from] NoAddress),
    /// How it is to speak TLS makes no sense.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system refused something that every process has.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The autoscaler's name makes no address.
    #[error("the autoscaler's address: {0}")]
    Address(#[from] http::uri::InvalidUri),
    /// It was told twice to end.
    #[error("a second signal: ending at once")]
    Impatient,
}

/// The ports for the two protocols, which both speak both, and for TLS.
const PORTS: [u16; 3] = [ports::BACKEND_HTTP, ports::BACKEND_H2C, ports::BACKEND_HTTPS];

/// Runs until it is told to end, with the environment that `get` reads.
///
/// For tests there are `TIDEGATE_TEST_PORTS` (three ports), `TIDEGATE_TEST_AUTOSCALER` (a URL) and
/// `TIDEGATE_TEST_STOP_DELAY`, which no deployment sets.
///
/// # Errors
/// Why it could not start, or did not end in peace.
pub fn run(get: impl Fn(&str) -> Option<String>, levels: &Levels) -> Result<(), RunError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(&get, levels));
    // What is left waits for nothing any more.
    runtime.shutdown_background();
    ended
}

async fn serve(get: &impl Fn(&str) -> Option<String>, levels: &Levels) -> Result<(), RunError> {
    let mut signals = Signals::listen()?;
    let env = Env::read(get)?;
    let starting = start(&env, get, levels);
    let program = tokio::select! {
        started = starting => started?,
        // Nothing is served yet that could be let finish.
        () = signals.next() => return Ok(()),
    };
    for address in program.addresses() {
        tracing::info!(%address, "listening");
    }
    signals.next().await;
    let delay = get("TIDEGATE_TEST_STOP_DELAY").and_then(|delay| go_duration::parse(&delay).ok());
    let delay: Duration = delay.unwrap_or(STOP_DELAY);
    tracing::info!(
        delay_s = delay.as_secs(),
        "told to end: unhealthy from now on, serving on for a while"
    );
    tokio::select! {
        outcome = program.stop(delay) => {
            tracing::info!(cut = outcome.forced, "ended");
            Ok(())
        }
        () = signals.next() => Err(RunError::Impatient),
    }
}

async fn start(
    env: &Env,
    get: &impl Fn(&str) -> Option<String>,
    levels: &Levels,
) -> Result<Program, RunError> {
    let kubernetes = Kubernetes::connect().await?;
    let logging = get("CONFIG_LOGGING_NAME").unwrap_or_else(|| "config-logging".to_owned());
    let logging = kubernetes.config_map(&env.system_namespace, &logging).await?;
    if let Some(level) = logging.get("loglevel.activator") {
        levels.set(level);
    }
    let network = kubernetes
        .config_map(&env.system_namespace, "config-network")
        .await?;
    let network = Network::read(&network)?;
    let resolv_conf = fs::read_to_string("/etc/resolv.conf").ok();
    let cluster_domain = cluster_domain(resolv_conf.as_deref(), get("CLUSTER_DOMAIN"));
    let autoscaler: Uri = match get("TIDEGATE_TEST_AUTOSCALER") {
        Some(url) => url.parse()?,
        None => link::autoscaler(&env.system_namespace, &cluster_domain)?,
    };
    let [http, h2c, tls_port] = test_ports(get).unwrap_or(PORTS);
    let workers: NonZeroUsize = process::default_workers();
    let settings = Settings {
        pod_name: env.pod_name.clone(),
        own: env.pod_ip,
        ports: vec![http, h2c],
        tls_port,
        // What cannot be understood matters only where TLS is spoken.
        tls: match Terms::read("ACTIVATOR_", get) {
            Err(error) if network.is_encrypted => return Err(error.into()),
            terms => terms.unwrap_or_default(),
        },
        autoscaler,
        cluster_domain,
        network,
        pace: env.pace,
        workers,
    };
    let observability = get("CONFIG_OBSERVABILITY_NAME").unwrap_or_else(|| "config-observability".to_owned());
    let config = (&*env.system_namespace, &*observability);
    let telling = telling(&kubernetes.config_map(config.0, config.1).await?, env, get)?;
    let (drain, watch) = Drain::new();
    let events = kubernetes.watch(config, network.is_encrypted, &watch);
    let world = Arc::new(kubernetes);
    Ok(Program::start_telling(settings, &telling, world, events, (drain, watch)).await?)
}

fn telling(
    config: &ConfigMap,
    env: &Env,
    get: &impl Fn(&str) -> Option<String>,
) -> Result<Telling, RunError> {
    let identity = Identity {
        service: get("OTEL_SERVICE_NAME").unwrap_or_else(|| "activator".to_owned()),
        namespace: env.system_namespace.clone(),
        pod: env.pod_name.clone(),
    };
    Ok(Telling::new(
        Observability::of_config_map(config)?,
        identity,
        get,
    )?)
}

fn test_ports(get: &impl Fn(&str) -> Option<String>) -> Option<[u16; 3]> {
    let text = get("TIDEGATE_TEST_PORTS")?;
    let ports: Option<Vec<u16>> = text.split(',').map(|port| port.parse().ok()).collect();
    ports?.try_into().ok()
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
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
