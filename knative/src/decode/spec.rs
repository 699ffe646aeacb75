//! How Services, Configurations and Routes are read.

use super::field::Field;
use super::fields::Fields;
use super::metadata::{self, NameRule};
use super::traffic::{self, Owner};
use super::{source, template};
use crate::object::{Configuration, Metadata, RevisionTemplate, Route, Service};

const SPEC_HINT: &str = "describe the object under spec";
const TEMPLATE_HINT: &str = "describe the revision under spec.template";

pub(super) fn service(document: &Field<'_>, mut fields: Fields<'_>) -> Option<Service> {
    let metadata = serving_metadata(document, &mut fields);
    let name = name_of(metadata.as_ref());
    let spec = fields.require("spec", SPEC_HINT).and_then(|spec| spec.fields());
    fields.finish();
    let mut spec = spec?;
    let template = required_template(&mut spec, name);
    let traffic = traffic::decode(&mut spec, &Owner::Service(name));
    spec.finish();
    Some(Service {
        source: source(document),
        template: template?,
        traffic,
        metadata: metadata?,
    })
}

pub(super) fn configuration(document: &Field<'_>, mut fields: Fields<'_>) -> Option<Configuration> {
    let metadata = serving_metadata(document, &mut fields);
    let spec = fields.require("spec", SPEC_HINT).and_then(|spec| spec.fields());
    fields.finish();
    let mut spec = spec?;
    let template = required_template(&mut spec, name_of(metadata.as_ref()));
    spec.finish();
    Some(Configuration {
        source: source(document),
        template: template?,
        metadata: metadata?,
    })
}

pub(super) fn route(document: &Field<'_>, mut fields: Fields<'_>) -> Option<Route> {
    let metadata = serving_metadata(document, &mut fields);
    let spec = fields.require("spec", SPEC_HINT).and_then(|spec| spec.fields());
    fields.finish();
    let mut spec = spec?;
    let traffic = traffic::decode(&mut spec, &Owner::Route);
    spec.finish();
    Some(Route {
        source: source(document),
        metadata: metadata?,
        traffic,
    })
}

fn serving_metadata(document: &Field<'_>, fields: &mut Fields<'_>) -> Option<Metadata> {
    let metadata = metadata::decode(fields, NameRule::Dns1035Label)?;
    metadata::check_serving(document, &metadata);
    Some(metadata)
}

fn required_template(spec: &mut Fields<'_>, configuration: &str) -> Option<RevisionTemplate> {
    template::decode(&spec.require("template", TEMPLATE_HINT)?, configuration)
}

fn name_of(metadata: Option<&Metadata>) -> &str {
    metadata.map_or("", |metadata| &metadata.name)
}
