//! What does the program tell of its requests, by `config-observability`?
//!
//! Numbers and spans as it says when the program starts; the request log and profiling as it says now.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::HeaderName;
use tidegate_knative::{
    headers::PROBES,
    observability::{Export, Listen, NoAddress, Observability, Protocol},
    request_log::RequestLog,
};
use tidegate_proxy::{
    drain::Watch,
    observe::{
        instruments::Pusher,
        lines::Lines,
        trace::{
            ClientContext, Collector, CollectorError, FieldBegins, Tracing, TracingSettings, UpstreamName,
        },
    },
    process,
};
use tokio::task::JoinHandle;

use crate::{
    limits::{LOG_FLUSH_TIMEOUT, LOG_LINES_WAITING_MAX},
    measures::Measures,
    wire::seen::Seeing,
    world::ConfigMap,
};

/// The port for Prometheus unless another is set.
const METRICS_PORT: u16 = 9090;

/// Who the program is to whoever collects what it tells.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// `OTEL_SERVICE_NAME`, or what it is.
    pub service: String,
    /// The namespace that it is in.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
}

/// What it tells, and whom.
#[derive(Debug, Clone, Default)]
pub struct Telling {
    /// By what it was told at the start.
    pub observability: Observability,
    /// As whom.
    pub identity: Identity,
    /// Where Prometheus scrapes, if it does.
    pub scraped: Option<Listen>,
    /// Where profiles are asked for; none where nothing listens for that.
    pub profiling_port: Option<u16>,
}

/// All of it at work.
#[derive(Debug)]
pub(super) struct Observing {
    pub(super) seeing: Arc<Seeing>,
    pub(super) tracing: Option<Tracing>,
    /// Who sends spans and numbers; done some time after the drain.
    sending: Vec<JoinHandle<()>>,
    pub(super) live: Live,
}

/// What follows the configuration. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Live {
    seeing: Arc<Seeing>,
    lines: Lines,
    pub(super) is_profiled: Arc<AtomicBool>,
}

impl Telling {
    /// By `config-observability` and the environment.
    ///
    /// # Errors
    /// When numbers are to be shown at a place that is none.
    pub fn new(
        observability: Observability,
        identity: Identity,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, NoAddress> {
        let observability = observability.heeding(&get);
        let metrics = &observability.metrics;
        let is_scraped = metrics.protocol == Protocol::Prometheus;
        let listen = is_scraped.then(|| Listen::at(&metrics.endpoint, METRICS_PORT, &get));
        let port = get("PROFILING_PORT").and_then(|port| port.parse().ok());
        Ok(Self {
            scraped: listen.transpose()?,
            profiling_port: Some(port.unwrap_or(8008)),
            observability,
            identity,
        })
    }

    fn resource(&self) -> Vec<(String, String)> {
        let Identity { namespace, pod, .. } = &self.identity;
        let all = [
            ("k8s.namespace.name", &**namespace),
            ("k8s.pod.name", pod),
            ("service.instance.id", pod),
            ("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let present = all.into_iter().filter(|(_, value)| !value.is_empty());
        present
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}

impl Observing {
    /// Begins to tell.
    pub(super) fn start(telling: &Telling, watch: &Watch) -> io::Result<Self> {
        let metrics = &telling.observability.metrics;
        let pushed = collector(metrics, "numbers are not sent");
        let service = ("service.name".to_owned(), telling.identity.service.clone());
        let is_counted = telling.scraped.is_some() || pushed.is_some();
        let measures = is_counted.then(|| {
            let resource = telling.resource().into_iter().chain([service]);
            Measures::new(resource.collect())
        });
        let mut sending = Vec::new();
        if let (Some(collector), Some(measures)) = (pushed, &measures) {
            let pusher = Pusher::new(Arc::clone(measures.instruments()), collector, metrics.interval);
            sending.push(process::spawn(
                "metrics",
                watch.unguarded(),
                pusher.run(watch.clone()),
            ));
        }
        let (tracing, spans) = traces(telling, watch).unzip();
        sending.extend(spans);
        let seeing = Arc::new(Seeing {
            measures,
            ..Seeing::default()
        });
        let live = Live {
            seeing: Arc::clone(&seeing),
            lines: Lines::to_stdout("request-log", LOG_LINES_WAITING_MAX)?,
            is_profiled: Arc::default(),
        };
        live.apply(&telling.observability);
        Ok(Self {
            seeing,
            tracing,
            sending,
            live,
        })
    }

    /// Waits until the last of it has left, for a while.
    pub(super) async fn end(self) {
        for sending in self.sending {
            // Bounded by itself; whether all were taken is not ours to mend.
            drop(sending.await);
        }
        self.live.lines.flush(LOG_FLUSH_TIMEOUT);
    }
}

impl Live {
    /// The configuration is this now; without one it is as by default.
    pub(super) fn config(&self, config: &ConfigMap) {
        match Observability::of_config_map(config) {
            Ok(observability) => self.apply(&observability),
            Err(error) => tracing::error!(%error, "config-observability is left as it was"),
        }
    }

    fn apply(&self, observability: &Observability) {
        self.is_profiled
            .store(observability.is_profiled, Ordering::Relaxed);
        let template = &observability.request_log;
        if template.is_empty() {
            self.seeing.log.store(None);
            return;
        }
        let lines = self.lines.clone();
        match RequestLog::new(template, move |line| lines.say(line)) {
            Ok(log) => self.seeing.log.store(Some(Arc::new(log.without_trace()))),
            Err(error) => tracing::error!(%error, "the request log's template is left as it was"),
        }
    }
}

fn traces(telling: &Telling, watch: &Watch) -> Option<(Tracing, JoinHandle<()>)> {
    if telling.observability.samples_nothing() {
        return None;
    }
    let collector = collector(&telling.observability.tracing, "requests are not traced")?;
    let begins = |(name, with)| FieldBegins {
        name: HeaderName::from_static(name),
        with,
    };
    let (tracing, exporter) = Tracing::new(TracingSettings {
        sample_per_million: telling.observability.sample_per_million,
        client: if telling.observability.overrules_clients {
            ClientContext::ContinueByRate
        } else {
            ClientContext::Continue
        },
        resource: telling.resource(),
        untraced: PROBES.into_iter().map(begins).collect(),
        upstream_name: UpstreamName::MethodAndPath,
        ..TracingSettings::new(&*telling.identity.service)
    });
    let sending = process::spawn("spans", watch.unguarded(), exporter.run(collector, watch.clone()));
    Some((tracing, sending))
}

/// Where this is sent; what is wrong with that is said, and requests are served in any case.
fn collector(export: &Export, consequence: &str) -> Option<Collector> {
    let collector: Result<_, CollectorError> = match export.protocol {
        Protocol::None | Protocol::Prometheus => return None,
        Protocol::Stdout => Ok(Collector::stdout()),
        Protocol::Grpc => Collector::grpc(&export.endpoint),
        Protocol::Http => Collector::http(&export.endpoint),
    };
    collector
        .inspect_err(|error| tracing::error!(%error, consequence, "a collector cannot be used"))
        .ok()
}
