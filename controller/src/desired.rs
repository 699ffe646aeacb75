//! Which configurations and routes the objects ask for: a Service is one of each (Knative, `pkg/reconciler/service`).

use std::collections::BTreeMap;

use tidegate_knative::object::{Metadata, RevisionTemplate, Service, TrafficTarget};
use tidegate_knative::{Kind, Object, Problem, Source};

use crate::conditions::Condition;
use crate::name::ObjectName;
use crate::names::{CONFIGURATIONS_READY, NOT_OWNED, ROUTES_READY};

/// What the objects ask for.
#[derive(Default)]
pub(crate) struct Desired<'a> {
    pub(crate) configurations: BTreeMap<ObjectName, DesiredConfiguration<'a>>,
    pub(crate) routes: BTreeMap<ObjectName, DesiredRoute<'a>>,
    /// Services whose name belongs to a Configuration or Route that was written as such.
    pub(crate) refused: BTreeMap<ObjectName, Vec<Condition>>,
    pub(crate) problems: Vec<Problem>,
}

/// A configuration, and whose it is.
pub(crate) struct DesiredConfiguration<'a> {
    pub(crate) service: Option<&'a str>,
    pub(crate) source: &'a Source,
    pub(crate) template: &'a RevisionTemplate,
}

/// A route, and whose it is.
pub(crate) struct DesiredRoute<'a> {
    pub(crate) service: Option<&'a str>,
    pub(crate) source: &'a Source,
    pub(crate) metadata: &'a Metadata,
    pub(crate) traffic: &'a [TrafficTarget],
}

impl<'a> Desired<'a> {
    pub(crate) fn of(objects: &'a [Object]) -> Self {
        let mut desired = Self::default();
        // First what was written as such: a Service does not take over what it did not make.
        for object in objects {
            let name = name_of(object);
            match object {
                Object::Configuration(configuration) => {
                    let (source, template) = (&configuration.source, &configuration.template);
                    let wanted = DesiredConfiguration {
                        service: None,
                        source,
                        template,
                    };
                    desired.configurations.entry(name).or_insert(wanted);
                }
                Object::Route(route) => {
                    let (source, metadata, traffic) = (&route.source, &route.metadata, &route.traffic);
                    let wanted = DesiredRoute {
                        service: None,
                        source,
                        metadata,
                        traffic,
                    };
                    desired.routes.entry(name).or_insert(wanted);
                }
                _ => {}
            }
        }
        for object in objects {
            if let Object::Service(service) = object {
                desired.add_service(name_of(object), service);
            }
        }
        desired
    }

    fn add_service(&mut self, name: ObjectName, service: &'a Service) {
        let conditions = self.taken(&name, service);
        if !conditions.is_empty() {
            self.refused.insert(name, conditions);
            return;
        }
        let Service {
            source,
            metadata,
            template,
            traffic,
        } = service;
        let owner = Some(metadata.name.as_str());
        self.configurations
            .entry(name.clone())
            .or_insert(DesiredConfiguration {
                service: owner,
                source,
                template,
            });
        self.routes.entry(name).or_insert(DesiredRoute {
            service: owner,
            source,
            metadata,
            traffic,
        });
    }

    /// The conditions that say which of the Service's two names belong to something else.
    fn taken(&mut self, name: &ObjectName, service: &Service) -> Vec<Condition> {
        let configuration = self
            .configurations
            .get(name)
            .filter(|other| other.service.is_none());
        let route = self.routes.get(name).filter(|other| other.service.is_none());
        let others = [
            (
                CONFIGURATIONS_READY,
                Kind::Configuration,
                configuration.map(|other| other.source),
            ),
            (ROUTES_READY, Kind::Route, route.map(|other| other.source)),
        ];
        let mut conditions = Vec::new();
        for (condition, kind, source) in others {
            let Some(source) = source else { continue };
            let message = format!("There is an existing {kind} {:?} that we do not own.", name.name);
            conditions.push(Condition::fails(condition, NOT_OWNED, message));
            let text = format!("{kind} {name} already exists, and a Service makes one of its own name");
            let mut problem = service.source.problem("metadata.name", text);
            problem.hint = Some(format!("rename the Service, or the {kind} at {source}"));
            self.problems.push(problem);
        }
        conditions
    }
}

fn name_of(object: &Object) -> ObjectName {
    let metadata = object.metadata();
    ObjectName::new(metadata.namespace.as_str(), metadata.name.as_str())
}
