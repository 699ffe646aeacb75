//! Where are all statistics collected from, and what do those that are asked for look like?

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_proxy::config::Handle;
use tidegate_xds::translate::bootstrap::StatsMatcher;

use super::discovery::{self, Discovery};
use super::flat::Flat;
use super::query::{Format, Query};
use super::recorder::Recorder;
use super::section::{Kind, Section, Stat, Value};
use super::server::ServerFacts;
use super::{cluster, html, http, json, limit, listener, prometheus, revisions, server, tcp, text};
use crate::activation::Activators;

/// All statistics of the program. Clones are the same.
#[derive(Clone, Debug)]
pub struct Registry {
    proxy: Handle,
    recorder: Recorder,
    discovery: Discovery,
    activators: Option<Activators>,
    rules: Arc<Rules>,
    /// What counters had reached when they were last reset.
    baseline: Arc<Mutex<Arc<Baseline>>>,
}

/// Which statistics there are, and what all of them are tagged with.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Which there are, by name.
    pub matcher: StatsMatcher,
    /// Tags of all, in this order (`--stats-tag`, `stats_tags` with fixed values).
    pub tags: Vec<(String, String)>,
}

/// Where counters begin, by name; those that began at 0 are not in it.
type Baseline = HashMap<Box<str>, u64>;

/// Statistics as they were at one moment.
pub struct Collected {
    sections: Vec<Box<dyn Section>>,
    rules: Arc<Rules>,
    baseline: Arc<Baseline>,
}

impl Registry {
    /// The statistics of a proxy that follows `proxy`, and of what `recorder` is told.
    #[must_use]
    pub fn new(proxy: Handle, recorder: Recorder) -> Self {
        Self {
            proxy,
            recorder,
            discovery: Discovery::default(),
            activators: None,
            rules: Arc::default(),
            baseline: Arc::default(),
        }
    }

    /// The same, as far as the rules have it.
    #[must_use]
    pub fn ruled(self, rules: Rules) -> Self {
        Self {
            rules: Arc::new(rules),
            ..self
        }
    }

    /// The same, with what is counted as resources come.
    #[must_use]
    pub fn with_discovery(self, discovery: Discovery) -> Self {
        Self { discovery, ..self }
    }

    /// The same, with the revisions that requests wait for.
    #[must_use]
    pub fn with_activators(self, activators: Activators) -> Self {
        Self {
            activators: Some(activators),
            ..self
        }
    }

