//! Which numbers does a program keep by OpenTelemetry's names, for Prometheus to scrape or to be sent by OTLP?
//!
//! A [`Group`] is what is counted together: some definitions, and for each set of attributes a [`Series`] of cells. Who counts
//! takes no lock and, once the attributes were seen, allocates nothing. There are at most so many series as a group is told; what
//! comes after them, or has a longer text than [`limits::ATTRIBUTE_BYTES_MAX`], is counted without its attributes, as OpenTelemetry
//! has it (`otel.metric.overflow`).
//!
//! ```
//! use std::time::Duration;
//! use tidegate_proxy::observe::instruments::{DURATIONS, Definition, Form, Group, Instruments, Scope, Value};
//!
//! const TOOK: Definition = Definition {
//!     name: "example.job.duration",
//!     unit: "s",
//!     description: "How long jobs took.",
//!     form: Form::Durations(&DURATIONS),
//! };
//! let jobs = Group::new(Scope::named("example"), &[TOOK], 100);
//! jobs.series(&[("job.kind", Value::Text("copy"))]).took(0, Duration::from_millis(20));
//! let all = Instruments::new([("service.name".to_owned(), "demo".to_owned())], [jobs]);
//! assert!(all.text().contains(r#"example_job_duration_seconds_bucket{job_kind="copy","#));
//! ```

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use crate::config::limits;

pub mod http;
mod otlp;
mod prometheus;
mod push;

#[cfg(test)]
mod tests;

pub use push::Pusher;

/// The upper ends of the buckets that OpenTelemetry's conventions have for durations of requests, in seconds.
pub const DURATIONS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The upper ends of the buckets of whatever has no others (OpenTelemetry's default).
pub const USUAL: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0,
];

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Definition {
    /// Its name, with dots between its words.
    pub name: &'static str,
    /// Its unit (UCUM), such as `s`, `By` or `{request}`.
    pub unit: &'static str,
    /// What it tells.
    pub description: &'static str,
    /// How it is counted.
    pub form: Form,
}

/// How something is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// The last value.
    Gauge,
    /// A sum that only grows.
    Counter,
    /// A sum that goes up and down.
    UpDownCounter,
    /// Durations in buckets with these upper ends, in seconds.
    Durations(&'static [f64]),
    /// Whole numbers in buckets with these upper ends.
    Sizes(&'static [f64]),
}

/// Whose definitions these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The name of a library or package.
    pub name: &'static str,
    /// Its version; empty where nobody says.
    pub version: &'static str,
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A whole number.
    Int(i64),
}

/// Some attributes: none twice.
pub type Attributes<'a> = [(&'static str, Value<'a>)];

/// What is counted together.
pub struct Group {
    scope: Scope,
    definitions: &'static [Definition],
    series_max: usize,
    hash: foldhash::fast::RandomState,
    /// By the hash of their attributes; replaced when there is a new series, which is seldom.
    table: ArcSwap<Table>,
    /// Takes what finds no room, once there is any: one more than there may be.
    overflow: OnceLock<Arc<Series>>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    count: usize,
    series: HashMap<u64, Vec<Arc<Series>>>,
}

