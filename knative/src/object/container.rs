//! One container of a revision: what runs, with which environment, on which port.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::probe::Probe;

/// One entry of `containers` or `initContainers`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    /// Unique within the revision. Default: `user-container`, with several containers `user-container-<index>`.
    pub name: String,
    /// The image; a local run may stand a command in for it.
    pub image: String,
    /// Replaces the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Arguments of the command.
    pub args: Vec<String>,
    /// Directory to start in. Default: the image's.
    pub working_dir: Option<String>,
    /// Environment variables; the last of equal names wins.
    pub env: Vec<EnvVar>,
    /// ConfigMaps and Secrets whose every key becomes an environment variable; `env` wins over them.
    pub env_from: Vec<EnvFrom>,
    /// The declared port; at most one in a revision. None means 8080 on the serving container.
    pub port: Option<ContainerPort>,
    /// When a replica may get requests. Always present on the serving container.
    pub readiness_probe: Option<Probe>,
    /// When a replica is to be restarted.
    pub liveness_probe: Option<Probe>,
    /// When the other probes begin.
    pub startup_probe: Option<Probe>,
    /// CPU, memory and the like.
    pub resources: Resources,
    /// Where volumes appear.
    pub volume_mounts: Vec<VolumeMount>,
    /// Legal fields that mean nothing outside Kubernetes, such as `securityContext` or `imagePullPolicy`.
    pub other: BTreeMap<String, Value>,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvVar {
    /// The name; not one of those that Knative sets itself.
    pub name: String,
    /// Where the value comes from.
    pub source: EnvSource,
}

/// Where the value of an environment variable comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EnvSource {
    /// `value`: the text itself, before `$(NAME)` references are expanded. Default: the empty text.
    Value(String),
    /// `valueFrom.configMapKeyRef`.
    ConfigMapKey(KeyRef),
    /// `valueFrom.secretKeyRef`.
    SecretKey(KeyRef),
    /// `valueFrom.fieldRef`.
    Field(FieldRef),
    /// `valueFrom.resourceFieldRef`.
    ResourceField(ResourceFieldRef),
}

/// A key of a ConfigMap or Secret in the revision's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRef {
    /// Name of the ConfigMap or Secret.
    pub name: String,
    /// The key in it.
    pub key: String,
    /// Whether a missing object or key leaves the variable unset instead of failing. Default false.
    pub optional: bool,
}

/// A field of the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldRef {
    /// Such as `metadata.name` or `status.podIP`.
    pub field_path: String,
}

/// A resource of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceFieldRef {
    /// Which container. Default: the one that the variable belongs to.
    pub container_name: Option<String>,
    /// Such as `limits.cpu`.
    pub resource: String,
    /// What the value is divided by. Default 1.
    pub divisor: Option<Quantity>,
}

/// All keys of a ConfigMap or Secret as environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvFrom {
    /// Put before each key. Default empty.
    pub prefix: String,
    /// Which object.
    pub source: EnvFromSource,
    /// Whether a missing object is no error. Default false.
    pub optional: bool,
}

/// The object behind an [`EnvFrom`], by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EnvFromSource {
    /// `configMapRef`.
    ConfigMap(String),
    /// `secretRef`.
    Secret(String),
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerPort {
    /// `http1`, `h2c` or none.
    pub name: Option<String>,
    /// The port. Default 8080.
    pub container_port: u16,
}

/// `resources`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// What a replica is given for certain, by resource name.
    pub requests: BTreeMap<String, Quantity>,
    /// What a replica may not exceed, by resource name.
    pub limits: BTreeMap<String, Quantity>,
}

/// A Kubernetes quantity such as `500m` or `1Gi`, kept as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(String);

impl Quantity {
    /// The quantity in `text`: a decimal number with a suffix of `n u m k M G T P E`, `Ki` to `Ei`, or an exponent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let suffix = unsigned.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let is_suffix = match suffix {
            "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" => true,
            "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => true,
            exponent => exponent
                .strip_prefix(['e', 'E'])
                .is_some_and(|digits| digits.parse::<i32>().is_ok()),
        };
        let is_number = unsigned
            .strip_suffix(suffix)
            .is_some_and(|number| number.parse::<f64>().is_ok());
        if is_suffix && is_number {
            Some(Self(text.to_owned()))
        } else {
            None
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One entry of `volumeMounts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeMount {
    /// Name of the volume.
    pub name: String,
    /// Absolute path in the container.
    pub mount_path: String,
    /// Path within the volume. Default: its root.
    pub sub_path: Option<String>,
    /// Always true unless the volume is of a writable kind.
    pub read_only: bool,
    /// Legal fields that mean nothing outside Kubernetes.
    pub other: BTreeMap<String, Value>,
}
