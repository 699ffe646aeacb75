//! Which revisions a route's targets mean, and why a target cannot be met (Knative, `pkg/reconciler/route/traffic`).

use std::collections::BTreeMap;

use tidegate_knative::Problem;
use tidegate_knative::names::LABEL_BYTES_MAX;
use tidegate_knative::object::{TrafficTarget, TrafficTo};

use crate::conditions::{Condition, Status};
use crate::configuration::{self, NameTaken};
use crate::desired::DesiredRoute;
use crate::hosts;
use crate::limits::KNOWN_REVISIONS_LISTED_MAX;
use crate::name::ObjectName;
use crate::names::{
    ALL_TRAFFIC_ASSIGNED, CONFIGURATION_MISSING, ERROR_CONFIG, REVISION_MISSING, REVISION_NOT_OWNED,
};
use crate::observed::{Observed, Readiness};
use crate::state::{Assignment, ConfigurationState, State};

/// Why a route keeps sending requests where it sent them before.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) condition: Condition,
    /// Set if the file is wrong; a revision that is not ready yet is nobody's mistake.
    pub(crate) problem: Option<Problem>,
}

/// Finds revisions and configurations by name.
pub(crate) struct Lookup<'a> {
    pub(crate) state: &'a State,
    /// The configuration of each revision.
    pub(crate) owners: &'a BTreeMap<ObjectName, ObjectName>,
    pub(crate) conflicts: &'a BTreeMap<ObjectName, NameTaken>,
    pub(crate) observed: &'a Observed,
}

impl Lookup<'_> {
    /// What the targets of `route` mean now, in their order.
    ///
    /// # Errors
    /// At the first target that cannot be met: then the route has to stay as it was.
    pub(crate) fn resolve(
        &self,
        name: &ObjectName,
        route: &DesiredRoute<'_>,
    ) -> Result<Vec<Assignment>, Box<Trouble>> {
        let targets = route.traffic.iter().enumerate();
        targets
            .map(|(index, target)| self.target(name, route, index, target))
            .collect()
    }

    fn target(
        &self,
        name: &ObjectName,
        route: &DesiredRoute<'_>,
        index: usize,
        target: &TrafficTarget,
    ) -> Result<Assignment, Box<Trouble>> {
        let place = Place { name, route, index };
        let label = hosts::label(&name.name, target.tag.as_deref());
        if label.len() > LABEL_BYTES_MAX {
            return Err(place.label_too_long(&label));
        }
        let revision = match &target.to {
            TrafficTo::Revision(revision) => self.named(&place, revision)?,
            TrafficTo::LatestOf(configuration) => self.latest(&place, configuration)?,
        };
        Ok(Assignment {
            revision,
            tag: target.tag.clone(),
            percent: target.percent,
            latest: matches!(target.to, TrafficTo::LatestOf(_)),
        })
    }

    fn named(&self, place: &Place<'_>, revision: &str) -> Result<String, Box<Trouble>> {
        let full = place.name.sibling(revision);
        let owner = self.owners.get(&full);
        let found = owner.and_then(|owner| Some((owner, self.state.configurations.get(owner)?)));
        let found = found.and_then(|(owner, state)| Some((owner, state, state.revisions.get(revision)?)));
        let Some((owner, configuration, known)) = found else {
            return Err(place.revision_missing(revision, &self.known(place)));
        };
        if let Some(service) = place.route.service
            && configuration.service.as_deref() != Some(service)
        {
            return Err(
                place.revision_not_owned(revision, configuration.service.as_deref().unwrap_or(&owner.name))
            );
        }
        match configuration::readiness(&full, known, self.observed) {
            Readiness::Ready => Ok(revision.to_owned()),
            Readiness::Failed(_) => {
                let message = format!("Revision {revision:?} failed to become ready.");
                Err(waits(Condition::fails(
                    ALL_TRAFFIC_ASSIGNED,
                    REVISION_MISSING,
                    message,
                )))
            }
            Readiness::Unknown => {
                let message = format!("Revision {revision:?} is not yet ready.");
                Err(waits(Condition::waits(
                    ALL_TRAFFIC_ASSIGNED,
                    REVISION_MISSING,
                    message,
                )))
            }
        }
    }

    fn latest(&self, place: &Place<'_>, configuration: &str) -> Result<String, Box<Trouble>> {
        let name = place.name.sibling(configuration);
        let Some(state) = self.state.configurations.get(&name) else {
            return Err(place.configuration_missing(configuration));
        };
        if let Some(latest) = &state.latest_ready {
            return Ok(latest.clone());
        }
        let status = configuration::condition(&name, state, self.observed, self.conflicts.get(&name)).status;
        Err(waits(if status == Status::False {
            let message = format!("Configuration {configuration:?} does not have any ready Revision.");
            Condition::fails(ALL_TRAFFIC_ASSIGNED, REVISION_MISSING, message)
        } else {
            let message =
                format!("Configuration {configuration:?} is waiting for a Revision to become ready.");
            Condition::waits(ALL_TRAFFIC_ASSIGNED, REVISION_MISSING, message)
        }))
    }

    /// The revisions that a target of this route may name, the newest of each configuration first.
    fn known(&self, place: &Place<'_>) -> Vec<String> {
        let configurations = self.state.configurations.iter().filter(|(name, state)| {
            name.namespace == place.name.namespace
                && place
                    .route
                    .service
                    .is_none_or(|service| state.service.as_deref() == Some(service))
        });
        configurations
            .flat_map(|(_, state)| newest_first(state))
            .collect()
    }
}

