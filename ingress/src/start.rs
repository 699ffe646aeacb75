//! From the command line to the running program.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tidegate_proxy::process::default_workers;
use tidegate_xds::client::Status;
use tidegate_xds::resource::Kind;
use tidegate_xds::store::{self, Empty, Fetched};
use tidegate_xds::translate::Context;
use tidegate_xds::translate::bootstrap::{Bootstrap, LayerSource};
use tidegate_xds::translate::runtime::Runtime;

use crate::activation;
use crate::admin::Loggers;
use crate::bootstrap::{Gist, Loaded, Report, context, load};
use crate::discovery::Plan;
use crate::flags::{DrainStrategy, Flags, SnapshotSecrets};
use crate::listeners::{Manners, Strategy};
use crate::operators::{self, Shown};
use crate::serve::{self, Settings, StartError};
use crate::snapshot_file::{self, Secrets, format::Owner};
use crate::stats::Recorder;

/// Why the program ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] Report),
    /// It could not start.
    #[error("error initializing configuration '{config}': {error}")]
    Start {
        /// The configuration's name.
        config: String,
        /// Why.
        error: StartError,
    },
    /// It served, and could not go on.
    #[error(transparent)]
    Broken(StartError),
}

/// Serves as the command line says, until the program is told to end.
///
/// # Errors
/// When it could not start.
pub fn serve(flags: &Flags, loggers: Arc<dyn Loggers>) -> Result<(), ServeError> {
    let loaded = apart(|| load(flags).map(Gist::from))?.loaded(flags)?;
    let recorder = Recorder::default();
    if metrics::set_global_recorder(recorder.clone()).is_err() {
        tracing::warn!("another recorder has the metrics: statistics lack them");
    }
    for ignored in &loaded.ignored {
        tracing::warn!(ignored, "an unknown field of the configuration has no effect");
    }
    for note in &loaded.bootstrap.notes {
        let what = &note.what;
        tracing::warn!(
            field = note.path,
            what,
            "a field of the configuration has no effect"
        );
    }
    for name in flags.disable_extensions.iter().filter(|name| !can_disable(name)) {
        tracing::warn!(
            name,
            "failed to disable an extension: filters alone can be, by category and name"
        );
    }
    let plan = Plan::of(&loaded.bootstrap);
    let settings = settings(flags, &loaded);
    let status = Arc::new(Status::default());
    let shown = Shown {
        flags,
        loaded: &loaded,
        recorder,
        status: Arc::clone(&status),
        loggers,
        workers: settings.workers.get(),
    };
    let ended = serve::run(settings, |program| {
        operators::start(shown, &program)?;
        plan.start(&program, &status);
        Ok(())
    });
    ended.map_err(|error| match error {
        StartError::Broken => ServeError::Broken(error),
        error => ServeError::Start {
            config: flags.config_name(),
            error,
        },
    })
}

/// Does what needs much memory for a moment in a thread of its own: what it let go returns to the system when that ends, and does
/// not stay with the main thread, which waits from then on.
pub(crate) fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked),
    })
}

/// Whether an extension of this category and name is refused where `--disable-extensions` names it.
fn can_disable(name: &str) -> bool {
    let category = name.split_once('/').map(|(category, _)| category);
    matches!(category, Some("envoy.filters.http" | "envoy.filters.network"))
}

fn settings(flags: &Flags, loaded: &Loaded) -> Settings {
    let bootstrap = &loaded.bootstrap;
    let workers = flags
        .concurrency
        .map(|count| usize::try_from(count).unwrap_or(1).max(1));
    Settings {
        workers: workers
            .and_then(NonZeroUsize::new)
            .unwrap_or_else(default_workers),
        manners: Manners {
            strategy: match flags.drain.strategy {
                DrainStrategy::Gradual => Strategy::Gradual,
                DrainStrategy::Immediate => Strategy::Immediate,
            },
            drain_time: flags.drain.time,
        },
        drain_on_sigterm: flags.drain.on_sigterm,
        overload: bootstrap.overload,
        activation: activation(flags),
        store: store_settings(flags, bootstrap),
        static_resources: bootstrap
            .resources
            .iter()
            .map(|resource| (resource.kind, resource.raw.clone()))
            .collect(),
        snapshot: snapshot(flags, bootstrap),
    }
}

/// What the flags, and the environment that Kubernetes gives a pod, say of the program among those who activate revisions.
fn activation(flags: &Flags) -> activation::Settings {
    let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let name = said("POD_NAME").or_else(|| said("HOSTNAME"));
    let own = said("POD_IP").and_then(|address| {
        let parsed = address.parse();
        if parsed.is_err() {
            tracing::warn!(
                address,
                "POD_IP is no address: revisions are not shared with other ingresses"
            );
        }
        parsed.ok()
    });
    activation::Settings {
        autoscaler: flags.autoscaler.clone(),
        pod_name: name.unwrap_or_else(|| "tidegate-ingress".to_owned()),
        own,
    }
}

/// How the resources of these flags and this bootstrap are kept.
pub(crate) fn store_settings(flags: &Flags, bootstrap: &Bootstrap) -> store::Settings {
    let layers = bootstrap.runtime.iter().filter_map(|layer| match &layer.source {
        LayerSource::Rtds { resource, .. } => Some(resource.as_str().into()),
        _ => None,
    });
    let timeout = |kind: Kind| {
        let config = match kind {
            Kind::Cluster => &bootstrap.clusters,
            _ => &bootstrap.listeners,
        };
        config.as_ref().map(|config| config.initial_fetch_timeout)
    };
    store::Settings {
        context: Context {
            runtime: Runtime::of(&bootstrap.runtime),
            ..context(flags)
        },
        fetched: Fetched {
            clusters: timeout(Kind::Cluster),
            listeners: timeout(Kind::Listener),
        },
        runtime_layers: layers.collect::<BTreeSet<_>>(),
        drain_time: flags.drain.time,
        empty: if flags.guard_empty {
            Empty::Refused
        } else {
            Empty::Deletes
        },
    }
}

fn snapshot(flags: &Flags, bootstrap: &Bootstrap) -> Option<snapshot_file::Settings> {
    Some(snapshot_file::Settings {
        directory: flags.snapshot.dir.clone()?,
        owner: Owner {
            node: bootstrap.node.id.clone(),
            cluster: bootstrap.node.cluster.clone(),
        },
        secrets: match flags.snapshot.secrets {
            SnapshotSecrets::Keep => Secrets::Kept,
            SnapshotSecrets::Omit => Secrets::Omitted,
        },
        max_age: flags.snapshot.max_age,
    })
}
