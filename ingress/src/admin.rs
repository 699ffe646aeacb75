//! What operators, probes and shutdown hooks ask and tell a running ingress: Envoy's admin endpoints.
//!
//! Literal paths; slashes in front may be doubled. Long answers are made on a thread of their own and streamed, so that the
//! control runtime goes on and an answer is never held whole.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tidegate_proxy::config::Handle;
use tidegate_proxy::observe::access_log::Journal;
use tidegate_xds::store::view::View;
use tidegate_xds::text::Json;

use crate::lifecycle::Lifecycle;
use crate::stats::{Registry, ServerFacts};

mod answer;
mod certs;
mod clusters;
mod config_dump;
mod endpoint;
mod guard;
mod help;
mod json;
mod listeners;
mod logging;
mod orders;
mod parameters;
mod patient;
mod runtime;
mod serve;
mod server_info;

pub use logging::{Directives, LOGGERS, Level, Levels, Loggers};
pub use serve::{AdminListener, bind};

/// What the admin endpoints show and change.
#[derive(Clone)]
pub struct Settings {
    /// How far the program is, and who tells it to drain and to end.
    pub lifecycle: Lifecycle,
    /// What the data plane follows.
    pub proxy: Handle,
    /// The statistics.
    pub stats: Registry,
    /// The revisions that requests wait for.
    pub revisions: Option<Arc<tidegate_activator::Registry>>,
    /// What the store knows.
    pub view: Arc<ArcSwap<View>>,
    /// The bootstrap as the program goes by it, and when it was read.
    pub bootstrap: Bootstrap,
    /// The command line, as `/server_info` shows it.
    pub options: Json,
    /// How many workers there are.
    pub concurrency: usize,
    /// `--restart-epoch`.
    pub restart_epoch: u32,
    /// Changes what is logged.
    pub logging: Arc<dyn Loggers>,
    /// Opens the files of access logs anew.
    pub reopen_logs: Arc<dyn Fn() + Send + Sync>,
    /// What is written about each request to these endpoints, where anything is.
    pub access_log: Option<Journal>,
}

/// The bootstrap as it was read.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The encoded `envoy.config.bootstrap.v3.Bootstrap`, everything merged.
    pub message: Bytes,
    /// When it was read.
    pub read_at: SystemTime,
}

/// The admin endpoints. Clones are the same.
#[derive(Clone)]
pub struct Admin {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    started: Instant,
    /// How long it took to be live, once somebody has looked.
    live_after: std::sync::OnceLock<Duration>,
}

impl Admin {
    /// The endpoints of a program that starts now.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                started: Instant::now(),
                live_after: std::sync::OnceLock::new(),
            }),
        }
    }

    /// The program serves from now on: what `server.initialization_time_ms` says.
    pub fn live(&self) {
        self.inner.live_after.get_or_init(|| self.inner.started.elapsed());
    }

    fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    fn uptime(&self) -> Duration {
        self.inner.started.elapsed()
    }

    fn view(&self) -> Arc<View> {
        self.settings().view.load_full()
    }

    fn facts(&self) -> ServerFacts {
        let settings = self.settings();
        ServerFacts {
            state: settings.lifecycle.state(),
            uptime: self.uptime(),
            initialization: self.inner.live_after.get().copied(),
            concurrency: settings.concurrency,
            restart_epoch: settings.restart_epoch,
            view: self.view(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
