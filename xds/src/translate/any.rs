//! What is inside an `Any`, which extension it is, and what Envoy says when it is none or breaks a constraint.

use std::fmt::Display;

use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};

use super::Reject;
use super::constraint::Checked;

/// The full name of the message in `any`: its `type_url` without what comes before the last `/`.
#[must_use]
pub fn type_name(any: &Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

/// Whether `any` holds an `M`.
#[must_use]
pub fn is<M: Name>(any: &Any) -> bool {
    type_name(any) == M::full_name()
}

/// The message in `any`; an empty value is one without any field.
///
/// # Errors
/// When its bytes are no `M`.
pub fn unpack<M: Message + Name + Default>(any: &Any) -> Result<M, Reject> {
    M::decode(any.value.as_slice()).map_err(|_| {
        Reject::Resource(format!(
            "Unable to unpack as {}: [{}]",
            M::full_name(),
            any.type_url
        ))
    })
}

/// An extension of this name that nobody knows.
#[must_use]
pub fn unregistered(name: &str, any: Option<&Any>) -> Reject {
    let of = any.map(type_name).unwrap_or_default();
    Reject::Resource(format!(
        "Didn't find a registered implementation for '{name}' with type URL: '{of}'"
    ))
}

/// An extension that Envoy has and we have not, and that no request may go without.
#[must_use]
pub fn unsupported(place: impl Display, any: &Any) -> Reject {
    let of = type_name(any);
    Reject::Resource(format!(
        "{place}: {of} is not supported here, and requests must not pass without it"
    ))
}

/// A field that Envoy honours and we do not, and that selects, restricts or authenticates.
#[must_use]
pub fn unsupported_field(place: impl Display, field: &str) -> Reject {
    Reject::Resource(format!("{place}.{field} is not supported here"))
}

/// The constraints of a message within an extension: broken they refuse only the resource.
///
/// # Errors
/// Where one is broken.
pub fn inner(checked: Checked) -> Result<(), Reject> {
    checked.map_err(|violation| Reject::Resource(violation.to_string()))
}

/// A constraint of `M` that its field breaks, in the words of Envoy's generated validation, the message's own text apart.
#[must_use]
pub fn constraint<M: Name>(field: &str, why: &str) -> Reject {
    let message = M::NAME;
    Reject::Resource(format!(
        "Proto constraint validation failed ({message}ValidationError.{field}: {why})"
    ))
}
