//! What a revision is made from.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::container::Container;
use super::digest::TemplateDigest;
use super::volume::Volume;
use crate::go_duration;
use crate::names::{keys, ports};

/// `spec.template` of a Service or a Configuration.
///
/// The serialized form is for our own state; it is not the Kubernetes form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevisionTemplate {
    /// Name, labels and annotations of the revision.
    pub metadata: TemplateMetadata,
    /// What runs.
    pub spec: RevisionSpec,
}

impl RevisionTemplate {
    /// How long the revision may take to become ready, if it says so itself.
    #[must_use]
    pub fn progress_deadline(&self) -> Option<Duration> {
        go_duration::parse(self.metadata.annotations.get(keys::PROGRESS_DEADLINE)?).ok()
    }

    /// The hash of everything that the template says.
    #[must_use]
    pub fn digest(&self) -> TemplateDigest {
        TemplateDigest::of(self)
    }
}

/// `spec.template.metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateMetadata {
    /// A name chosen by the author; begins with `<configuration>-`. Default: `<configuration>-<generation>`.
    pub name: Option<String>,
    /// Labels of the revision.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the revision, among them those of the autoscaler.
    pub annotations: BTreeMap<String, String>,
}

/// `spec.template.spec`: one serving container, perhaps others beside it, and limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevisionSpec {
    /// The container that requests go to: the only one, or the one that declares a port.
    pub serving: Container,
    /// The other containers, in the order they were written.
    pub sidecars: Vec<Container>,
    /// Containers that run to their end before the others start.
    pub init_containers: Vec<Container>,
    /// Requests that one replica handles at a time; 0 means no limit. Default 0.
    pub container_concurrency: u32,
    /// Seconds that a request may take until its response begins or ends. Default 300.
    pub timeout_seconds: u32,
    /// Seconds until the first byte of the response; none means only `timeout_seconds` counts.
    pub response_start_timeout_seconds: Option<u32>,
    /// Seconds without a byte of the response; none means no such limit.
    pub idle_timeout_seconds: Option<u32>,
    /// Volumes that containers mount.
    pub volumes: Vec<Volume>,
    /// Kubernetes service account.
    pub service_account_name: Option<String>,
    /// Whether Kubernetes adds an environment variable per service. Default false.
    pub enable_service_links: Option<bool>,
    /// Legal fields of the pod that mean nothing outside Kubernetes, such as `nodeSelector`.
    pub pod: BTreeMap<String, Value>,
}

/// What a revision's serving container speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1: the port is named `http1` or not named.
    Http1,
    /// HTTP/2 with prior knowledge: the port is named `h2c`.
    H2c,
}

impl RevisionSpec {
    /// The port that the serving container declares. Default 8080.
    #[must_use]
    pub fn user_port(&self) -> u16 {
        self.serving
            .port
            .as_ref()
            .map_or(ports::USER_DEFAULT, |port| port.container_port)
    }

    /// What the serving container speaks, by the name of its port.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.serving.port.as_ref().and_then(|port| port.name.as_deref()) {
            Some(ports::NAME_H2C) => Protocol::H2c,
            _ => Protocol::Http1,
        }
    }
}
