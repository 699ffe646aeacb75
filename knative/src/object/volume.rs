//! What a container can mount.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One entry of `volumes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// The name that mounts refer to.
    pub name: String,
    /// Where the content comes from.
    pub source: VolumeSource,
}

/// Where a volume's content comes from.
///
/// The content is kept as it was written (its fields are checked), since only Kubernetes can mount it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeSource {
    /// The field that names the kind of source, such as `configMap` or `emptyDir`.
    pub kind: String,
    /// The value of that field.
    pub value: Value,
}

impl VolumeSource {
    /// Whether containers may write to such a volume; all other mounts are read-only in Knative.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "emptyDir" | "persistentVolumeClaim" | "ephemeral"
        )
    }
}
