//! What every object says about itself.

use std::collections::BTreeMap;

/// The part of Kubernetes' object metadata that a person writes.
///
/// What a server sets (`uid`, `resourceVersion`, …) is accepted in files and dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Unique among the objects of its kind in its namespace.
    pub name: String,
    /// Default: `default`. Empty for a Namespace, which belongs to none.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}
