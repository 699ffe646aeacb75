//! Names, namespaces, labels and annotations, and which of them an object may have.

use std::collections::BTreeMap;

use super::field::Field;
use super::fields::Fields;
use crate::go_duration;
use crate::names::{self, keys};
use crate::object::Metadata;
use crate::suggest;

/// What an API server sets or only a server acts on.
const SERVER_FIELDS: [&str; 11] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "ownerReferences",
    "finalizers",
    "selfLink",
    "generateName",
];

/// Labels of Knative's that objects from a cluster carry.
const KNOWN_LABELS: [&str; 10] = [
    "serving.knative.dev/service",
    "serving.knative.dev/serviceUID",
    "serving.knative.dev/configuration",
    "serving.knative.dev/configurationGeneration",
    "serving.knative.dev/configurationUID",
    "serving.knative.dev/revision",
    "serving.knative.dev/revisionUID",
    "serving.knative.dev/route",
    "serving.knative.dev/routeNamespace",
    "serving.knative.dev/routingState",
];

const LABEL_HINT: &str = "use at most 63 lower-case letters, digits and dashes, beginning with a letter";
const DNS_HINT: &str = "use lower-case letters, digits and dashes";

/// What a name has to be.
#[derive(Clone, Copy)]
pub(super) enum NameRule {
    /// An RFC 1035 label: Knative's objects, whose names become hosts.
    Dns1035Label,
    /// An RFC 1123 label: namespaces.
    Dns1123Label,
    /// An RFC 1123 subdomain: ConfigMaps and Secrets.
    Dns1123Subdomain,
}

/// The metadata of an object, with the namespace it defaults to.
pub(super) fn decode(object: &mut Fields<'_>, rule: NameRule) -> Option<Metadata> {
    let field = object.require("metadata", "name the object: metadata: { name: … }")?;
    let mut fields = field.fields()?;
    let name = fields.require("name", "give the object a name")?;
    let metadata = Metadata {
        name: checked_name(&name, rule),
        namespace: namespace(&mut fields, rule),
        labels: fields
            .take("labels")
            .map(|labels| labels_of(&labels))
            .unwrap_or_default(),
        annotations: fields
            .take("annotations")
            .map(|field| annotations_of(&field))
            .unwrap_or_default(),
    };
    fields.drop_all(&SERVER_FIELDS);
    fields.finish();
    Some(metadata)
}

fn checked_name(field: &Field<'_>, rule: NameRule) -> String {
    let Some(name) = field.text() else {
        return String::new();
    };
    match rule {
        NameRule::Dns1035Label if !names::is_dns1035_label(&name) => {
            field.refuse_value(format!("{name}: not a DNS 1035 label"), LABEL_HINT);
        }
        NameRule::Dns1123Label if !names::is_dns1123_label(&name) => {
            field.refuse_value(format!("{name}: not a DNS 1123 label"), DNS_HINT);
        }
        NameRule::Dns1123Subdomain if !names::is_dns1123_subdomain(&name) => {
            field.refuse_value(format!("{name}: not a DNS 1123 subdomain"), DNS_HINT);
        }
        _ => {}
    }
    name
}

fn namespace(fields: &mut Fields<'_>, rule: NameRule) -> String {
    let field = fields.take("namespace");
    match (rule, field) {
        (NameRule::Dns1123Label, None) => String::new(),
        (NameRule::Dns1123Label, Some(field)) => {
            field.refuse("must not set the field(s)", "a Namespace belongs to no namespace");
            String::new()
        }
        (_, None) => names::DEFAULT_NAMESPACE.to_owned(),
        (_, Some(field)) => match field.text() {
            Some(text) if text.is_empty() => names::DEFAULT_NAMESPACE.to_owned(),
            Some(text) => {
                if !names::is_dns1123_label(&text) {
                    field.refuse_value(format!("{text}: not a DNS 1123 label"), DNS_HINT);
                }
                text
            }
            None => String::new(),
        },
    }
}

/// Labels, whose keys and values Kubernetes restricts.
pub(super) fn labels_of(field: &Field<'_>) -> BTreeMap<String, String> {
    for (key, value) in field.entries() {
        check_key(&key, &value);
        let text = if value.node().is_null() {
            None
        } else {
            value.text()
        };
        if text.is_some_and(|text| !names::is_label_value(&text)) {
            value.refuse(
                "invalid label value",
                "use at most 63 letters, digits, dashes, dots and underscores",
            );
        }
    }
    text_map(field)
}

/// Annotations, whose keys Kubernetes restricts.
pub(super) fn annotations_of(field: &Field<'_>) -> BTreeMap<String, String> {
    for (key, value) in field.entries() {
        check_key(&key, &value);
        if !value.node().is_null() {
            value.text();
        }
    }
    text_map(field)
}

/// The texts of a map that was checked entry by entry already.
fn text_map(field: &Field<'_>) -> BTreeMap<String, String> {
    field
        .entries()
        .into_iter()
        .map(|(key, value)| (key, value.scalar_text().to_owned()))
        .collect()
}

fn check_key(key: &str, field: &Field<'_>) {
    if !names::is_qualified_name(&key.to_ascii_lowercase()) {
        field.refuse(
            format!("invalid key name {key:?}"),
            "write [prefix/]name of letters, digits, dashes and dots",
        );
    }
}

/// What Knative's webhook says about the labels and annotations of a Service, Configuration or Route itself.
pub(super) fn check_serving(object: &Field<'_>, metadata: &Metadata) {
    for (key, value) in &metadata.labels {
        let path = ["metadata", "labels", key];
        if key == keys::VISIBILITY && value != keys::CLUSTER_LOCAL {
            let hint = format!("the only value is {}", keys::CLUSTER_LOCAL);
            object.refuse_below(&path, format!("invalid value: {value}"), &hint);
        } else if key.starts_with(keys::SERVING_PREFIX) && !KNOWN_LABELS.contains(&key.as_str()) {
            let hint = suggest::among(key, KNOWN_LABELS);
            object.refuse_below(&path, format!("invalid key name {key:?}"), &hint);
        }
    }
    for key in metadata
        .annotations
        .keys()
        .filter(|key| key.starts_with(keys::AUTOSCALING_PREFIX))
    {
        object.refuse_below(
            &["metadata", "annotations", key],
            format!("invalid key name {key:?}"),
            "autoscaling annotations must be put under spec.template.metadata.annotations to work",
        );
    }
    check_rollout(object, metadata);
}

fn check_rollout(object: &Field<'_>, metadata: &Metadata) {
    let Some((key, text)) = keys::first_present(&metadata.annotations, &keys::ROLLOUT_DURATION) else {
        return;
    };
    let path = ["metadata", "annotations", key];
    match go_duration::parse(text) {
        Ok(duration) if duration.subsec_nanos() > 0 => {
            let message = format!("rollout-duration={text} is not at second precision");
            object.refuse_below(&path, message, "write whole seconds, such as 120s");
        }
        Ok(_) => {}
        Err(error) => object.refuse_below(&path, format!("invalid value: {text}"), &error.to_string()),
    }
}
