//! How `spec.template` is read: the revision's own name, labels and annotations, and what it runs.

use super::field::Field;
use super::metadata::{annotations_of, labels_of};
use super::revision;
use crate::autoscaling::ScaleAnnotations;
use crate::go_duration;
use crate::names::{self, keys};
use crate::object::{RevisionTemplate, TemplateMetadata};

/// The template of a configuration with this name.
pub(super) fn decode(field: &Field<'_>, configuration: &str) -> Option<RevisionTemplate> {
    let mut fields = field.fields()?;
    let metadata = fields.take("metadata");
    let metadata = metadata
        .map(|field| template_metadata(&field, configuration))
        .unwrap_or_default();
    let spec = fields.require("spec", "describe the containers under spec.template.spec");
    fields.finish();
    let spec = revision::decode(&spec?)?;
    Some(RevisionTemplate { metadata, spec })
}

fn template_metadata(field: &Field<'_>, configuration: &str) -> TemplateMetadata {
    let Some(mut fields) = field.fields() else {
        return TemplateMetadata::default();
    };
    let name = fields
        .take("name")
        .and_then(|field| revision_name(&field, configuration));
    let labels = fields
        .take("labels")
        .map(|field| labels_of(&field))
        .unwrap_or_default();
    let annotations = fields
        .take("annotations")
        .map(|field| annotations_of(&field))
        .unwrap_or_default();
    fields.drop_all(&["namespace", "finalizers", "creationTimestamp", "generateName"]);
    fields.finish();
    let metadata = TemplateMetadata {
        name,
        labels,
        annotations,
    };
    check_annotations(field, &metadata);
    metadata
}

/// A name that the author chose for the revision.
fn revision_name(field: &Field<'_>, configuration: &str) -> Option<String> {
    let name = field.text().filter(|name| !name.is_empty())?;
    let prefix = format!("{configuration}-");
    if !names::is_dns1035_label(&name) {
        let hint = "use at most 63 lower-case letters, digits and dashes, beginning with a letter";
        field.refuse_value(format!("{name}: not a DNS 1035 label"), hint);
    } else if !configuration.is_empty() && !name.starts_with(&prefix) {
        let hint = format!("call it {prefix}{name}, or leave the name out");
        field.refuse_value(format!("{name:?} must have prefix {prefix:?}"), &hint);
    }
    Some(name)
}

fn check_annotations(field: &Field<'_>, metadata: &TemplateMetadata) {
    let annotations = &metadata.annotations;
    if let Err(errors) = ScaleAnnotations::parse(annotations, &field.context.defaults.autoscaler) {
        for error in errors {
            field.refuse_below(&["annotations", error.key], error.message, "");
        }
    }
    if let Some(text) = annotations.get(keys::PROGRESS_DEADLINE) {
        let message = match go_duration::parse(text) {
            Ok(deadline) if deadline.is_zero() => Some("must be positive".to_owned()),
            Ok(deadline) if deadline.subsec_nanos() > 0 => {
                Some(format!("progress-deadline={text} is not at second precision"))
            }
            Ok(_) => None,
            Err(error) => Some(format!("invalid value: {text}: {error}")),
        };
        if let Some(message) = message {
            field.refuse_below(
                &["annotations", keys::PROGRESS_DEADLINE],
                message,
                "write whole seconds, such as 600s",
            );
        }
    }
    if let Some(text) = annotations.get(keys::QUEUE_SIDECAR_RESOURCE_PERCENTAGE)
        && !text
            .parse()
            .is_ok_and(|percent: f64| (0.1..=100.0).contains(&percent))
    {
        let path = ["annotations", keys::QUEUE_SIDECAR_RESOURCE_PERCENTAGE];
        field.refuse_below(
            &path,
            format!("expected 0.1 <= {text} <= 100"),
            "write a percentage",
        );
    }
}
