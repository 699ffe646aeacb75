//! What may no client outside say? What only Knative's own programs say to each other.

use http::header::{HeaderName, USER_AGENT};
use tidegate_knative::headers::{NETWORK_PROBE, NetworkProbe, PROBE_USER_AGENTS, STRIPPED_AT_THE_EDGE};
use tidegate_proxy::normalize::edge::{EdgePolicy, Sense};
use tidegate_proxy::route::TextMatch;

/// What external listeners remove from requests, before they are routed: what
/// [`passes_the_edge`](tidegate_knative::headers::passes_the_edge) does not let pass.
#[must_use]
pub fn policy() -> EdgePolicy {
    let removed = EdgePolicy::removing(STRIPPED_AT_THE_EDGE.map(HeaderName::from_static));
    let probe = HeaderName::from_static(NETWORK_PROBE);
    let ingress = TextMatch::exact(NetworkProbe::Ingress.as_str());
    let removed = removed.removing_values(probe, Sense::Unless, ingress);
    PROBE_USER_AGENTS.into_iter().fold(removed, |removed, agent| {
        let agent = TextMatch::exact(agent).ignoring_case();
        removed.removing_values(USER_AGENT, Sense::Where, agent)
    })
}
