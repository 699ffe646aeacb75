//! How a template becomes a generation, and a generation an immutable revision (Knative,
//! `pkg/reconciler/configuration`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_knative::names::revision_name;
use tidegate_knative::object::RevisionTemplate;

use crate::conditions::Condition;
use crate::name::ObjectName;
use crate::names::{READY, REVISION_FAILED};
use crate::observed::{Observation, Observed, Readiness};
use crate::state::{ConfigurationState, RevisionState, RoutingState, UnixTime};

/// The name that a template chose belongs to a revision that is not its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("revision name {0:?} is taken by a revision with another template")]
pub(crate) struct NameTaken(pub(crate) String);

/// Brings one configuration up to date with its template and with what was seen of its revisions.
///
/// `taken` are the names of all revisions in all namespaces; a new one is added.
pub(crate) struct Reconciler<'a> {
    pub(crate) observed: &'a Observed,
    pub(crate) now: UnixTime,
    pub(crate) taken: &'a mut BTreeSet<ObjectName>,
}

impl Reconciler<'_> {
    /// Makes the revision of `template` unless it exists, then finds the latest that is ready.
    ///
    /// # Errors
    /// When the template chose a name that belongs to another revision. Everything else is up to date then.
    pub(crate) fn reconcile(
        &mut self,
        name: &ObjectName,
        template: &RevisionTemplate,
        state: &mut ConfigurationState,
    ) -> Result<(), NameTaken> {
        let template = advance(state, template);
        let made = match &template.metadata.name {
            Some(chosen) => self.make_chosen(name, chosen, &template, state),
            None => {
                self.make_numbered(name, &template, state);
                Ok(())
            }
        };
        for (revision, known) in &mut state.revisions {
            known.proven |= self.observed.get(&name.sibling(revision)) == Some(&Observation::Ready);
        }
        if let Some(latest) = latest_ready(name, state, self.observed) {
            state.latest_ready = Some(latest);
        }
        made
    }

    /// The revision with the name that the template chose. One that exists with the same template is used
    /// again, and counts as made for this generation, so that older ones do not overtake it.
    fn make_chosen(
        &mut self,
        configuration: &ObjectName,
        chosen: &str,
        template: &Arc<RevisionTemplate>,
        state: &mut ConfigurationState,
    ) -> Result<(), NameTaken> {
        match state.revisions.get_mut(chosen) {
            Some(known) if known.template == *template => {
                known.generation = state.generation;
                state.latest_created = Some(chosen.to_owned());
                Ok(())
            }
            Some(_) => Err(NameTaken(chosen.to_owned())),
            None if self.taken.contains(&configuration.sibling(chosen)) => Err(NameTaken(chosen.to_owned())),
            None => {
                self.make(configuration, chosen.to_owned(), template, state);
                Ok(())
            }
        }
    }

    /// The revision `NAME-00001` of the generation. A number whose name somebody chose before is passed over.
    fn make_numbered(
        &mut self,
        configuration: &ObjectName,
        template: &Arc<RevisionTemplate>,
        state: &mut ConfigurationState,
    ) {
        let mut name = revision_name(&configuration.name, state.generation);
        if state
            .revisions
            .get(&name)
            .is_some_and(|known| known.template == *template)
        {
            state.latest_created = Some(name);
            return;
        }
        while self.taken.contains(&configuration.sibling(&name)) {
            state.generation += 1;
            name = revision_name(&configuration.name, state.generation);
        }
        self.make(configuration, name, template, state);
    }

    /// A new revision. It has to be proven if it replaces one that serves; otherwise there is nothing to
    /// protect, and it takes traffic at once, from zero.
    fn make(
        &mut self,
        configuration: &ObjectName,
        name: String,
        template: &Arc<RevisionTemplate>,
        state: &mut ConfigurationState,
    ) {
        let replaces = state.latest_ready.as_ref().is_some_and(|serving| {
            !matches!(
                self.observed.get(&configuration.sibling(serving)),
                Some(Observation::Failed(_))
            )
        });
        let routing = if state.service.is_some() {
            RoutingState::Active
        } else {
            RoutingState::Pending
        };
        let revision = RevisionState {
            generation: state.generation,
            template: Arc::clone(template),
            created: self.now,
            proven: !replaces,
            routing,
            routing_since: self.now,
        };
        self.taken.insert(configuration.sibling(&name));
        state.latest_created = Some(name.clone());
        state.revisions.insert(name, revision);
    }
}

/// Whether a revision may take traffic.
pub(crate) fn readiness(name: &ObjectName, revision: &RevisionState, observed: &Observed) -> Readiness {
    match observed.get(name) {
        Some(Observation::Failed(failure)) => Readiness::Failed(failure.clone()),
        Some(Observation::Ready) => Readiness::Ready,
        None if revision.proven => Readiness::Ready,
        None => Readiness::Unknown,
    }
}

/// The condition `Ready` of a configuration.
pub(crate) fn condition(
    name: &ObjectName,
    state: &ConfigurationState,
    observed: &Observed,
    taken: Option<&NameTaken>,
) -> Condition {
    if let Some(taken) = taken {
        let message = format!("Revision creation failed with message: {taken}.");
        return Condition::fails(READY, REVISION_FAILED, message);
    }
    let latest = state.latest_created.as_deref().unwrap_or_default();
    if let Some(Observation::Failed(failure)) = observed.get(&name.sibling(latest)) {
        let message = format!("Revision {latest:?} failed with message: {}.", failure.message);
        return Condition::fails(READY, REVISION_FAILED, message);
    }
    if state.latest_ready.as_deref() == Some(latest) {
        Condition::holds(READY)
    } else {
        Condition::waits(READY, "", "")
    }
}

/// Counts a template that differs from the last one as the next generation.
fn advance(state: &mut ConfigurationState, template: &RevisionTemplate) -> Arc<RevisionTemplate> {
    match &state.template {
        Some(current) if **current == *template => Arc::clone(current),
        _ => {
            let template = Arc::new(template.clone());
            state.generation += 1;
            state.template = Some(Arc::clone(&template));
            template
        }
    }
}

/// The newest ready revision that is not older than the one that is the latest now. A revision whose name
/// the template chose goes first. None leaves it as it is.
fn latest_ready(name: &ObjectName, state: &ConfigurationState, observed: &Observed) -> Option<String> {
    let ready =
        |name: &ObjectName, revision: &RevisionState| readiness(name, revision, observed) == Readiness::Ready;
    let generation = |revision: &String| state.revisions.get(revision).map_or(0, |known| known.generation);
    let oldest = state.latest_ready.as_ref().map_or(0, generation);
    let chosen = state
        .template
        .as_ref()
        .and_then(|template| template.metadata.name.as_ref());
    let candidates: BTreeMap<_, _> = state
        .revisions
        .iter()
        .filter(|(_, known)| (oldest..=state.generation).contains(&known.generation))
        .filter(|(revision, known)| ready(&name.sibling(revision), known))
        .map(|(revision, known)| (known.generation, revision))
        .collect();
    let own = chosen.filter(|chosen| candidates.values().any(|candidate| candidate == chosen));
    own.or_else(|| candidates.values().next_back().copied()).cloned()
}
