//! Is every file of objects either read whole and valid, or refused with problems that lie in it?
//!
//! Input: the text of a file.

use tidegate_knative::limits::PROBLEMS_MAX;
use tidegate_knative::names::is_dns1035_label;
use tidegate_knative::object::{RevisionTemplate, TrafficTarget};
use tidegate_knative::{Defaults, Object, Position, Problem, load};

const FILE: &str = "file";

/// Runs one input.
///
/// # Panics
/// When a property is broken.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let defaults = Defaults::default();
    let first = load(FILE, text, &defaults);
    assert_eq!(first, load(FILE, text, &defaults), "reading twice gives the same");
    match first {
        Ok(objects) => {
            assert!(!objects.is_empty(), "a file without objects is refused");
            objects.iter().for_each(|object| assert_valid(object, text));
        }
        Err(problems) => assert_told(&problems, text),
    }
}

fn assert_told(problems: &[Problem], text: &str) {
    assert!(!problems.is_empty(), "a refusal has a reason");
    assert!(problems.len() <= PROBLEMS_MAX + 1, "{} problems", problems.len());
    assert!(
        problems.is_sorted_by_key(|problem| problem.position),
        "{problems:?}"
    );
    for problem in problems {
        assert!(!problem.message.is_empty(), "{problem:?}");
        assert_eq!(*problem.file, *FILE);
        assert_within(problem.position, text);
    }
}

fn assert_within(position: Position, text: &str) {
    let lines = text.chars().filter(|c| matches!(c, '\n' | '\r')).count() + 1;
    assert!(position.line >= 1 && position.column >= 1, "{position}");
    assert!(
        position.line as usize <= lines,
        "line {} of {lines}",
        position.line
    );
}

fn assert_valid(object: &Object, text: &str) {
    assert_within(object.source().document(), text);
    match object {
        Object::Service(service) => {
            assert!(is_dns1035_label(&service.metadata.name), "{service:?}");
            assert_template(&service.template, &service.metadata.name);
            assert_traffic(&service.traffic);
        }
        Object::Configuration(configuration) => {
            assert_template(&configuration.template, &configuration.metadata.name);
        }
        Object::Route(route) => assert_traffic(&route.traffic),
        Object::ConfigMap(_) | Object::Secret(_) | Object::Namespace(_) => {}
    }
}

fn assert_template(template: &RevisionTemplate, configuration: &str) {
    let spec = &template.spec;
    assert!(
        spec.serving.readiness_probe.is_some(),
        "the serving container is probed: {spec:?}"
    );
    assert!(spec.timeout_seconds > 0, "{spec:?}");
    let mut containers = vec![&spec.serving];
    containers.extend(spec.sidecars.iter().chain(&spec.init_containers));
    assert!(
        containers.iter().all(|container| !container.image.is_empty()),
        "{spec:?}"
    );
    let mut names: Vec<&str> = containers
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names.len(),
        containers.len(),
        "every container has a name of its own: {spec:?}"
    );
    if let Some(name) = &template.metadata.name {
        assert!(
            is_dns1035_label(name) && name.starts_with(configuration),
            "{name}"
        );
    }
    assert_eq!(template.digest(), template.clone().digest());
}

fn assert_traffic(traffic: &[TrafficTarget]) {
    let sum: u32 = traffic.iter().map(|target| u32::from(target.percent)).sum();
    assert_eq!(sum, 100, "{traffic:?}");
    let tags = || traffic.iter().filter_map(|target| target.tag.as_deref());
    assert!(tags().all(is_dns1035_label), "{traffic:?}");
    assert!(
        tags()
            .enumerate()
            .all(|(at, tag)| !tags().take(at).any(|earlier| earlier == tag)),
        "{traffic:?}"
    );
}
