//! Which revisions that no route names are forgotten (Knative, `pkg/reconciler/gc`, `config-gc`).

use std::collections::BTreeSet;

use crate::name::ObjectName;
use crate::names::{NO_GC, NO_GC_YES};
use crate::settings::Garbage;
use crate::state::{ConfigurationState, RevisionState, RoutingState, State, UnixTime};

/// What decides about revisions in reserve.
pub(crate) struct Collector<'a> {
    pub(crate) rules: &'a Garbage,
    pub(crate) now: UnixTime,
    /// Names that templates chose in vain: were their revisions forgotten, the templates would get them.
    pub(crate) held: &'a BTreeSet<ObjectName>,
}

impl Collector<'_> {
    /// Forgets revisions of every configuration, and says how many.
    pub(crate) fn collect(&self, state: &mut State) -> usize {
        let configurations = state.configurations.iter_mut();
        configurations
            .map(|(name, known)| self.collect_from(name, known))
            .sum()
    }

    /// Forgets revisions in reserve, those that were active longest ago first: the stale ones until the
    /// minimum is left, then any until the maximum is kept.
    fn collect_from(&self, configuration: &ObjectName, state: &mut ConfigurationState) -> usize {
        let mut candidates: Vec<_> = state
            .revisions
            .iter()
            .filter(|(name, known)| self.may_go(configuration, state, name, known))
            .map(|(name, known)| {
                (
                    known.routing_since,
                    known.generation,
                    name.clone(),
                    self.is_stale(known),
                )
            })
            .collect();
        if candidates.len() <= self.rules.min_non_active {
            return 0;
        }
        candidates.sort_unstable();
        let spare = candidates.len() - self.rules.min_non_active;
        let mut forgotten = Vec::new();
        candidates.retain(|(_, _, name, stale)| {
            let goes = *stale && forgotten.len() < spare;
            if goes {
                forgotten.push(name.clone());
            }
            !goes
        });
        let over = candidates.len().saturating_sub(self.rules.max_non_active);
        forgotten.extend(candidates.into_iter().take(over).map(|(_, _, name, _)| name));
        for name in &forgotten {
            state.revisions.remove(name);
        }
        forgotten.len()
    }

    /// Whether no route names it, and it is neither the latest, nor held, nor marked to stay.
    fn may_go(
        &self,
        configuration: &ObjectName,
        state: &ConfigurationState,
        name: &String,
        known: &RevisionState,
    ) -> bool {
        known.routing == RoutingState::Reserve
            && state.latest_ready.as_ref() != Some(name)
            && state.latest_created.as_ref() != Some(name)
            && !self.held.contains(&configuration.sibling(name))
            && known.template.metadata.annotations.get(NO_GC).map(String::as_str) != Some(NO_GC_YES)
    }

    fn is_stale(&self, known: &RevisionState) -> bool {
        known.created.elapsed(self.now) >= self.rules.retain_since_create
            && known.routing_since.elapsed(self.now) >= self.rules.retain_since_active
    }
}

#[cfg(test)]
mod tests;
