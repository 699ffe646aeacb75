//! From objects, what is remembered, and what is seen: which revisions and routes should be there now.
//!
//! Pure: the same input gives the same plan, and planning again from the new state changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_knative::names::keys;
use tidegate_knative::object::RevisionTemplate;
use tidegate_knative::{Kind, Object, Problem};

use crate::configuration::{self, NameTaken, Reconciler};
use crate::desired::Desired;
use crate::garbage::Collector;
use crate::name::ObjectName;
use crate::observed::{Observed, Readiness};
use crate::reachability;
use crate::settings::Settings;
use crate::state::{ConfigurationState, RevisionState, RouteState, RoutingState, State, UnixTime};
use crate::status::{ObjectStatus, RouteTrouble, Statuses};
use crate::targets::{self, RouteTarget};
use crate::traffic::Lookup;

/// What a plan is made from, beside what is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// All objects there are; kinds that ask for nothing here are passed over.
    pub objects: &'a [Object],
    /// What was seen of the revisions.
    pub observed: &'a Observed,
    /// Choices of the person who runs it.
    pub settings: &'a Settings,
    /// The time, for the age of revisions.
    pub now: UnixTime,
}

/// What should be there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// All known revisions; those in reserve need no replica.
    pub revisions: BTreeMap<ObjectName, PlannedRevision>,
    /// The targets of each route; empty where nothing could be routed yet.
    pub routes: BTreeMap<ObjectName, Vec<RouteTarget>>,
    /// How each Service, Configuration and Route that was written stands.
    pub statuses: BTreeMap<(Kind, ObjectName), ObjectStatus>,
    /// What is wrong in the files beyond what is wrong in one object. The rest of the plan holds all the same.
    pub problems: Vec<Problem>,
}

/// A revision that should exist.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRevision {
    /// The configuration it belongs to.
    pub configuration: String,
    /// The Service it belongs to.
    pub service: Option<String>,
    /// The newest generation of the configuration that it was made for.
    pub generation: u64,
    /// When it was made.
    pub created: UnixTime,
    /// The template's labels and Knative's.
    pub labels: BTreeMap<String, String>,
    /// What it runs.
    pub template: Arc<RevisionTemplate>,
    /// Whether a route names it; in reserve its minimum scale does not count.
    pub routing: RoutingState,
    /// Whether it may take traffic.
    pub readiness: Readiness,
    /// How it begins.
    pub start: Start,
}

/// How a revision begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With its first request, unless an annotation says otherwise.
    FromZero,
    /// Once, now: traffic waits for its first ready replica, or the configuration for its latest revision.
    Prove,
}

/// Makes the plan, and what has to be remembered for the next one.
#[must_use]
pub fn plan(input: &Input<'_>, state: &State) -> (Plan, State) {
    let desired = Desired::of(input.objects);
    let mut state = keep_wanted(state, &desired);
    let conflicts = reconcile_configurations(input, &desired, &mut state);
    let mut assigned = assign_traffic(input, &desired, &mut state, &conflicts);
    reachability::label(&desired, &mut state, input.now);
    let held = conflicts
        .iter()
        .map(|(configuration, taken)| configuration.sibling(&taken.0))
        .collect();
    let collector = Collector {
        rules: &input.settings.garbage,
        now: input.now,
        held: &held,
    };
    if collector.collect(&mut state) > 0 {
        // Sends no request elsewhere, but a message may have listed what is forgotten now.
        assigned = assign_traffic(input, &desired, &mut state, &conflicts);
    }
    let Assigned {
        mut troubles,
        mut problems,
    } = assigned;

    let mut routes = planned_routes(input, &desired, &state);
    for clash in targets::settle_clashes(&mut routes, &desired.routes) {
        troubles.entry(clash.route).or_default().clash = Some(clash.label);
        problems.push(clash.problem);
    }
    let statuses = Statuses {
        input,
        desired: &desired,
        state: &state,
        conflicts: &conflicts,
        routes: &routes,
    };
    let statuses = statuses.all(&troubles);
    problems.extend(desired.problems);
    problems.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
    (
        Plan {
            revisions: revisions(input, &state),
            routes,
            statuses,
            problems,
        },
        state,
    )
}

/// The state of what is still wanted, and still belongs to the same Service. The rest is forgotten: a Service
/// that comes back begins anew, as in Knative.
fn keep_wanted(state: &State, desired: &Desired<'_>) -> State {
    let mut kept = State::default();
    for (name, wanted) in &desired.configurations {
        let service = wanted.service.map(str::to_owned);
        let known = state
            .configurations
            .get(name)
            .filter(|known| known.service == service)
            .cloned();
        let known = known.unwrap_or_else(|| ConfigurationState {
            service,
            ..ConfigurationState::default()
        });
        kept.configurations.insert(name.clone(), known);
    }
    for (name, wanted) in &desired.routes {
        let service = wanted.service.map(str::to_owned);
        let known = state
            .routes
            .get(name)
            .filter(|known| known.service == service)
            .cloned();
        let known = known.unwrap_or_else(|| RouteState {
            service,
            traffic: Vec::new(),
        });
        kept.routes.insert(name.clone(), known);
    }
    kept
}

