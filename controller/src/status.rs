//! How the objects stand: what `status` of a Service, Configuration or Route says in Knative.

use std::collections::BTreeMap;

use tidegate_knative::{Kind, Object};

use crate::conditions::{Condition, with_ready};
use crate::configuration::{self, NameTaken};
use crate::desired::{Desired, DesiredRoute};
use crate::hosts::{self, Hosts};
use crate::name::ObjectName;
use crate::names::{
    ALL_TRAFFIC_ASSIGNED, CERTIFICATE_PROVISIONED, CONFIGURATIONS_READY, INGRESS_NOT_CONFIGURED,
    INGRESS_READY, NOT_OWNED, READY, REVISION_NAME_TAKEN, ROUTES_READY, TLS_NOT_ENABLED,
};
use crate::plan::Input;
use crate::settings::Settings;
use crate::state::{Assignment, State};
use crate::targets::{self, RouteTarget};

/// The status of one object. A Service has the fields of both of its children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectStatus {
    /// Where it answers; none for a Configuration.
    pub url: Option<String>,
    /// The revision of the newest template.
    pub latest_created: Option<String>,
    /// The newest revision that may take traffic.
    pub latest_ready: Option<String>,
    /// Where requests go.
    pub traffic: Vec<TrafficStatus>,
    /// `Ready` first, then what it depends on.
    pub conditions: Vec<Condition>,
}

/// One entry of `status.traffic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficStatus {
    /// What was assigned.
    pub assignment: Assignment,
    /// Where the tag answers; none without a tag.
    pub url: Option<String>,
}

impl ObjectStatus {
    /// The condition `Ready`.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == READY)
    }
}

/// What is in the way of a route.
#[derive(Debug, Default)]
pub(crate) struct RouteTrouble {
    /// A target that cannot be met.
    pub(crate) assigned: Option<Condition>,
    /// A label whose hosts another route has.
    pub(crate) clash: Option<String>,
}

/// What the statuses are told from.
pub(crate) struct Statuses<'a> {
    pub(crate) input: &'a Input<'a>,
    pub(crate) desired: &'a Desired<'a>,
    pub(crate) state: &'a State,
    pub(crate) conflicts: &'a BTreeMap<ObjectName, NameTaken>,
    pub(crate) routes: &'a BTreeMap<ObjectName, Vec<RouteTarget>>,
}

impl Statuses<'_> {
    /// The status of every Service, Configuration and Route that was written.
    pub(crate) fn all(
        &self,
        troubles: &BTreeMap<ObjectName, RouteTrouble>,
    ) -> BTreeMap<(Kind, ObjectName), ObjectStatus> {
        let mut statuses = BTreeMap::new();
        for object in self.input.objects {
            let metadata = object.metadata();
            let name = ObjectName::new(metadata.namespace.as_str(), metadata.name.as_str());
            let trouble = troubles.get(&name);
            let status = match object {
                Object::Service(_) => match self.desired.refused.get(&name) {
                    Some(taken) => of_refused_service(taken),
                    None => self.service(&name, trouble),
                },
                Object::Configuration(_) => self.configuration(&name),
                Object::Route(_) => self.route(&name, trouble),
                _ => continue,
            };
            statuses.insert((object.kind(), name), status);
        }
        statuses
    }

    fn configuration(&self, name: &ObjectName) -> ObjectStatus {
        let Some(state) = self.state.configurations.get(name) else {
            return ObjectStatus::default();
        };
        let ready = configuration::condition(name, state, self.input.observed, self.conflicts.get(name));
        ObjectStatus {
            latest_created: state.latest_created.clone(),
            latest_ready: state.latest_ready.clone(),
            conditions: vec![ready],
            ..ObjectStatus::default()
        }
    }

    fn route(&self, name: &ObjectName, trouble: Option<&RouteTrouble>) -> ObjectStatus {
        let Some(route) = self.desired.routes.get(name) else {
            return ObjectStatus::default();
        };
        let settings = self.input.settings;
        let targets = self.routes.get(name).map_or(&[][..], Vec::as_slice);
        let traffic = self
            .state
            .routes
            .get(name)
            .map_or(&[][..], |known| &known.traffic);
        let assigned = trouble.and_then(|trouble| trouble.assigned.clone());
        let clash = trouble.and_then(|trouble| trouble.clash.as_deref());
        ObjectStatus {
            url: route_url(name, route, settings),
            traffic: traffic
                .iter()
                .map(|entry| TrafficStatus::new(entry, targets, settings))
                .collect(),
            conditions: with_ready(vec![
                assigned.unwrap_or_else(|| Condition::holds(ALL_TRAFFIC_ASSIGNED)),
                ingress(targets, clash),
                certificate(),
            ]),
            ..ObjectStatus::default()
        }
    }

    /// Both of its children in one.
    fn service(&self, name: &ObjectName, trouble: Option<&RouteTrouble>) -> ObjectStatus {
        let (configuration, route) = (self.configuration(name), self.route(name, trouble));
        let routes_ready = match self.conflicts.get(name) {
            Some(NameTaken(revision)) => Condition::fails(
                ROUTES_READY,
                REVISION_NAME_TAKEN,
                format!(
                    "The revision name {revision:?} is taken by a conflicting Revision, so traffic will not be migrated"
                ),
            ),
            None => copied(&route, ROUTES_READY),
        };
        let conditions = with_ready(vec![copied(&configuration, CONFIGURATIONS_READY), routes_ready]);
        ObjectStatus {
            latest_created: configuration.latest_created,
            latest_ready: configuration.latest_ready,
            conditions,
            ..route
        }
    }
}

