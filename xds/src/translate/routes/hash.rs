//! What of a request makes up the hash by which an endpoint is chosen.

use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3::route_action::HashPolicy as Proto;
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::{Cookie, PolicySpecifier};
use http::HeaderName;
use tidegate_proxy::route::{AffinityCookie, HashPolicy, InvalidField};

use super::reading::Reading;
use crate::translate::Reject;
use crate::translate::duration::duration;
use crate::translate::text_match;

impl Reading<'_> {
    /// Hash policies, in order.
    pub(super) fn hash(&mut self, protos: &[Proto]) -> Result<Vec<HashPolicy>, Reject> {
        let mut policies = Vec::with_capacity(protos.len());
        for proto in protos {
            let policy = match &proto.policy_specifier {
                Some(PolicySpecifier::Header(by)) => {
                    let name = HeaderName::from_bytes(by.header_name.as_bytes());
                    let name = name.map_err(|error| Reject::Resource(error.to_string()))?;
                    match &by.regex_rewrite {
                        Some(rewrite) => {
                            let (pattern, replacement) = text_match::substitution(rewrite)?;
                            let policy = HashPolicy::header_rewritten(name, pattern, replacement);
                            policy.map_err(|error| text_match::bad_regex(pattern, &error))?
                        }
                        None => HashPolicy::header(name),
                    }
                }
                Some(PolicySpecifier::Cookie(by)) => match cookie(by)? {
                    Ok(cookie) => HashPolicy::cookie(cookie),
                    Err(invalid) => {
                        self.notes.add("hash_policy.cookie", invalid.to_string());
                        continue;
                    }
                },
                Some(PolicySpecifier::QueryParameter(by)) => HashPolicy::query(by.name.as_str()),
                Some(PolicySpecifier::ConnectionProperties(by)) if by.source_ip => {
                    HashPolicy::client_address()
                }
                Some(PolicySpecifier::FilterState(_)) => {
                    self.notes.add("hash_policy.filter_state", "it has no effect");
                    continue;
                }
                Some(PolicySpecifier::ConnectionProperties(_)) | None => continue,
            };
            policies.push(if proto.terminal { policy.terminal() } else { policy });
        }
        Ok(policies)
    }
}

/// A cookie, which is set here where it has a lifetime. The inner error is a name or an attribute that no cookie can have.
fn cookie(proto: &Cookie) -> Result<Result<AffinityCookie, InvalidField>, Reject> {
    let Some(lifetime) = duration(proto.ttl.as_ref())? else {
        return Ok(AffinityCookie::of_application(&proto.name));
    };
    let path = (!proto.path.is_empty()).then_some(proto.path.as_str());
    let whole_seconds = Duration::from_secs(lifetime.as_secs());
    let cookie = AffinityCookie::set_here(&proto.name, path, whole_seconds);
    Ok(proto.attributes.iter().fold(cookie, |cookie, attribute| {
        cookie?.with_attribute(&attribute.name, &attribute.value)
    }))
}
