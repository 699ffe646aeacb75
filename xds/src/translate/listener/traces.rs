//! Where do the spans of connection managers go, so that two of one description share what sends them?

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use tidegate_proxy::observe::trace::{Exporter, Tracing, TracingSettings};
use tokio::sync::Notify;

/// The tracing of all connection managers. A clone shares it.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    new: Notify,
}

#[derive(Debug, Default)]
struct State {
    used: Vec<(TracesTo, TracingSettings, Tracing)>,
    waiting: Vec<(TracesTo, Exporter)>,
}

/// A collector as it is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracesTo {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// The cluster that it is in.
    pub cluster: Arc<str>,
    /// Its authority, and the path over HTTP.
    pub uri: Uri,
    /// How long one export may take; none is the usual time.
    pub timeout: Option<Duration>,
}

/// OTLP's ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf in a POST.
    Http,
    /// A unary call.
    Grpc,
}

impl Traces {
    /// Tracing as described: what there is already, or new.
    #[must_use]
    pub fn open(&self, to: &TracesTo, settings: TracingSettings) -> Tracing {
        let mut state = self.lock();
        // What no connection manager uses any more has nothing left to send: its exporter ends.
        state.used.retain(|(.., tracing)| tracing.is_shared());
        let mut used = state.used.iter();
        if let Some((.., tracing)) = used.find(|(known, of, _)| known == to && *of == settings) {
            return tracing.clone();
        }
        let (tracing, exporter) = Tracing::new(settings.clone());
        state.used.push((to.clone(), settings, tracing.clone()));
        state.waiting.push((to.clone(), exporter));
        drop(state);
        self.shared.new.notify_one();
        tracing
    }

    /// The next exporter to be run, as soon as there is one. For one task; cancel-safe.
    pub async fn next(&self) -> (TracesTo, Exporter) {
        loop {
            let waiting = self.lock().waiting.pop();
            if let Some(waiting) = waiting {
                return waiting;
            }
            self.shared.new.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