/// What was counted with one set of attributes.
#[derive(Debug)]
pub struct Series {
    attributes: Box<[(&'static str, Owned)]>,
    cells: Box<[Cell]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Text(Box<str>),
    Int(i64),
}

#[derive(Debug)]
enum Cell {
    /// The bits of a float.
    Gauge(AtomicU64),
    Sum(AtomicI64),
    Histogram(Histogram),
}

#[derive(Debug)]
struct Histogram {
    ends: &'static [f64],
    /// How many fell into each bucket, and beyond the last.
    counts: Box<[AtomicU64]>,
    /// Of nanoseconds, or of the numbers themselves.
    sum: AtomicU64,
    /// How many of these are one of the unit.
    per_unit: f64,
}

/// Everything that a program counts.
#[derive(Debug)]
pub struct Instruments {
    resource: Vec<(String, String)>,
    groups: Vec<Arc<Group>>,
    since: SystemTime,
}

/// One number or histogram, as it is now.
#[derive(Clone, Debug, PartialEq)]
enum Reading {
    Number(f64),
    Histogram { counts: Vec<u64>, sum: f64 },
}

/// The attribute of the one series that takes what found no room.
const OVERFLOW: (&str, Value<'static>) = ("otel.metric.overflow", Value::Text("true"));

const NANOS: f64 = 1e9;

impl Scope {
    /// One whose version nobody says.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self { name, version: "" }
    }
}

impl Group {
    /// A group without series, that will have at most so many.
    #[must_use]
    pub fn new(scope: Scope, definitions: &'static [Definition], series_max: usize) -> Arc<Self> {
        Arc::new(Self {
            scope,
            definitions,
            series_max,
            hash: foldhash::fast::RandomState::default(),
            table: ArcSwap::default(),
            overflow: OnceLock::new(),
        })
    }

    /// The series with these attributes. Always give them in the same order.
    #[must_use]
    pub fn series(&self, attributes: &Attributes<'_>) -> Arc<Series> {
        // Series stay: nobody may have his long texts kept.
        if attributes.iter().any(|(_, value)| value.is_long()) {
            return self.overflow();
        }
        let hash = self.hash_of(attributes);
        let table = self.table.load();
        match table.find(hash, attributes) {
            Some(series) => series,
            None if table.count >= self.series_max => self.overflow(),
            None => self.add(hash, attributes),
        }
    }

    /// Lets those series go that are not to be kept, so that there is room for others. What somebody still holds of them is not
    /// shown any more.
    pub fn retain(&self, keeps: impl Fn(&Series) -> bool) {
        self.table.rcu(|table| {
            if table.series.values().flatten().all(|series| keeps(series)) {
                return Arc::clone(table);
            }
            let mut table = Table::clone(table);
            table.series.retain(|_hash, series| {
                series.retain(|series| keeps(series));
                !series.is_empty()
            });
            table.count = table.series.values().map(Vec::len).sum();
            Arc::new(table)
        });
    }

    fn hash_of(&self, attributes: &Attributes<'_>) -> u64 {
        let mut hasher = self.hash.build_hasher();
        for (_, value) in attributes {
            value.hash(&mut hasher);
        }
        hasher.finish()
    }

    #[cold]
    fn add(&self, hash: u64, attributes: &Attributes<'_>) -> Arc<Series> {
        let new = Arc::new(Series::new(self.definitions, attributes));
        self.table.rcu(|table| {
            if table.count >= self.series_max || table.find(hash, attributes).is_some() {
                return Arc::clone(table);
            }
            let mut table = Table::clone(table);
            table.count += 1;
            table.series.entry(hash).or_default().push(Arc::clone(&new));
            Arc::new(table)
        });
        let found = self.table.load().find(hash, attributes);
        found.unwrap_or_else(|| self.overflow())
    }

    fn overflow(&self) -> Arc<Series> {
        let new = || Arc::new(Series::new(self.definitions, &[OVERFLOW]));
        Arc::clone(self.overflow.get_or_init(new))
    }

    /// All series, in the order of their attributes.
    fn all(&self) -> Vec<Arc<Series>> {
        let table = self.table.load();
        let series = table.series.values().flatten().chain(self.overflow.get());
        let mut all: Vec<_> = series.cloned().collect();
        all.sort_by_cached_key(|series| format!("{:?}", series.attributes));
        all
    }
}

impl Table {
    fn find(&self, hash: u64, attributes: &Attributes<'_>) -> Option<Arc<Series>> {
        let mut series = self.series.get(&hash)?.iter();
        series.find(|series| series.has(attributes)).cloned()
    }
}

impl Value<'_> {
    fn is_long(&self) -> bool {
        matches!(self, Self::Text(text) if text.len() > limits::ATTRIBUTE_BYTES_MAX)
    }
}

impl Series {
    fn new(definitions: &[Definition], attributes: &Attributes<'_>) -> Self {
        let owned = |value: &Value<'_>| match value {
            Value::Text(text) => Owned::Text((*text).into()),
            Value::Int(number) => Owned::Int(*number),
        };
        Self {
            attributes: attributes
                .iter()
                .map(|(key, value)| (*key, owned(value)))
                .collect(),
            cells: definitions
                .iter()
                .map(|definition| Cell::new(definition.form))
                .collect(),
        }
    }

