//! Which HTTP header names, user agents and probe values Knative gives a meaning, and which of them never cross the edge.
//!
//! Names are lower-case, as HTTP/2 sends them and as `http::HeaderName::from_static` wants them.

/// `K-Network-Probe`: marks a probe; see [`NetworkProbe`] for the values (Knative networking, `http/header`).
pub const NETWORK_PROBE: &str = "k-network-probe";
/// `K-Network-Hash`: the hash of the configuration that a proxy serves; [`HASH_OVERRIDE`] asks for the current one.
pub const NETWORK_HASH: &str = "k-network-hash";
/// `K-Proxy-Request`: [`PROXY_REQUEST_ACTIVATOR`] on requests that an activator forwarded.
pub const PROXY_REQUEST: &str = "k-proxy-request";
/// `K-Original-Host`: the Host before a DomainMapping or an activator rewrote it.
pub const ORIGINAL_HOST: &str = "k-original-host";
/// `K-Kubelet-Probe`: any non-empty value marks a kubelet probe.
pub const KUBELET_PROBE: &str = "k-kubelet-probe";
/// `K-Passthrough-Lb`: [`TRUE`] when an activator addresses one pod through a mesh.
pub const PASSTHROUGH_LB: &str = "k-passthrough-lb";
/// `Knative-Direct-Lb`: [`TRUE`] when the autoscaler scrapes one pod through a mesh.
pub const DIRECT_LB: &str = "knative-direct-lb";
/// `Knative-Serving-Revision`: name of the revision a request was routed to.
pub const SERVING_REVISION: &str = "knative-serving-revision";
/// `Knative-Serving-Namespace`: namespace of the revision a request was routed to.
pub const SERVING_NAMESPACE: &str = "knative-serving-namespace";
/// `Knative-Serving-Tag`: the traffic tag a client asks for, or that a tag URL stands for.
pub const SERVING_TAG: &str = "knative-serving-tag";
/// `Knative-Serving-Default-Route`: [`TRUE`] on untagged requests when routing by tag header is on.
pub const SERVING_DEFAULT_ROUTE: &str = "knative-serving-default-route";

/// Value of [`PROXY_REQUEST`].
pub const PROXY_REQUEST_ACTIVATOR: &str = "activator";
/// Value of the headers that are either absent or true.
pub const TRUE: &str = "true";
/// Value of [`NETWORK_HASH`] that asks the ingress to answer with its own hash.
pub const HASH_OVERRIDE: &str = "override";

/// How the user agent of a kubelet begins; the sidecar's own HTTP and gRPC probes begin so too.
pub const KUBE_PROBE_USER_AGENT_PREFIX: &str = "kube-probe/";
/// The whole user agent that a sidecar sends to the container it probes (version numbers left empty).
pub const KUBE_PROBE_USER_AGENT: &str = "kube-probe//";
/// User agent of an activator that probes a sidecar.
pub const ACTIVATOR_USER_AGENT: &str = "Knative-Activator-Probe";
/// User agent of the autoscaler that probes before it scales to zero.
pub const AUTOSCALER_USER_AGENT: &str = "Knative-Autoscaling-Probe";
/// User agent of an ingress controller that asks whether a route is programmed.
pub const INGRESS_USER_AGENT: &str = "Knative-Ingress-Probe";
/// User agent that Knative reserves for the sidecar.
pub const QUEUE_PROXY_USER_AGENT: &str = "Knative-Queue-Proxy-Probe";

/// The user agents with which Knative's own programs probe each other.
pub const PROBE_USER_AGENTS: [&str; 4] = [
    ACTIVATOR_USER_AGENT,
    AUTOSCALER_USER_AGENT,
    INGRESS_USER_AGENT,
    QUEUE_PROXY_USER_AGENT,
];

/// What marks a request as a probe, which is neither counted nor traced: a header that is there, with how its value begins
/// (Knative networking `http/header`, `IsProbe`).
pub const PROBES: [(&str, &str); 3] = [
    ("user-agent", KUBE_PROBE_USER_AGENT_PREFIX),
    (KUBELET_PROBE, ""),
    (NETWORK_PROBE, ""),
];

