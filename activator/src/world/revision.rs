//! What does the activator read of a Revision?

use serde::Deserialize;
use tidegate_knative::names::keys;
use tidegate_proxy::layers::timeout::Timeouts;

use crate::{
    backends::endpoints::{Meta, list},
    limits::WAIT_MAX,
    throttle::RevisionSettings,
    world::Key,
};

/// As much as is read of `serving.knative.dev/v1/Revision`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Object {
    /// Its name and labels.
    pub metadata: Meta,
    /// What it runs.
    pub spec: Spec,
}

/// What a revision runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    container_concurrency: Option<u32>,
    timeout_seconds: Option<u32>,
    response_start_timeout_seconds: Option<u32>,
    idle_timeout_seconds: Option<u32>,
    #[serde(deserialize_with = "list")]
    containers: Vec<Container>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    #[serde(deserialize_with = "list")]
    ports: Vec<ContainerPort>,
    readiness_probe: Option<Probe>,
    startup_probe: Option<Probe>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ContainerPort {
    name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Probe {
    exec: Option<serde::de::IgnoredAny>,
}

/// What is known about a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionFacts {
    /// Its namespace and name.
    pub key: Key,
    /// The Service that it belongs to; empty if none does.
    pub service: String,
    /// The Configuration that made it.
    pub configuration: String,
    /// How many requests one pod takes at a time; 0 for any number.
    pub container_concurrency: u32,
    /// How long its requests may take.
    pub timeouts: Timeouts,
    /// How its protocol's port is called: `http` or `http2`.
    pub port_name: &'static str,
    /// Whether a pod is believed before Kubernetes says that it is ready.
    pub believe_pods: bool,
}

/// `timeoutSeconds` where a revision has none: Knative's default.
const TIMEOUT_SECONDS: u32 = 300;
const H2C: &str = "h2c";

impl From<Object> for RevisionFacts {
    fn from(object: Object) -> Self {
        let Object { metadata, spec } = object;
        let label = |key: &str| metadata.labels.get(key).cloned().unwrap_or_default();
        let timeout = spec.timeout_seconds.filter(|seconds| *seconds > 0);
        let is_h2c = serving(&spec.containers)
            .and_then(|container| container.ports.first())
            .is_some_and(|port| port.name == H2C);
        Self {
            service: label(keys::SERVICE),
            configuration: label(keys::CONFIGURATION),
            key: Key {
                namespace: metadata.namespace,
                name: metadata.name,
            },
            container_concurrency: spec.container_concurrency.unwrap_or_default(),
            timeouts: Timeouts::from_seconds(
                timeout.unwrap_or(TIMEOUT_SECONDS),
                spec.response_start_timeout_seconds.unwrap_or_default(),
                spec.idle_timeout_seconds.unwrap_or_default(),
            ),
            port_name: if is_h2c { "http2" } else { "http" },
            believe_pods: !spec
                .containers
                .iter()
                .any(Container::is_known_to_kubernetes_alone),
        }
    }
}

impl RevisionFacts {
    /// What its [`Revision`](crate::Revision) is made with.
    pub(crate) fn settings(&self) -> RevisionSettings {
        RevisionSettings {
            namespace: self.key.namespace.clone(),
            name: self.key.name.clone(),
            service: self.service.clone(),
            configuration: self.configuration.clone(),
            container_concurrency: self.container_concurrency,
            // The timers of a request run from its arrival and end its wait.
            timeout: WAIT_MAX,
        }
    }
}

impl Container {
    /// Whether its sidecar cannot tell that it is ready: a command of its own says so, or a probe that comes before.
    fn is_known_to_kubernetes_alone(&self) -> bool {
        let exec = self
            .readiness_probe
            .as_ref()
            .is_some_and(|probe| probe.exec.is_some());
        exec || self.startup_probe.is_some()
    }
}

/// The container that requests go to: the one that has a port, where there are several.
fn serving(containers: &[Container]) -> Option<&Container> {
    match containers {
        [only] => Some(only),
        several => several.iter().find(|container| !container.ports.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn facts(spec: &Value) -> RevisionFacts {
        let object = json!({
            "metadata": {"namespace": "ns", "name": "rev", "labels": {
                "serving.knative.dev/service": "svc", "serving.knative.dev/configuration": "conf"}},
            "spec": spec,
        });
        serde_json::from_value::<Object>(object).unwrap().into()
    }

    #[test]
    fn a_revision_is_read_with_knatives_defaults() {
        let facts = facts(&json!({"containers": [{"image": "i"}]}));
        assert_eq!((&*facts.key.namespace, &*facts.key.name), ("ns", "rev"));
        assert_eq!((&*facts.service, &*facts.configuration), ("svc", "conf"));
        assert_eq!((facts.container_concurrency, facts.port_name), (0, "http"));
        assert_eq!(facts.timeouts, Timeouts::from_seconds(300, 0, 0));
        assert!(facts.believe_pods);
    }

    #[test]
    fn a_revision_says_how_its_requests_are_treated() {
        let facts = facts(&json!({
            "containerConcurrency": 7, "timeoutSeconds": 60, "responseStartTimeoutSeconds": 5, "idleTimeoutSeconds": 4,
            "containers": [{}, {"ports": [{"name": "h2c", "containerPort": 8080}]}],
        }));
        assert_eq!((facts.container_concurrency, facts.port_name), (7, "http2"));
        assert_eq!(facts.timeouts.request, Duration::from_secs(60));
        assert_eq!(facts.timeouts.response_start, Some(Duration::from_secs(5)));
        assert_eq!(facts.timeouts.idle, Some(Duration::from_secs(4)));
    }

    #[test]
    fn ac_36_pods_whose_sidecar_cannot_know_are_not_believed() {
        let exec = json!({"readinessProbe": {"exec": {"command": ["true"]}}});
        let startup = json!({"startupProbe": {"httpGet": {"path": "/"}}});
        let plain = json!({"ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {}}});
        for (containers, expected) in [
            (json!([plain]), true),
            (json!([exec]), false),
            (json!([startup]), false),
            (json!([plain, startup]), false),
            (json!([plain, exec]), false),
        ] {
            assert_eq!(
                facts(&json!({ "containers": containers })).believe_pods,
                expected,
                "{containers}"
            );
        }
    }
}