fn reconcile_configurations(
    input: &Input<'_>,
    desired: &Desired<'_>,
    state: &mut State,
) -> BTreeMap<ObjectName, NameTaken> {
    let mut taken = owners(state).into_keys().collect();
    let mut reconciler = Reconciler {
        observed: input.observed,
        now: input.now,
        taken: &mut taken,
    };
    let mut conflicts = BTreeMap::new();
    for (name, wanted) in &desired.configurations {
        let Some(known) = state.configurations.get_mut(name) else {
            continue;
        };
        if let Err(conflict) = reconciler.reconcile(name, wanted.template, known) {
            conflicts.insert(name.clone(), conflict);
        }
    }
    conflicts
}

/// The configuration of each revision.
fn owners(state: &State) -> BTreeMap<ObjectName, ObjectName> {
    let configurations = state.configurations.iter();
    configurations
        .flat_map(|(name, known)| {
            known
                .revisions
                .keys()
                .map(|revision| (name.sibling(revision), name.clone()))
        })
        .collect()
}

/// What came of assigning traffic.
struct Assigned {
    troubles: BTreeMap<ObjectName, RouteTrouble>,
    problems: Vec<Problem>,
}

/// Assigns traffic where every target can be met; elsewhere it stays where it went before.
fn assign_traffic(
    input: &Input<'_>,
    desired: &Desired<'_>,
    state: &mut State,
    conflicts: &BTreeMap<ObjectName, NameTaken>,
) -> Assigned {
    let owners = owners(state);
    let mut assigned = Assigned {
        troubles: BTreeMap::new(),
        problems: conflict_problems(desired, conflicts),
    };
    let lookup = Lookup {
        state,
        owners: &owners,
        conflicts,
        observed: input.observed,
    };
    let mut resolved = Vec::new();
    for (name, route) in &desired.routes {
        if route.service.is_some() && conflicts.contains_key(name) {
            continue;
        }
        match lookup.resolve(name, route) {
            Ok(traffic) => resolved.push((name, traffic)),
            Err(trouble) => {
                assigned.problems.extend(trouble.problem);
                let trouble = RouteTrouble {
                    assigned: Some(trouble.condition),
                    clash: None,
                };
                assigned.troubles.insert(name.clone(), trouble);
            }
        }
    }
    for (name, traffic) in resolved {
        if let Some(route) = state.routes.get_mut(name) {
            route.traffic = traffic;
        }
    }
    assigned
}

fn conflict_problems(desired: &Desired<'_>, conflicts: &BTreeMap<ObjectName, NameTaken>) -> Vec<Problem> {
    let of = |(name, taken): (&ObjectName, &NameTaken)| {
        let source = desired.configurations.get(name)?.source;
        let mut problem = source.problem("spec.template.metadata.name", taken.to_string());
        problem.hint =
            Some("a revision never changes: give the changed template a new name, or none".to_owned());
        Some(problem)
    };
    conflicts.iter().filter_map(of).collect()
}

fn planned_routes(
    input: &Input<'_>,
    desired: &Desired<'_>,
    state: &State,
) -> BTreeMap<ObjectName, Vec<RouteTarget>> {
    let routes = desired.routes.iter();
    routes
        .map(|(name, route)| {
            let traffic = state.routes.get(name).map_or(&[][..], |known| &known.traffic);
            (
                name.clone(),
                targets::targets(name, route, traffic, input.settings),
            )
        })
        .collect()
}

fn revisions(input: &Input<'_>, state: &State) -> BTreeMap<ObjectName, PlannedRevision> {
    let mut revisions = BTreeMap::new();
    for (configuration, owner) in &state.configurations {
        for (revision, known) in &owner.revisions {
            let name = configuration.sibling(revision);
            let readiness = configuration::readiness(&name, known, input.observed);
            // What was overtaken before it was proven is not started for that any more.
            let matters =
                known.routing == RoutingState::Active || owner.latest_created.as_ref() == Some(revision);
            let start = if matters && readiness == Readiness::Unknown {
                Start::Prove
            } else {
                Start::FromZero
            };
            let planned = PlannedRevision {
                configuration: configuration.name.clone(),
                service: owner.service.clone(),
                generation: known.generation,
                created: known.created,
                labels: labels(&configuration.name, owner.service.as_deref(), known),
                template: Arc::clone(&known.template),
                routing: known.routing,
                readiness,
                start,
            };
            revisions.insert(name, planned);
        }
    }
    revisions
}

/// The template's labels, and over them those that say where a revision comes from.
fn labels(configuration: &str, service: Option<&str>, revision: &RevisionState) -> BTreeMap<String, String> {
    let mut labels = revision.template.metadata.labels.clone();
    let own = [
        (keys::CONFIGURATION, configuration.to_owned()),
        (keys::CONFIGURATION_GENERATION, revision.generation.to_string()),
        (keys::ROUTING_STATE, revision.routing.as_str().to_owned()),
    ];
    labels.extend(own.map(|(key, value)| (key.to_owned(), value)));
    labels.extend(service.map(|service| (keys::SERVICE.to_owned(), service.to_owned())));
    labels
}

#[cfg(test)]
mod tests;