/// Headers that a client outside may never send: an external listener removes them before routing.
///
/// [`SERVING_TAG`] and [`NETWORK_HASH`] are not among them: routes match on these.
pub const STRIPPED_AT_THE_EDGE: [&str; 8] = [
    ORIGINAL_HOST,
    PROXY_REQUEST,
    KUBELET_PROBE,
    PASSTHROUGH_LB,
    DIRECT_LB,
    SERVING_REVISION,
    SERVING_NAMESPACE,
    SERVING_DEFAULT_ROUTE,
];

/// The values of [`NETWORK_PROBE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkProbe {
    /// `probe`: an ingress controller's prober, the only one that may come from outside.
    Ingress,
    /// `activator`: the autoscaler asks whether an activator is in the path.
    Activator,
    /// `queue`: an activator or the kubelet asks a sidecar.
    Queue,
}

impl NetworkProbe {
    /// The value on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "probe",
            Self::Activator => "activator",
            Self::Queue => "queue",
        }
    }

    /// The probe that a header value names; none for values that Knative does not define.
    #[must_use]
    pub fn from_value(value: &[u8]) -> Option<Self> {
        [Self::Ingress, Self::Activator, Self::Queue]
            .into_iter()
            .find(|p| p.as_str().as_bytes() == value)
    }
}

/// Whether an external listener lets this header pass (`name` in any case).
///
/// Removed are [`STRIPPED_AT_THE_EDGE`], a [`NETWORK_PROBE`] other than `probe`, and a `User-Agent` of
/// [`PROBE_USER_AGENTS`]. Underscores count as dashes, because many applications read both alike.
#[must_use]
pub fn passes_the_edge(name: &str, value: &[u8]) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    match name.as_str() {
        NETWORK_PROBE => NetworkProbe::from_value(value) == Some(NetworkProbe::Ingress),
        "user-agent" => !PROBE_USER_AGENTS
            .iter()
            .any(|agent| value.eq_ignore_ascii_case(agent.as_bytes())),
        name => !STRIPPED_AT_THE_EDGE.contains(&name),
    }
}

/// Whether a user agent is a kubelet's, as the drainer of a sidecar understands it (`User-Agent` only).
#[must_use]
pub fn is_kube_probe_user_agent(user_agent: &[u8]) -> bool {
    user_agent.starts_with(KUBE_PROBE_USER_AGENT_PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_removes_what_only_knative_may_say() {
        let cases: [(&str, &[u8], bool); 16] = [
            ("K-Original-Host", b"a.example", false),
            ("k_original_host", b"a.example", false),
            ("K-Proxy-Request", b"activator", false),
            ("K-Kubelet-Probe", b"1", false),
            ("K-Passthrough-Lb", b"true", false),
            ("Knative-Direct-Lb", b"true", false),
            ("Knative-Serving-Revision", b"hello-00001", false),
            ("Knative-Serving-Namespace", b"default", false),
            ("Knative_Serving_Default-Route", b"true", false),
            ("Knative-Serving-Tag", b"blue", true),
            ("K-Network-Hash", b"override", true),
            ("K-Network-Probe", b"probe", true),
            ("K-Network-Probe", b"queue", false),
            ("User-Agent", b"knative-activator-probe", false),
            ("User-Agent", b"kube-probe/1.30", true),
            ("X-Request-Id", b"7", true),
        ];
        for (name, value, passes) in cases {
            assert_eq!(
                passes_the_edge(name, value),
                passes,
                "{name}: {}",
                String::from_utf8_lossy(value)
            );
        }
    }

    #[test]
    fn kube_probes_are_told_by_their_prefix() {
        assert!(is_kube_probe_user_agent(b"kube-probe/1.30"));
        assert!(is_kube_probe_user_agent(KUBE_PROBE_USER_AGENT.as_bytes()));
        assert!(!is_kube_probe_user_agent(b"Kube-Probe/1.30"));
        assert!(!is_kube_probe_user_agent(b"curl/8"));
    }
}
