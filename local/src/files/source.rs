//! Which objects are in effect after each reading of files that may be half written, moved or gone. No I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tidegate_knative::{Kind, Object, Problem};

use super::reader::{Content, Reading};
use super::{Change, sort};
use crate::limits::FILES_RECHECK;

/// The objects that are in effect, and what was told about the files.
#[derive(Debug, Default)]
pub(super) struct ObjectSource {
    held: BTreeMap<Key, Held>,
    broken: BTreeMap<PathBuf, Arc<[Problem]>>,
    others: Vec<Problem>,
}

/// What tells an object from all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: Kind,
    namespace: String,
    name: String,
}

/// An object in effect.
#[derive(Debug)]
struct Held {
    object: Object,
    file: PathBuf,
    /// What its file held when it was read there.
    content: Arc<[Object]>,
    /// Since when the file is without it.
    missing_since: Option<Instant>,
}

/// An object as it stands in a file that is not broken.
struct Found<'a> {
    object: &'a Object,
    file: &'a PathBuf,
    content: &'a Arc<[Object]>,
}

impl ObjectSource {
    /// When the files should be read again even if nothing touches them.
    pub(super) fn recheck_at(&self) -> Option<Instant> {
        let missing = self.held.values().filter_map(|held| held.missing_since);
        missing.min().map(|since| since + FILES_RECHECK)
    }

    /// Takes in what was read at `now`.
    pub(super) fn on_read(&mut self, now: Instant, reading: &Reading) -> Change {
        let mut found = found(reading);
        let (mut others, mut changed) = (Vec::new(), false);
        for (key, held) in std::mem::take(&mut self.held) {
            let here = found.remove(&key).unwrap_or_default();
            others.extend(clashes(&key, &here));
            let kept = match Fate::of(&held, &here, reading, now) {
                Fate::Replaced(by) => {
                    changed |= !Arc::ptr_eq(by.content, &held.content);
                    by.hold()
                }
                Fate::Stays => Held {
                    missing_since: None,
                    ..held
                },
                Fate::Missing(since) => Held {
                    missing_since: Some(since),
                    ..held
                },
                Fate::Gone => {
                    changed = true;
                    continue;
                }
            };
            self.held.insert(key, kept);
        }
        for (key, here) in found {
            others.extend(clashes(&key, &here));
            if let [only] = here.as_slice() {
                changed = true;
                self.held.insert(key, only.hold());
            }
        }
        others.extend(reading.unlisted.iter().map(|(_, problem)| problem.clone()));
        let objects = changed.then(|| self.held.values().map(|held| held.object.clone()).collect());
        Change {
            objects,
            problems: self.news(reading, others),
        }
    }

    /// The problems that were not told yet, and all of a broken file that was touched.
    fn news(&mut self, reading: &Reading, others: Vec<Problem>) -> Vec<Problem> {
        let broken = reading.files.iter().filter_map(|(file, content)| match content {
            Content::Broken(problems) => Some((file.clone(), Arc::clone(problems))),
            Content::Objects(_) => None,
        });
        let broken: BTreeMap<_, _> = broken.collect();
        let touched = broken.iter().filter(|(file, problems)| {
            !self
                .broken
                .get(*file)
                .is_some_and(|told| Arc::ptr_eq(told, problems))
        });
        let mut news: Vec<_> = touched
            .flat_map(|(_, problems)| problems.iter().cloned())
            .collect();
        news.extend(
            others
                .iter()
                .filter(|problem| !self.others.contains(problem))
                .cloned(),
        );
        sort(&mut news);
        self.broken = broken;
        self.others = others;
        news
    }
}

/// What becomes of an object that is in effect.
enum Fate<'a> {
    Replaced(&'a Found<'a>),
    Stays,
    Missing(Instant),
    Gone,
}

impl<'a> Fate<'a> {
    fn of(held: &Held, here: &'a [Found<'a>], reading: &Reading, now: Instant) -> Self {
        if is_doubtful(&held.file, reading) {
            return Self::Stays;
        }
        match here {
            [only] => Self::Replaced(only),
            [] if !reading.files.contains_key(&held.file) => Self::Gone,
            [] => match held.missing_since {
                Some(since) if now >= since + FILES_RECHECK => Self::Gone,
                since => Self::Missing(since.unwrap_or(now)),
            },
            _several => Self::Stays,
        }
    }
}

/// Whether the file may hold what it held before: it is broken, or nobody can tell.
fn is_doubtful(file: &Path, reading: &Reading) -> bool {
    matches!(reading.files.get(file), Some(Content::Broken(_)))
        || reading.unlisted.iter().any(|(path, _)| file.starts_with(path))
}

/// The objects of all files that are not broken.
fn found(reading: &Reading) -> BTreeMap<Key, Vec<Found<'_>>> {
    let mut found: BTreeMap<Key, Vec<Found<'_>>> = BTreeMap::new();
    for (file, content) in &reading.files {
        if let Content::Objects(content) = content {
            for object in content.iter() {
                found.entry(Key::of(object)).or_default().push(Found {
                    object,
                    file,
                    content,
                });
            }
        }
    }
    found
}

/// That an object stands in several places, told at each but the first.
fn clashes(key: &Key, here: &[Found<'_>]) -> Vec<Problem> {
    let Some((first, rest)) = here.split_first() else {
        return Vec::new();
    };
    let clash = |other: &Found<'_>| {
        let message = format!("{key} is also at {}", first.object.source());
        let mut problem = other.object.source().problem("metadata.name", message);
        problem.hint = Some("keep one of the two".to_owned());
        problem
    };
    rest.iter().map(clash).collect()
}

impl Found<'_> {
    fn hold(&self) -> Held {
        Held {
            object: self.object.clone(),
            file: self.file.clone(),
            content: Arc::clone(self.content),
            missing_since: None,
        }
    }
}

impl Key {
    fn of(object: &Object) -> Self {
        let metadata = object.metadata();
        Self {
            kind: object.kind(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            namespace,
            name,
        } = self;
        if namespace.is_empty() {
            write!(f, "{kind} {name}")
        } else {
            write!(f, "{kind} {namespace}/{name}")
        }
    }
}

#[cfg(test)]
mod tests;
