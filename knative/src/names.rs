//! What Knative calls things: API groups, labels, annotations, environment variables, ports, names of children.

mod child;
mod dns;

pub use child::{child_name, revision_name};
pub use dns::{is_dns1035_label, is_dns1123_label, is_dns1123_subdomain, is_label_value, is_qualified_name};

/// API group and version of Service, Configuration, Route and Revision.
pub const SERVING_API_VERSION: &str = "serving.knative.dev/v1";
/// API version of ConfigMap, Secret and Namespace.
pub const CORE_API_VERSION: &str = "v1";
/// The namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// The longest DNS label, and so the longest name of a Service, a revision or a tag (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// Labels and annotations (Knative Serving, `pkg/apis/serving/register.go`).
pub mod keys {
    /// Prefix of the labels and annotations that belong to Knative Serving.
    pub const SERVING_PREFIX: &str = "serving.knative.dev/";
    /// Prefix of the autoscaling annotations.
    pub const AUTOSCALING_PREFIX: &str = "autoscaling.knative.dev/";
    /// Label: name of the revision something belongs to.
    pub const REVISION: &str = "serving.knative.dev/revision";
    /// Label: name of the configuration something belongs to.
    pub const CONFIGURATION: &str = "serving.knative.dev/configuration";
    /// Label: generation of the configuration that a revision was made for.
    pub const CONFIGURATION_GENERATION: &str = "serving.knative.dev/configurationGeneration";
    /// Label: name of the Service something belongs to.
    pub const SERVICE: &str = "serving.knative.dev/service";
    /// Label: name of the route something belongs to.
    pub const ROUTE: &str = "serving.knative.dev/route";
    /// Label: `pending`, `active` or `reserve`.
    pub const ROUTING_STATE: &str = "serving.knative.dev/routingState";
    /// Annotation: routes that name a revision, separated by commas.
    pub const ROUTES: &str = "serving.knative.dev/routes";
    /// Annotation: how long a revision may take to become ready, as a Go duration.
    pub const PROGRESS_DEADLINE: &str = "serving.knative.dev/progress-deadline";
    /// Annotation of Services and Routes: over how long traffic moves to a new revision; first present key wins.
    pub const ROLLOUT_DURATION: [&str; 2] = [
        "serving.knative.dev/rollout-duration",
        "serving.knative.dev/rolloutDuration",
    ];
    /// Label of Services and Routes: [`CLUSTER_LOCAL`] keeps a route off the external listeners.
    pub const VISIBILITY: &str = "networking.knative.dev/visibility";
    /// The only value of [`VISIBILITY`].
    pub const CLUSTER_LOCAL: &str = "cluster-local";
    /// Annotation: `enabled` lets a revision answer before it has read the whole request.
    pub const HTTP_FULL_DUPLEX: &str = "features.knative.dev/http-full-duplex";
    /// Annotation: percent (0.1 to 100) of the container's resources that the sidecar gets.
    pub const QUEUE_SIDECAR_RESOURCE_PERCENTAGE: &str =
        "queue.sidecar.serving.knative.dev/resource-percentage";
    /// Annotation that `kubectl apply` leaves; never copied to children.
    pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

    /// The value of the first of `keys` that is present, with that key (Knative's "key priority").
    #[must_use]
    pub fn first_present<'a>(
        map: &'a std::collections::BTreeMap<String, String>,
        keys: &[&'static str],
    ) -> Option<(&'static str, &'a str)> {
        keys.iter()
            .find_map(|key| map.get(*key).map(|value| (*key, value.as_str())))
    }
}

/// Environment variables of a user container (Knative runtime contract, "Process").
pub mod env {
    /// The port the serving container must listen on.
    pub const PORT: &str = "PORT";
    /// Name of the Service.
    pub const K_SERVICE: &str = "K_SERVICE";
    /// Name of the configuration.
    pub const K_CONFIGURATION: &str = "K_CONFIGURATION";
    /// Name of the revision.
    pub const K_REVISION: &str = "K_REVISION";
    /// What a serving container may not set itself.
    pub const RESERVED: [&str; 4] = [PORT, K_SERVICE, K_CONFIGURATION, K_REVISION];
    /// What a sidecar or init container may not set itself: `PORT` is theirs to choose.
    pub const RESERVED_FOR_SIDECARS: [&str; 3] = [K_SERVICE, K_CONFIGURATION, K_REVISION];
}

/// Ports (Knative Serving, `pkg/networking/constants.go`).
pub mod ports {
    /// Where a user container listens when it declares no port.
    pub const USER_DEFAULT: u16 = 8080;
    /// Main port of the sidecar and the activator for HTTP/1 revisions.
    pub const BACKEND_HTTP: u16 = 8012;
    /// Main port of the sidecar and the activator for h2c revisions.
    pub const BACKEND_H2C: u16 = 8013;
    /// Main port of the sidecar and the activator with TLS inside the system.
    pub const BACKEND_HTTPS: u16 = 8112;
    /// Drain port of the sidecar.
    pub const QUEUE_ADMIN: u16 = 8022;
    /// Autoscaling statistics of the sidecar.
    pub const AUTOSCALING_METRICS: u16 = 9090;
    /// Request metrics of the sidecar.
    pub const USER_METRICS: u16 = 9091;
    /// Profiling.
    pub const PROFILING: u16 = 8008;
    /// What a container may not declare, as Knative's webhook has it (8112 is not among them).
    pub const RESERVED: [u16; 6] = [
        BACKEND_HTTP,
        BACKEND_H2C,
        QUEUE_ADMIN,
        AUTOSCALING_METRICS,
        USER_METRICS,
        PROFILING,
    ];
    /// Port name that makes a revision speak HTTP/1.1; an empty name means the same.
    pub const NAME_HTTP1: &str = "http1";
    /// Port name that makes a revision speak HTTP/2 with prior knowledge.
    pub const NAME_H2C: &str = "h2c";
}

/// Container names.
pub mod containers {
    /// Name of the only container when it has none, and stem of the names of several.
    pub const USER_DEFAULT: &str = "user-container";
    /// The same for init containers.
    pub const INIT_DEFAULT: &str = "init-container";
    /// Name that only the sidecar may have.
    pub const RESERVED: &str = "queue-proxy";
}
