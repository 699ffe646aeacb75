//! What is a group of statistics: the same rows for each cluster, listener or connection manager?

use std::sync::Arc;

use tidegate_proxy::observe::counts::times::Bin;

/// A value as it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Counter(u64),
    Gauge(u64),
    Text(&'a str),
    Histogram(&'a [Bin]),
}

/// What a family of statistics is, for Prometheus and for the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Text,
    Histogram,
}

/// A tag that was taken out of a name, with its value.
pub(super) type Tag = (&'static str, Arc<str>);

/// One statistic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat<'a> {
    /// The whole name.
    pub(super) name: &'a str,
    /// The tag within a group, then those of the group.
    pub(super) inner: Option<(&'static str, &'a str)>,
    pub(super) tags: &'a [Tag],
    pub(super) value: Value<'a>,
    /// Whether anything was ever written to it.
    pub(super) used: bool,
}

/// A family: one name of Prometheus, in a section.
#[derive(Clone, Debug)]
pub(super) struct Family {
    /// The name without tags, with dots.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Which row of the section it is.
    pub(super) row: usize,
}

/// Groups of the same rows. They were read once, so that each view of them says the same.
pub(super) trait Section: Send {
    /// Its rows as families.
    fn families(&self) -> Vec<Family>;
    /// What the names of each group begin with.
    fn prefixes(&self) -> Vec<&str>;
    /// Gives `sink` the statistics of a group: of one row, or of all.
    fn emit(&self, group: usize, row: Option<usize>, sink: &mut dyn FnMut(&Stat<'_>));
}

/// One row: the name after the group's prefix, and how it is read.
pub(super) struct Row<R> {
    name: &'static str,
    read: Read<R>,
    only: Option<fn(&R) -> bool>,
}

/// How a row is read from what was collected about its group.
pub(super) enum Read<R> {
    Counter(fn(&R) -> u64),
    /// Counts as used when it is not zero.
    Gauge(fn(&R) -> u64),
    /// Counts as used.
    Set(fn(&R) -> u64),
    Histogram(fn(&R) -> &[Bin]),
    /// A counter for each status code; the name goes on with it.
    Codes(fn(&R) -> &[(u16, u64)]),
    /// A counter for each class of status codes that was seen; the name has `xx` for it.
    ClassesSeen(fn(&R) -> &[(u16, u64)]),
    /// A counter for each class of status codes; the name has `xx` for it.
    Classes(fn(&R) -> [u64; 5]),
    /// A counter for each value of a tag that was seen; the name goes on with it.
    Tagged(&'static str, fn(&R) -> Vec<(&'static str, u64)>),
}

pub(super) const fn row<R>(name: &'static str, read: Read<R>) -> Row<R> {
    Row {
        name,
        read,
        only: None,
    }
}

pub(super) const fn row_if<R>(only: fn(&R) -> bool, name: &'static str, read: Read<R>) -> Row<R> {
    Row {
        name,
        read,
        only: Some(only),
    }
}

/// A group: what its names begin with, its tags, and what was read.
pub(super) struct Group<R> {
    pub(super) prefix: String,
    pub(super) tags: Vec<Tag>,
    pub(super) reading: R,
}

/// A section whose rows are known beforehand.
pub(super) struct Table<R: 'static> {
    /// What the names of families begin with.
    pub(super) family: &'static str,
    pub(super) rows: &'static [Row<R>],
    pub(super) groups: Vec<Group<R>>,
}

impl<R: Send> Section for Table<R> {
    fn families(&self) -> Vec<Family> {
        let family = |(row, it): (usize, &Row<R>)| Family {
            name: format!("{}{}", self.family, it.name),
            kind: it.kind(),
            row,
        };
        self.rows.iter().enumerate().map(family).collect()
    }

    fn prefixes(&self) -> Vec<&str> {
        self.groups.iter().map(|group| group.prefix.as_str()).collect()
    }