impl TrafficStatus {
    fn new(assignment: &Assignment, targets: &[RouteTarget], settings: &Settings) -> Self {
        let tag = assignment.tag.as_ref();
        let target = tag.and_then(|tag| targets.iter().find(|target| target.tag.as_ref() == Some(tag)));
        let url = target.and_then(|target| url(&target.hosts, settings));
        Self {
            assignment: assignment.clone(),
            url,
        }
    }
}

/// The URL of the first host.
fn url(hosts: &Hosts, settings: &Settings) -> Option<String> {
    hosts.iter().next().map(|host| settings.url(host))
}

/// Where a route answers, or would if anything were routed.
fn route_url(name: &ObjectName, route: &DesiredRoute<'_>, settings: &Settings) -> Option<String> {
    url(
        &hosts::hosts(name, None, targets::visibility(route), settings),
        settings,
    )
}

/// A child's `Ready`, as its Service says it.
fn copied(child: &ObjectStatus, kind: &'static str) -> Condition {
    child.ready().map_or_else(
        || Condition::waits(kind, "", ""),
        |ready| ready.clone().renamed(kind),
    )
}

fn ingress(targets: &[RouteTarget], clash: Option<&str>) -> Condition {
    match clash {
        Some(label) => {
            let message = format!("There is an existing placeholder Service {label:?} that we do not own.");
            Condition::fails(INGRESS_READY, NOT_OWNED, message)
        }
        None if targets.is_empty() => Condition::waits(
            INGRESS_READY,
            INGRESS_NOT_CONFIGURED,
            "Ingress has not yet been reconciled.",
        ),
        None => Condition::holds(INGRESS_READY),
    }
}

fn certificate() -> Condition {
    Condition {
        reason: TLS_NOT_ENABLED.into(),
        message: "external-domain-tls is not enabled".to_owned(),
        ..Condition::holds(CERTIFICATE_PROVISIONED)
    }
}

/// A Service whose name belongs to another object.
fn of_refused_service(taken: &[Condition]) -> ObjectStatus {
    let dependent = |kind| {
        let found = taken.iter().find(|condition| condition.kind == kind);
        found.cloned().unwrap_or_else(|| Condition::waits(kind, "", ""))
    };
    let dependents = vec![dependent(CONFIGURATIONS_READY), dependent(ROUTES_READY)];
    ObjectStatus {
        conditions: with_ready(dependents),
        ..ObjectStatus::default()
    }
}
