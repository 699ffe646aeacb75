//! How environment variables are read, and which names are Knative's own.

use super::field::Field;
use super::fields::Fields;
use crate::object::{EnvFrom, EnvFromSource, EnvSource, EnvVar, FieldRef, KeyRef, ResourceFieldRef};

/// One entry of `env`.
pub(super) fn variable(item: &Field<'_>, reserved: &[&str]) -> Option<EnvVar> {
    let mut fields = item.fields()?;
    let name = fields.require_text("name", "name the variable");
    let value = fields.take("value");
    let value_from = fields.take("valueFrom");
    fields.finish();
    let value = value.map(|field| field.text().unwrap_or_default());
    let from = value_from.as_ref().map(source);
    let source = match (value, from) {
        (Some(value), Some(_)) if !value.is_empty() => {
            item.refuse(
                "expected exactly one, got both: value, valueFrom",
                "remove one of them",
            );
            None
        }
        (_, Some(source)) => source,
        (value, None) => Some(EnvSource::Value(value.unwrap_or_default())),
    };
    let name = name?;
    if reserved.contains(&name.as_str()) {
        let message = format!("{name:?} is a reserved environment variable");
        item.refuse_below(
            &["name"],
            message,
            "Knative sets it itself: remove it, or choose another name",
        );
    } else if name.contains(['=', '\0']) {
        item.refuse_below(
            &["name"],
            format!("invalid value: {name}"),
            "a name has no equals sign",
        );
    }
    Some(EnvVar {
        name,
        source: source?,
    })
}

fn source(field: &Field<'_>) -> Option<EnvSource> {
    let mut fields = field.fields()?;
    let config_map = fields.take("configMapKeyRef");
    let secret = fields.take("secretKeyRef");
    let pod = fields.take("fieldRef");
    let resource = fields.take("resourceFieldRef");
    fields.finish();
    match (config_map, secret, pod, resource) {
        (Some(field), None, None, None) => key(&field).map(EnvSource::ConfigMapKey),
        (None, Some(field), None, None) => key(&field).map(EnvSource::SecretKey),
        (None, None, Some(field), None) => pod_field(&field).map(EnvSource::Field),
        (None, None, None, Some(field)) => resource_field(&field).map(EnvSource::ResourceField),
        (None, None, None, None) => {
            let hint = "choose configMapKeyRef, secretKeyRef, fieldRef or resourceFieldRef";
            field.refuse("expected exactly one, got neither", hint);
            None
        }
        _ => {
            field.refuse("expected exactly one, got both", "keep one of the references");
            None
        }
    }
}

fn key(field: &Field<'_>) -> Option<KeyRef> {
    let mut fields = field.fields()?;
    let name = fields.require_text("name", "name the ConfigMap or Secret");
    let key = fields.require_text("key", "name the key in it");
    let optional = fields.flag("optional");
    fields.finish();
    Some(KeyRef {
        name: name?,
        key: key?,
        optional,
    })
}

fn pod_field(field: &Field<'_>) -> Option<FieldRef> {
    let mut fields = field.fields()?;
    let path = fields.require_text("fieldPath", "name a field of the pod, such as metadata.name");
    fields.drop_all(&["apiVersion"]);
    fields.finish();
    Some(FieldRef { field_path: path? })
}

fn resource_field(field: &Field<'_>) -> Option<ResourceFieldRef> {
    let mut fields = field.fields()?;
    let resource = fields.require_text("resource", "name a resource, such as limits.cpu");
    let container_name = fields.text("containerName").filter(|name| !name.is_empty());
    let divisor = fields.take("divisor").and_then(|field| field.quantity());
    fields.finish();
    Some(ResourceFieldRef {
        container_name,
        resource: resource?,
        divisor,
    })
}

/// One entry of `envFrom`.
pub(super) fn from(item: &Field<'_>) -> Option<EnvFrom> {
    let mut fields = item.fields()?;
    let prefix = fields.text("prefix").unwrap_or_default();
    let config_map = fields.take("configMapRef");
    let secret = fields.take("secretRef");
    fields.finish();
    let (field, source): (_, fn(String) -> EnvFromSource) = match (config_map, secret) {
        (Some(field), None) => (field, EnvFromSource::ConfigMap),
        (None, Some(field)) => (field, EnvFromSource::Secret),
        (Some(_), Some(_)) => {
            item.refuse(
                "expected exactly one, got both: configMapRef, secretRef",
                "make two entries of it",
            );
            return None;
        }
        (None, None) => {
            item.refuse(
                "expected exactly one, got neither: configMapRef, secretRef",
                "name a ConfigMap or Secret",
            );
            return None;
        }
    };
    let (name, optional) = reference(field.fields()?)?;
    Some(EnvFrom {
        prefix,
        source: source(name),
        optional,
    })
}

fn reference(mut fields: Fields<'_>) -> Option<(String, bool)> {
    let name = fields.require_text("name", "name the ConfigMap or Secret");
    let optional = fields.flag("optional");
    fields.finish();
    Some((name?, optional))
}