    /// Reads everything. With many clusters that takes a while: not for a thread that has other things to do.
    #[must_use]
    pub fn collect(&self, facts: &ServerFacts) -> Collected {
        let listeners = self.proxy.counts().listeners();
        let mut flat = Flat::default();
        server::tell(&mut flat, facts, &self.proxy, &listeners);
        discovery::tell(&mut flat, &self.discovery);
        self.recorder.tell(&mut flat);
        let activators = self.activators.as_ref();
        if let Some(link) = activators.and_then(|activators| activators.link.as_ref()) {
            flat.gauge("tidegate.autoscaler_connected", link.is_connected().into());
        }
        let revisions = activators.map(|activators| &*activators.revisions);
        let snapshot = self.proxy.load();
        Collected {
            sections: vec![
                Box::new(cluster::table(snapshot.clusters(), &self.discovery.endpoints())),
                Box::new(http::table(&listeners)),
                Box::new(http::by_listener(&listeners)),
                Box::new(tcp::table(&listeners)),
                Box::new(limit::table(&listeners)),
                Box::new(listener::table(&listeners)),
                Box::new(revisions::table(revisions)),
                Box::new(flat),
            ],
            rules: Arc::clone(&self.rules),
            baseline: Arc::clone(&self.baseline.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Has every counter begin at 0 again. What is counted goes on as before: only what is shown changes.
    pub fn reset_counters(&self, facts: &ServerFacts) {
        let mut collected = self.collect(facts);
        collected.baseline = Arc::default();
        let mut baseline = Baseline::new();
        for section in &collected.sections {
            for group in 0..section.prefixes().len() {
                section.emit(group, None, &mut |stat| {
                    if let Value::Counter(count @ 1..) = stat.value {
                        baseline.insert(stat.name.into(), count);
                    }
                });
            }
        }
        *self.baseline.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(baseline);
    }
}

impl Collected {
    /// Writes what `query` asks for.
    ///
    /// # Errors
    /// What `out` says: that nobody takes it any more.
    pub fn write(&self, query: &Query, out: &mut dyn fmt::Write) -> fmt::Result {
        match query.format {
            Format::Text => text::write(self, query, out),
            Format::Json => json::write(self, query, out),
            Format::Prometheus => prometheus::write(self, query, out),
            Format::Html => html::write(self, query, out),
        }
    }

    /// Gives `sink` every statistic of these kinds that is asked for, by name.
    pub(super) fn by_name(
        &self,
        query: &Query,
        kinds: &[Kind],
        sink: &mut dyn FnMut(&Stat<'_>) -> fmt::Result,
    ) -> fmt::Result {
        if !kinds.iter().any(|kind| query.wants_kind(*kind)) {
            return Ok(());
        }
        let mut groups: Vec<(&str, usize, usize)> = Vec::new();
        for (at, section) in self.sections.iter().enumerate() {
            let prefixes = section.prefixes().into_iter().enumerate();
            groups.extend(prefixes.map(|(group, prefix)| (prefix, at, group)));
        }
        groups.sort_unstable();
        let mut left = groups.as_slice();
        while let Some(((first, ..), _)) = left.split_first() {
            // Names of groups of which one's prefix begins with the other's mix; no others do.
            let together = left.iter().take_while(|(prefix, ..)| prefix.starts_with(*first));
            let (run, rest) = left.split_at(together.count());
            left = rest;
            self.run(run, query, kinds, sink)?;
        }
        Ok(())
    }

    fn run(
        &self,
        groups: &[(&str, usize, usize)],
        query: &Query,
        kinds: &[Kind],
        sink: &mut dyn FnMut(&Stat<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let mut stats: Vec<(String, Kept)> = Vec::new();
        for (_, section, group) in groups {
            let Some(section) = self.sections.get(*section) else {
                continue;
            };
            section.emit(*group, None, &mut |stat| {
                let kind = stat.value.kind();
                if kinds.contains(&kind) && query.wants_kind(kind) && self.keeps(query, stat) {
                    stats.push((stat.name.to_owned(), Kept::of(&self.since_reset(stat))));
                }
            });
        }
        stats.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, kept) in &stats {
            sink(&Stat {
                name,
                inner: None,
                tags: &[],
                value: kept.value(),
                used: true,
            })?;
        }
        Ok(())
    }

    /// Gives `sink` every statistic that is asked for, by family; `family` hears of each family that has any.
    pub(super) fn by_family(
        &self,
        query: &Query,
        sink: &mut dyn FnMut(&str, Kind, &Stat<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let mut families: Vec<(Kind, String, usize, usize)> = Vec::new();
        let mut orders: Vec<Vec<usize>> = Vec::new();
        for (at, section) in self.sections.iter().enumerate() {
            for family in section.families() {
                families.push((family.kind, family.name, at, family.row));
            }
            let prefixes = section.prefixes();
            let mut order: Vec<usize> = (0..prefixes.len()).collect();
            order.sort_by_key(|group| prefixes.get(*group).copied());
            orders.push(order);
        }
        families.sort_unstable();
        for (kind, name, at, row) in &families {
            let (Some(section), Some(order)) = (self.sections.get(*at), orders.get(*at)) else {
                continue;
            };
            if !query.wants_kind(*kind) {
                continue;
            }
            let mut done = Ok(());
            for group in order {
                section.emit(*group, Some(*row), &mut |stat| {
                    if done.is_ok() && self.keeps(query, stat) {
                        done = sink(name, *kind, &self.since_reset(stat));
                    }
                });
                done?;
            }
        }
        Ok(())
    }

    fn keeps(&self, query: &Query, stat: &Stat<'_>) -> bool {
        query.wants(stat) && self.rules.matcher.keeps(stat.name)
    }

    /// What every statistic is tagged with.
    pub(super) fn tags(&self) -> &[(String, String)] {
        &self.rules.tags
    }

    fn since_reset<'a>(&self, stat: &Stat<'a>) -> Stat<'a> {
        let value = match stat.value {
            Value::Counter(count) if !self.baseline.is_empty() => {
                let begun = self.baseline.get(stat.name).copied().unwrap_or(0);
                // What is below its beginning has begun anew itself.
                Value::Counter(count.checked_sub(begun).unwrap_or(count))
            }
            value => value,
        };
        Stat { value, ..*stat }
    }
}

/// A value that outlasts what it was read from.
enum Kept {
    Counter(u64),
    Gauge(u64),
    Text(String),
    Histogram(Vec<tidegate_proxy::observe::counts::times::Bin>),
}

impl Kept {
    fn of(stat: &Stat<'_>) -> Self {
        match stat.value {
            Value::Counter(count) => Self::Counter(count),
            Value::Gauge(value) => Self::Gauge(value),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Histogram(bins) => Self::Histogram(bins.to_vec()),
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Counter(count) => Value::Counter(*count),
            Self::Gauge(value) => Value::Gauge(*value),
            Self::Text(text) => Value::Text(text),
            Self::Histogram(bins) => Value::Histogram(bins),
        }
    }
}

impl Value<'_> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Text(_) => Kind::Text,
            Self::Histogram(_) => Kind::Histogram,
        }
    }
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected")
            .field("sections", &self.sections.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