    fn emit(&self, group: usize, row: Option<usize>, sink: &mut dyn FnMut(&Stat<'_>)) {
        let Some(group) = self.groups.get(group) else {
            return;
        };
        match row {
            Some(row) => {
                if let Some(row) = self.rows.get(row) {
                    row.emit(group, sink);
                }
            }
            None => self.rows.iter().for_each(|row| row.emit(group, sink)),
        }
    }
}

impl<R> Row<R> {
    fn kind(&self) -> Kind {
        match self.read {
            Read::Gauge(_) | Read::Set(_) => Kind::Gauge,
            Read::Histogram(_) => Kind::Histogram,
            _ => Kind::Counter,
        }
    }

    fn emit(&self, group: &Group<R>, sink: &mut dyn FnMut(&Stat<'_>)) {
        if self.only.is_some_and(|only| !only(&group.reading)) {
            return;
        }
        let reading = &group.reading;
        let mut out = Out {
            prefix: &group.prefix,
            tags: &group.tags,
            sink,
        };
        let counter = Value::Counter;
        match &self.read {
            Read::Counter(read) => out.one(self.name, None, counter(read(reading)), read(reading) > 0),
            Read::Gauge(read) => out.one(self.name, None, Value::Gauge(read(reading)), read(reading) > 0),
            Read::Set(read) => out.one(self.name, None, Value::Gauge(read(reading)), true),
            Read::Histogram(read) => {
                let bins = read(reading);
                out.one(self.name, None, Value::Histogram(bins), !bins.is_empty());
            }
            Read::Codes(read) => {
                for (code, count) in read(reading) {
                    let (name, code) = (format!("{}_{code}", self.name), code.to_string());
                    out.one(&name, Some(("envoy_response_code", &code)), counter(*count), true);
                }
            }
            Read::ClassesSeen(read) => {
                let classes = classes(read(reading));
                let seen = |(_, count): &(_, u64)| *count > 0;
                for (class, count) in (1..=5).zip(classes).filter(seen) {
                    out.class(self.name, class, count);
                }
            }
            Read::Classes(read) => {
                for (class, count) in (1..=5).zip(read(reading)) {
                    out.class(self.name, class, count);
                }
            }
            Read::Tagged(tag, read) => {
                for (value, count) in read(reading) {
                    let name = format!("{}.{value}", self.name);
                    out.one(&name, Some((*tag, value)), counter(count), true);
                }
            }
        }
    }
}

/// Where the statistics of one group go.
struct Out<'a, 'b> {
    prefix: &'a str,
    tags: &'a [Tag],
    sink: &'b mut dyn FnMut(&Stat<'_>),
}

impl Out<'_, '_> {
    fn one(&mut self, name: &str, inner: Option<(&'static str, &str)>, value: Value<'_>, used: bool) {
        (self.sink)(&Stat {
            name: &format!("{}{name}", self.prefix),
            inner,
            tags: self.tags,
            value,
            used,
        });
    }

    fn class(&mut self, name: &str, class: u8, count: u64) {
        let class = class.to_string();
        let name = name.replace("_xx", &format!("_{class}xx"));
        let inner = Some(("envoy_response_code_class", class.as_str()));
        self.one(&name, inner, Value::Counter(count), count > 0);
    }
}

fn classes(codes: &[(u16, u64)]) -> [u64; 5] {
    let mut classes = [0; 5];
    for (code, count) in codes {
        if let Some(class) = classes.get_mut(usize::from(code / 100).wrapping_sub(1)) {
            *class += count;
        }
    }
    classes
}

/// All of them together.
pub(super) fn completed(codes: &[(u16, u64)]) -> u64 {
    codes.iter().map(|(_, count)| count).sum()
}

/// A name as it stands in names of statistics, where Envoy has no colons.
pub(super) fn sanitized(name: &str) -> String {
    name.trim_matches('.')
        .replace("://", "_")
        .replace(":/", "_")
        .replace([':', '\0'], "_")
}