fn newest_first(state: &ConfigurationState) -> Vec<String> {
    let mut revisions: Vec<_> = state.revisions.iter().collect();
    revisions.sort_by_key(|(_, known)| std::cmp::Reverse(known.generation));
    revisions.into_iter().map(|(name, _)| name.clone()).collect()
}

fn waits(condition: Condition) -> Box<Trouble> {
    Box::new(Trouble {
        condition,
        problem: None,
    })
}

/// A target, and where it stands.
struct Place<'a> {
    name: &'a ObjectName,
    route: &'a DesiredRoute<'a>,
    index: usize,
}

impl Place<'_> {
    fn trouble(&self, field: &str, condition: Condition, message: String, hint: String) -> Box<Trouble> {
        let path = format!("spec.traffic[{}].{field}", self.index);
        let mut problem = self.route.source.problem(&path, message);
        problem.hint = Some(hint);
        Box::new(Trouble {
            condition,
            problem: Some(problem),
        })
    }

    fn revision_missing(&self, revision: &str, known: &[String]) -> Box<Trouble> {
        let message = format!("Revision {revision:?} referenced in traffic not found.");
        let condition = Condition::fails(ALL_TRAFFIC_ASSIGNED, REVISION_MISSING, message);
        let listed = known.get(..KNOWN_REVISIONS_LISTED_MAX).unwrap_or(known);
        let more = match known.len() - listed.len() {
            0 => String::new(),
            more => format!(" and {more} older"),
        };
        let hint = if known.is_empty() {
            "no revision is known here yet; leave revisionName out to send traffic to the latest".to_owned()
        } else {
            format!("known revisions, newest first: {}{more}", listed.join(", "))
        };
        let message = format!("revision {revision:?} of {} does not exist", self.name);
        self.trouble("revisionName", condition, message, hint)
    }

    fn configuration_missing(&self, configuration: &str) -> Box<Trouble> {
        let message = format!("Configuration {configuration:?} referenced in traffic not found.");
        let condition = Condition::fails(ALL_TRAFFIC_ASSIGNED, CONFIGURATION_MISSING, message);
        let namespace = &self.name.namespace;
        let message = format!("namespace {namespace} has no Configuration or Service {configuration:?}");
        let hint = "add it to the files, or correct the name".to_owned();
        self.trouble("configurationName", condition, message, hint)
    }

    fn revision_not_owned(&self, revision: &str, owner: &str) -> Box<Trouble> {
        let service = &self.name.name;
        let message = format!("Revision {revision:?} belongs to Service {owner:?}, not Service {service:?}.");
        let condition = Condition::fails(ALL_TRAFFIC_ASSIGNED, REVISION_NOT_OWNED, message);
        let message = format!("revision {revision:?} belongs to {owner:?}, not to {service:?}");
        let hint = "a Service sends traffic to its own revisions only; a Route may name any".to_owned();
        self.trouble("revisionName", condition, message, hint)
    }

    fn label_too_long(&self, label: &str) -> Box<Trouble> {
        let bytes = label.len();
        let message =
            format!("{label:?} has {bytes} characters; a host's label has at most {LABEL_BYTES_MAX}");
        let condition = Condition::fails(ALL_TRAFFIC_ASSIGNED, ERROR_CONFIG, message.clone());
        self.trouble("tag", condition, message, "choose a shorter tag".to_owned())
    }
}