    /// The text of one of its attributes, where it has that one.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        let (_, value) = self.attributes.iter().find(|(known, _)| *known == key)?;
        match value {
            Owned::Text(text) => Some(text),
            Owned::Int(_) => None,
        }
    }

    /// The gauge of the definition at this place is `value` now.
    pub fn set(&self, place: usize, value: f64) {
        if let Some(Cell::Gauge(bits)) = self.cells.get(place) {
            bits.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    /// The counter at this place goes up by `more`, or down.
    pub fn add(&self, place: usize, more: i64) {
        if let Some(Cell::Sum(sum)) = self.cells.get(place) {
            sum.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Something took so long.
    pub fn took(&self, place: usize, duration: Duration) {
        if let Some(Cell::Histogram(histogram)) = self.cells.get(place) {
            histogram.record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// Something was so large.
    pub fn sized(&self, place: usize, size: u64) {
        if let Some(Cell::Histogram(histogram)) = self.cells.get(place) {
            histogram.record(size);
        }
    }

    fn has(&self, attributes: &Attributes<'_>) -> bool {
        let mut pairs = self.attributes.iter().zip(attributes);
        self.attributes.len() == attributes.len()
            && pairs.all(|((key, ours), (other, value))| {
                key == other
                    && match (ours, value) {
                        (Owned::Text(ours), Value::Text(text)) => &**ours == *text,
                        (Owned::Int(ours), Value::Int(number)) => ours == number,
                        _ => false,
                    }
            })
    }

    fn read(&self, place: usize) -> Option<Reading> {
        Some(match self.cells.get(place)? {
            Cell::Gauge(bits) => Reading::Number(f64::from_bits(bits.load(Ordering::Relaxed))),
            #[expect(clippy::cast_precision_loss, reason = "no program counts that far")]
            Cell::Sum(sum) => Reading::Number(sum.load(Ordering::Relaxed) as f64),
            Cell::Histogram(histogram) => histogram.read()?,
        })
    }
}

impl Cell {
    fn new(form: Form) -> Self {
        let histogram = |ends: &'static [f64], per_unit| {
            Self::Histogram(Histogram {
                ends,
                counts: (0..=ends.len()).map(|_| AtomicU64::new(0)).collect(),
                sum: AtomicU64::new(0),
                per_unit,
            })
        };
        match form {
            Form::Gauge => Self::Gauge(AtomicU64::new(0)),
            Form::Counter | Form::UpDownCounter => Self::Sum(AtomicI64::new(0)),
            Form::Durations(ends) => histogram(ends, NANOS),
            Form::Sizes(ends) => histogram(ends, 1.0),
        }
    }
}

impl Histogram {
    #[expect(clippy::cast_precision_loss, reason = "buckets are not that fine")]
    fn record(&self, raw: u64) {
        let value = raw as f64 / self.per_unit;
        let bucket = self.ends.iter().position(|end| value <= *end);
        if let Some(count) = self.counts.get(bucket.unwrap_or(self.ends.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(raw, Ordering::Relaxed);
    }

    /// None where nothing was recorded: other definitions of the group may have been.
    #[expect(clippy::cast_precision_loss, reason = "as every reader of sums has it")]
    fn read(&self) -> Option<Reading> {
        let counts: Vec<_> = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        let sum = self.sum.load(Ordering::Relaxed) as f64 / self.per_unit;
        counts
            .iter()
            .any(|count| *count > 0)
            .then_some(Reading::Histogram { counts, sum })
    }
}

impl Instruments {
    /// All of these groups, of a program that these attributes tell of.
    #[must_use]
    pub fn new(
        resource: impl IntoIterator<Item = (String, String)>,
        groups: impl IntoIterator<Item = Arc<Group>>,
    ) -> Self {
        Self {
            resource: resource.into_iter().collect(),
            groups: groups.into_iter().collect(),
            since: SystemTime::now(),
        }
    }

    /// Lets go what is counted by attributes that are not to be kept any more, in all groups.
    pub fn retain(&self, keeps: impl Fn(&Series) -> bool) {
        for group in &self.groups {
            group.retain(&keeps);
        }
    }

    /// All numbers as Prometheus reads them, under the names that OpenTelemetry's exporter gives them.
    #[must_use]
    pub fn text(&self) -> String {
        prometheus::text(self)
    }

    /// All numbers as OTLP's `ExportMetricsServiceRequest`, counted since the program began.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        otlp::export(self, SystemTime::now())
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("scope", &self.scope)
            .field("series", &self.table.load().count)
            .finish_non_exhaustive()
    }
}
