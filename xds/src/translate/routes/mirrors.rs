//! Who else gets a copy of a route's requests?

use envoy_types::pb::envoy::config::route::v3::route_action::RequestMirrorPolicy;
use http::{HeaderName, HeaderValue};
use tidegate_proxy::route::{Fraction, Mirror, MirrorHost, MirrorTo};

use super::ClusterName;
use super::reading::Reading;
use crate::translate::Reject;
use crate::translate::fraction::MILLION;

impl Reading<'_> {
    /// The copies that a route's requests have. Their clusters have to be there.
    pub(super) fn mirrors(&mut self, mirrors: &[RequestMirrorPolicy]) -> Result<Vec<Mirror>, Reject> {
        mirrors.iter().map(|mirror| self.mirror(mirror)).collect()
    }

    fn mirror(&mut self, mirror: &RequestMirrorPolicy) -> Result<Mirror, Reject> {
        let refused = |why: String| Err(Reject::Resource(why));
        if mirror.cluster.is_empty() == mirror.cluster_header.is_empty() {
            let why =
                "Exactly one of cluster or cluster_header in request mirror policy need to be specified";
            return refused(why.to_owned());
        }
        self.notes.add_set(&[
            (
                "request_mirror_policies.trace_sampled",
                mirror.trace_sampled.is_some(),
            ),
            (
                "request_mirror_policies.request_headers_mutations",
                !mirror.request_headers_mutations.is_empty(),
            ),
        ]);
        let to = if mirror.cluster.is_empty() {
            match HeaderName::from_bytes(mirror.cluster_header.as_bytes()) {
                Ok(name) => MirrorTo::Header(name),
                Err(error) => return refused(format!("cluster_header: {error}")),
            }
        } else {
            MirrorTo::Cluster(self.cluster(&mirror.cluster, ClusterName::Mirror))
        };
        let host = match (
            &*mirror.host_rewrite_literal,
            mirror.disable_shadow_host_suffix_append,
        ) {
            ("", false) => MirrorHost::Suffixed,
            ("", true) => MirrorHost::Same,
            (host, _) => match HeaderValue::from_str(host) {
                Ok(host) => MirrorHost::Literal(host),
                Err(error) => return refused(format!("host_rewrite_literal: {error}")),
            },
        };
        let take = self
            .context
            .runtime
            .per_million(mirror.runtime_fraction.as_ref(), MILLION);
        let share = (take < MILLION).then_some(Fraction { take, of: MILLION });
        Ok(Mirror { to, share, host })
    }
}
