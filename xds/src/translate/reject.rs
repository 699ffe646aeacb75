//! Why a resource is refused, and what of an accepted one has no effect.

use std::fmt::Display;

/// A resource that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// It cannot be decoded, or breaks a constraint of its message: the whole response is refused. The text is Envoy's, whole.
    #[error("{0}")]
    Message(String),
    /// It is decoded and cannot be put into force. The text is Envoy's, without the prefix that names the resource.
    #[error("{0}")]
    Resource(String),
}

impl Reject {
    /// Something that Envoy knows, that selects, restricts or authenticates, and that we do not do.
    pub(crate) fn unsupported(path: impl Display) -> Self {
        Self::Resource(format!(
            "{path}: it is not supported, and traffic would go otherwise without it"
        ))
    }

    /// The refusal of an extension that Envoy does not know either.
    pub(crate) fn unknown_extension(name: &str, type_url: &str) -> Self {
        Self::Resource(format!(
            "Didn't find a registered implementation for '{name}' with type URL: '{type_url}'"
        ))
    }
}

/// Something that Envoy knows and we do not do: accepted, without effect, and listed (`decisions`: unknown and unimplemented).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The field, such as `filter_chains[0].filters[0].http_filters[1]`.
    pub path: String,
    /// What is not done.
    pub what: String,
}
