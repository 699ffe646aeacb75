//! What a revision gets when its author says nothing: Knative's `config-defaults`.

use std::collections::BTreeMap;

use crate::autoscaling::AutoscalerConfig;
use crate::names::containers;
use crate::object::Quantity;

/// `config-defaults`, with Knative's own values by [`Default`], and the policy that annotations are checked against.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// `revision-timeout-seconds`. Default 300.
    pub revision_timeout_seconds: u32,
    /// `max-revision-timeout-seconds`. Default 600; at least `revision_timeout_seconds`.
    pub max_revision_timeout_seconds: u32,
    /// `revision-response-start-timeout-seconds`. Default 300.
    pub revision_response_start_timeout_seconds: u32,
    /// `revision-idle-timeout-seconds`; 0 means none. Default 0.
    pub revision_idle_timeout_seconds: u32,
    /// `container-concurrency`; 0 means no limit. Default 0.
    pub container_concurrency: u32,
    /// `container-concurrency-max-limit`. Default 1000.
    pub container_concurrency_max_limit: u32,
    /// `allow-container-concurrency-zero`. Default true.
    pub allow_container_concurrency_zero: bool,
    /// `enable-service-links`; none leaves it to Kubernetes. Default false.
    pub enable_service_links: Option<bool>,
    /// `revision-{cpu,memory,ephemeral-storage}-request` by resource name. Default none.
    pub revision_requests: BTreeMap<String, Quantity>,
    /// `revision-{cpu,memory,ephemeral-storage}-limit` by resource name. Default none.
    pub revision_limits: BTreeMap<String, Quantity>,
    /// `container-name-template`. Default `user-container`.
    pub container_name: String,
    /// `init-container-name-template`. Default `init-container`.
    pub init_container_name: String,
    /// Whether a container has to name an image. Default: always, as in Knative.
    pub image: ImageRule,
    /// `config-autoscaler`, which bounds the autoscaling annotations.
    pub autoscaler: AutoscalerConfig,
}

/// When a container may be without an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageRule {
    /// Never (Knative's webhook).
    #[default]
    Always,
    /// Where it has a command: it runs as a process, and no image is pulled.
    UnlessCommand,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            revision_timeout_seconds: 300,
            max_revision_timeout_seconds: 600,
            revision_response_start_timeout_seconds: 300,
            revision_idle_timeout_seconds: 0,
            container_concurrency: 0,
            container_concurrency_max_limit: 1000,
            allow_container_concurrency_zero: true,
            enable_service_links: Some(false),
            revision_requests: BTreeMap::new(),
            revision_limits: BTreeMap::new(),
            container_name: containers::USER_DEFAULT.to_owned(),
            init_container_name: containers::INIT_DEFAULT.to_owned(),
            image: ImageRule::default(),
            autoscaler: AutoscalerConfig::default(),
        }
    }
}
