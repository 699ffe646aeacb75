//! Which objects of the files cannot run on this machine, told before anything of theirs is started.

use std::collections::BTreeSet;

use tidegate_controller::ObjectName;
use tidegate_knative::object::RevisionTemplate;
use tidegate_knative::{Object, Problem, Source};

use crate::engine::Engine;
use crate::launcher::Workshop;

/// Everything that stands in the way of starting what `objects` ask for. Looks for a container engine where one is
/// needed and none is known yet.
pub(crate) async fn problems(objects: &[Object], workshop: &mut Workshop) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut images: BTreeSet<&str> = BTreeSet::new();
    for (name, source, template) in templates(objects) {
        for obstacle in workshop.obstacles(&name, template, objects) {
            problems.push(source.problem(&obstacle.path, obstacle.message));
        }
        if workshop.needs_engine(template) {
            images.insert(&template.spec.serving.image);
        }
    }
    if !images.is_empty() && !workshop.has_engine() {
        match Engine::connect().await {
            Ok(engine) => workshop.set_engine(engine),
            Err(error) => problems.extend(without_engine(objects, workshop, &error.to_string())),
        }
    }
    problems
}

fn without_engine(objects: &[Object], workshop: &Workshop, error: &str) -> Vec<Problem> {
    let needy = templates(objects).filter(|(_, _, template)| workshop.needs_engine(template));
    let problem = |(_, source, template): (ObjectName, &Source, &RevisionTemplate)| {
        let image = &template.spec.serving.image;
        let path = format!("{}.image", crate::names::SERVING_CONTAINER_PATH);
        let mut problem = source.problem(&path, format!("image {image}: {error}"));
        problem.hint = Some(format!("or give it a command, or --run {image}=COMMAND"));
        problem
    };
    needy.map(problem).collect()
}

/// The templates of `objects`, with the objects' names and places.
fn templates(objects: &[Object]) -> impl Iterator<Item = (ObjectName, &Source, &RevisionTemplate)> {
    objects.iter().filter_map(|object| {
        let metadata = object.metadata();
        let name = ObjectName::new(metadata.namespace.as_str(), metadata.name.as_str());
        match object {
            Object::Service(service) => Some((name, &service.source, &service.template)),
            Object::Configuration(configuration) => {
                Some((name, &configuration.source, &configuration.template))
            }
            _ => None,
        }
    })
}
