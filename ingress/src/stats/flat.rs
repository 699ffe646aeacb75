//! Statistics that stand for themselves: of the program, of its control planes, and what the metrics facade was told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::section::{Family, Kind, Section, Stat, Tag, Value};

/// A statistic with a name of its own.
#[derive(Clone, Debug)]
pub(super) struct Single {
    pub(super) name: String,
    /// The name without its tags, where it has any.
    pub(super) family: Option<String>,
    pub(super) tags: Vec<Tag>,
    pub(super) value: Owned,
    pub(super) used: bool,
}

/// A value that is kept.
#[derive(Clone, Debug)]
pub(super) enum Owned {
    Counter(u64),
    Gauge(u64),
    Text(Arc<str>),
    Histogram(Vec<tidegate_proxy::observe::counts::times::Bin>),
}

/// Any number of them.
#[derive(Debug, Default)]
pub(super) struct Flat {
    singles: Vec<Single>,
}

impl Flat {
    pub(super) fn counter(&mut self, name: &str, value: u64) {
        self.push(Single::new(name, Owned::Counter(value), value > 0));
    }

    pub(super) fn gauge(&mut self, name: &str, value: u64) {
        self.push(Single::new(name, Owned::Gauge(value), true));
    }

    pub(super) fn text(&mut self, name: &str, value: impl Into<Arc<str>>) {
        self.push(Single::new(name, Owned::Text(value.into()), true));
    }

    pub(super) fn push(&mut self, single: Single) {
        self.singles.push(single);
    }
}

impl Single {
    pub(super) fn new(name: impl Into<String>, value: Owned, used: bool) -> Self {
        Self {
            name: name.into(),
            family: None,
            tags: Vec::new(),
            value,
            used,
        }
    }

    fn family(&self) -> &str {
        self.family.as_ref().unwrap_or(&self.name)
    }
}

impl Owned {
    fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Text(_) => Kind::Text,
            Self::Histogram(_) => Kind::Histogram,
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Counter(value) => Value::Counter(*value),
            Self::Gauge(value) => Value::Gauge(*value),
            Self::Text(text) => Value::Text(text),
            Self::Histogram(bins) => Value::Histogram(bins),
        }
    }
}

impl Section for Flat {
    /// The row of a family is the first of its statistics.
    fn families(&self) -> Vec<Family> {
        let mut families: BTreeMap<&str, (usize, Kind)> = BTreeMap::new();
        for (row, single) in self.singles.iter().enumerate() {
            families
                .entry(single.family())
                .or_insert((row, single.value.kind()));
        }
        let family = |(name, (row, kind)): (&str, _)| Family {
            name: name.to_owned(),
            kind,
            row,
        };
        families.into_iter().map(family).collect()
    }

    fn prefixes(&self) -> Vec<&str> {
        self.singles.iter().map(|single| single.name.as_str()).collect()
    }

    fn emit(&self, group: usize, row: Option<usize>, sink: &mut dyn FnMut(&Stat<'_>)) {
        let Some(single) = self.singles.get(group) else {
            return;
        };
        let wanted = row.is_none_or(|row| {
            let first = self.singles.get(row);
            first.is_some_and(|first| first.family() == single.family())
        });
        if wanted {
            sink(&Stat {
                name: &single.name,
                inner: None,
                tags: &single.tags,
                value: single.value.value(),
                used: single.used,
            });
        }
    }
}
