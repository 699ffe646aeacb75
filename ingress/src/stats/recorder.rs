//! What the [`metrics`] facade is told, kept to be shown beside what is read where it is counted.
//!
//! ```
//! use std::sync::Arc;
//! use metrics::{Key, Level, Metadata, Recorder as _};
//! use tidegate_ingress::stats::Recorder;
//!
//! let recorder = Recorder::default();
//! let of = Metadata::new("example", Level::INFO, None);
//! recorder.register_counter(&Key::from_static_name("cluster_manager.cds.update_success"), &of).increment(1);
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};
use tidegate_activator::names as activator;
use tidegate_proxy::observe::counts::Times;
use tidegate_proxy::observe::metrics as names;

use super::flat::{Flat, Owned, Single};
use super::section::Tag;
use crate::limits;

/// Keeps what is counted through the facade. A name with dots is taken for Envoy's own name and shown as it is; any other is shown
/// under its own. What the proxy counts elsewhere too is not kept: nothing here grows with clusters, listeners or endpoints.
#[derive(Clone, Default)]
pub struct Recorder {
    kept: Arc<Mutex<HashMap<Key, Cell>>>,
}

#[derive(Clone)]
enum Cell {
    Counter(Arc<AtomicU64>),
    Gauge(Arc<Level>),
    Histogram(Arc<Seconds>),
}

/// A gauge: the bits of a number.
#[derive(Default)]
struct Level(AtomicU64);

/// A histogram of seconds, kept in milliseconds.
#[derive(Default)]
struct Seconds(Times);

impl Recorder {
    /// Adds all that is kept.
    pub(super) fn tell(&self, flat: &mut Flat) {
        let kept = self.lock();
        let mut singles: Vec<Single> = kept.iter().map(|(key, cell)| single(key, cell)).collect();
        drop(kept);
        singles.sort_by(|one, other| one.name.cmp(&other.name));
        for single in singles {
            flat.push(single);
        }
    }

    fn cell(&self, key: &Key, make: fn() -> Cell) -> Option<Cell> {
        if ELSEWHERE.contains(&key.name()) {
            return None;
        }
        let mut kept = self.lock();
        if let Some(cell) = kept.get(key) {
            return Some(cell.clone());
        }
        if kept.len() >= limits::METRICS_KEPT_MAX {
            tracing::debug!(metric = key.name(), "too many metrics: this one is not kept");
            return None;
        }
        Some(kept.entry(key.clone()).or_insert_with(make).clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Cell>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}
    fn describe_gauge(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}
    fn describe_histogram(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        match self.cell(key, || Cell::Counter(Arc::default())) {
            Some(Cell::Counter(counter)) => Counter::from_arc(counter),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        match self.cell(key, || Cell::Gauge(Arc::default())) {
            Some(Cell::Gauge(level)) => Gauge::from_arc(level),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        match self.cell(key, || Cell::Histogram(Arc::default())) {
            Some(Cell::Histogram(seconds)) => Histogram::from_arc(seconds),
            _ => Histogram::noop(),
        }
    }
}

impl GaugeFn for Level {
    fn increment(&self, value: f64) {
        self.change(|now| now + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|now| now - value);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl Level {
    fn change(&self, to: impl Fn(f64) -> f64) {
        let change = |bits| Some(to(f64::from_bits(bits)).to_bits());
        // It always has a new value.
        _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "Envoy's gauges are whole and not negative"
    )]
    fn whole(&self) -> u64 {
        f64::from_bits(self.0.load(Ordering::Relaxed)).max(0.0) as u64
    }
}

impl HistogramFn for Seconds {
    fn record(&self, value: f64) {
        if let Ok(duration) = Duration::try_from_secs_f64(value) {
            self.0.add(duration);
        }
    }
}

fn single(key: &Key, cell: &Cell) -> Single {
    let (value, used) = match cell {
        Cell::Counter(counter) => {
            let count = counter.load(Ordering::Relaxed);
            (Owned::Counter(count), count > 0)
        }
        Cell::Gauge(level) => (Owned::Gauge(level.whole()), true),
        Cell::Histogram(seconds) => {
            let bins = seconds.0.bins();
            let used = !bins.is_empty();
            (Owned::Histogram(bins), used)
        }
    };
    let mut single = Single::new(key.name(), value, used);
    if key.name().contains('.') {
        if let Some((family, tags)) = tagged(key.name()) {
            (single.family, single.tags) = (Some(family), tags);
        }
        return single;
    }
    single.family = Some(key.name().to_owned());
    for label in key.labels() {
        single
            .name
            .push_str(&format!(".{}.{}", label.key(), label.value()));
    }
    // Prometheus shows the first label as the tag it is; a name of several stays apart by its dots.
    single.tags = key.labels().filter_map(tag).collect();
    single
}

/// Labels of ours that are shown as tags; tags have fixed names.
fn tag(label: &metrics::Label) -> Option<Tag> {
    let known = LABELS.iter().find(|known| **known == label.key())?;
    Some((known, label.value().into()))
}

/// The name without its tags, of names that have any.
fn tagged(name: &str) -> Option<(String, Vec<Tag>)> {
    let rest = name.strip_prefix("http.")?;
    let (prefix, rest) = rest.split_once(".rds.")?;
    let (routes, what) = rest.rsplit_once('.')?;
    let tags = vec![
        ("envoy_rds_route_config", routes.into()),
        ("envoy_http_conn_manager_prefix", prefix.into()),
    ];
    Some((format!("http.rds.{what}"), tags))
}

/// The labels that metrics without dots have.
const LABELS: &[&str] = &[
    "reason",
    "kind",
    "result",
    "code_class",
    "version",
    "priority",
    "breaker",
];

/// What is read where it is counted, and would grow with clusters, revisions and listeners, or cost each request.
const ELSEWHERE: &[&str] = &[
    names::REQUESTS_ACCEPTED,
    names::REQUESTS_ANSWERED,
    names::REQUESTS_ABORTED,
    names::REQUEST_BYTES,
    names::RESPONSE_BYTES,
    names::REQUEST_SECONDS,
    names::CONNECTIONS,
    names::TUNNELS,
    names::LISTENER_ACCEPTED,
    names::LISTENER_PAUSES,
    names::TLS_HANDSHAKES,
    names::TLS_CERTIFICATE_EXPIRY,
    names::UPSTREAM_REQUESTS,
    names::UPSTREAM_CONNECTS,
    names::UPSTREAM_CONNECT_FAILURES,
    names::UPSTREAM_TLS_FAILURES,
    names::UPSTREAM_RETRIES,
    names::UPSTREAM_OVERFLOWS,
    names::UPSTREAM_EJECTIONS,
    names::UPSTREAM_CHECKS,
    activator::PARKED_REQUESTS,
    activator::PARKED_TOTAL,
    activator::REFUSED_TOTAL,
    activator::WAIT_SECONDS,
];

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("kept", &self.lock().len())
            .finish()
    }
}
