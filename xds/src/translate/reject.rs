//! Why a resource is refused, and what of an accepted one has no effect.

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

/// Something that Envoy knows and we do not do: accepted, without effect, and listed (`decisions`: unknown and unimplemented).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The field, such as `filter_chains[0].filters[0].http_filters[1]`.
    pub path: String,
    /// What is not done.
    pub what: String,
}
