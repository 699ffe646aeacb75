//! The core `v1` objects beside Knative's: values for environment variables and files, and namespaces.

use std::collections::BTreeMap;
use std::fmt;

use super::metadata::Metadata;
use crate::source::Source;

/// `v1` ConfigMap.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigMap {
    /// Where it stands.
    pub source: Source,
    /// Name, namespace, labels, annotations.
    pub metadata: Metadata,
    /// Text values by key.
    pub data: BTreeMap<String, String>,
    /// Decoded `binaryData` by key; no key is also in `data`.
    pub binary_data: BTreeMap<String, Vec<u8>>,
}

/// `v1` Secret.
#[derive(Clone, PartialEq)]
pub struct Secret {
    /// Where it stands.
    pub source: Source,
    /// Name, namespace, labels, annotations.
    pub metadata: Metadata,
    /// `type`, default `Opaque`.
    pub kind: String,
    /// Decoded `data`, with `stringData` laid over it, as the API server stores it.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for Secret {
    /// Shows the keys only, so that no log holds a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("source", &self.source)
            .field("metadata", &self.metadata)
            .field("kind", &self.kind)
            .field("keys", &self.data.keys())
            .finish()
    }
}

/// `v1` Namespace: accepted, so that files made for a cluster load unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Namespace {
    /// Where it stands.
    pub source: Source,
    /// Name, labels, annotations.
    pub metadata: Metadata,
}
