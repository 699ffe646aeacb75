//! Until when do resources live that nobody renews (`ttl`)?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The resources of one kind that have an end.
#[derive(Clone, Debug, Default)]
pub(super) struct Lifetimes {
    ends: BTreeMap<Arc<str>, Instant>,
    /// The same, the next one first.
    order: BTreeSet<(Instant, Arc<str>)>,
}

impl Lifetimes {
    /// The resource lives from now on for so long; without a time it lives until it is removed, as all do that never had one.
    pub(super) fn renew(&mut self, name: &Arc<str>, lives: Option<Duration>, now: Instant) {
        self.end(name);
        // What ends after time itself never does.
        if let Some(end) = lives.and_then(|lives| now.checked_add(lives)) {
            self.ends.insert(Arc::clone(name), end);
            self.order.insert((end, Arc::clone(name)));
        }
    }

    /// Whether it has an end.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.ends.contains_key(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all but these: what is gone does not end again.
    pub(super) fn retain(&mut self, lives: impl Fn(&str) -> bool) {
        self.ends.retain(|name, _| lives(name));
        self.order.retain(|(_, name)| lives(name));
    }

    /// When the next one ends.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(end, _)| *end)
    }

    /// What has ended, each once.
    pub(super) fn ended(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut ended = Vec::new();
        while self.next().is_some_and(|end| end <= now)
            && let Some((_, name)) = self.order.pop_first()
        {
            self.ends.remove(&name);
            ended.push(name);
        }
        ended
    }

    fn end(&mut self, name: &Arc<str>) {
        if let Some(end) = self.ends.remove(name) {
            self.order.remove(&(end, Arc::clone(name)));
        }
    }
}
