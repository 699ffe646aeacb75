//! From the text of a file to its objects, or to all that is wrong with it.

use crate::decode::{self, Context};
use crate::defaults::Defaults;
use crate::object::Object;
use crate::problem::{Position, Problem};
use crate::report::Report;
use crate::yaml;

/// Reads the objects of one file: YAML with any number of documents, or JSON.
///
/// The objects are defaulted and valid as Knative's webhook would have them. `file` is only used in messages.
/// Features that a cluster turns on by flag (init containers, `nodeSelector`, probes on sidecars, …) count as on.
///
/// # Errors
/// Every problem of the file, in its order, at most [`PROBLEMS_MAX`](crate::limits::PROBLEMS_MAX); then no object
/// of the file is returned. A file without any object is a problem too.
///
/// ```
/// use tidegate_knative::{Defaults, Object, load};
///
/// let text = "
/// apiVersion: serving.knative.dev/v1
/// kind: Service
/// metadata: { name: hello }
/// spec: { template: { spec: { containers: [{ image: hello }] } } }
/// ";
/// let objects = load("hello.yaml", text, &Defaults::default()).unwrap();
/// let Object::Service(service) = &objects[0] else { panic!() };
/// assert_eq!(service.template.spec.timeout_seconds, 300);
///
/// let problems = load("hello.yaml", &text.replace("image", "imgae"), &Defaults::default()).unwrap_err();
/// assert_eq!(
///     problems[1].to_string(),
///     "hello.yaml:5:44: spec.template.spec.containers[0].imgae: unknown field (did you mean image?)"
/// );
/// ```
pub fn load(file: &str, text: &str, defaults: &Defaults) -> Result<Vec<Object>, Vec<Problem>> {
    let report = Report::new(file);
    let documents = yaml::documents(text, &report);
    let context = Context {
        report: &report,
        defaults,
    };
    let objects: Vec<Object> = documents
        .iter()
        .filter_map(|document| decode::object(&context, document))
        .collect();
    if documents.is_empty() && report.count() == 0 {
        report.add(
            Position::START,
            "",
            "the file holds no object",
            "begin with apiVersion and kind, or remove it",
        );
    }
    if report.count() == 0 {
        Ok(objects)
    } else {
        Err(report.into_problems())
    }
}
