//! Which redirects of an upstream does a route follow by itself (`internal_redirect_policy`)?

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::extensions::internal_redirect::allow_listed_routes::v3::AllowListedRoutesConfig;
use envoy_types::pb::envoy::extensions::internal_redirect::previous_routes::v3::PreviousRoutesConfig;
use envoy_types::pb::envoy::extensions::internal_redirect::safe_cross_scheme::v3::SafeCrossSchemeConfig;
use http::{HeaderName, StatusCode};
use tidegate_proxy::route::{FollowRedirects, Repeat, Schemes};

use super::reading::Reading;
use crate::translate::Reject;
use crate::translate::any::{is, type_name, unpack, unregistered, unsupported};

impl Reading<'_> {
    /// What of its upstream's redirects a route follows.
    pub(super) fn redirects(
        &mut self,
        action: &pb::RouteAction,
    ) -> Result<Option<Box<FollowRedirects>>, Reject> {
        let Some(policy) = &action.internal_redirect_policy else {
            return Ok(None);
        };
        self.notes.add_set(&[(
            "internal_redirect_policy.response_headers_to_copy",
            !policy.response_headers_to_copy.is_empty(),
        )]);
        let mut follow = FollowRedirects {
            hops_max: policy.max_internal_redirects.as_ref().map_or(1, |max| max.value),
            told_by: Some(ORIGINAL_URL),
            ..FollowRedirects::default()
        };
        if policy.allow_cross_scheme_redirect {
            follow.schemes = Schemes::Any;
        }
        if !policy.redirect_response_codes.is_empty() {
            // As in Envoy: what is no redirect is passed over.
            let codes = policy.redirect_response_codes.iter();
            let known = codes.filter(|code| matches!(code, 301 | 302 | 303 | 307 | 308));
            let known = known.filter_map(|code| u16::try_from(*code).ok());
            follow.statuses = known.filter_map(|code| StatusCode::from_u16(code).ok()).collect();
        }
        for predicate in &policy.predicates {
            condition(predicate, &mut follow)?;
        }
        Ok(Some(Box::new(follow)))
    }
}

/// Adds what a predicate asks for.
fn condition(predicate: &TypedExtensionConfig, follow: &mut FollowRedirects) -> Result<(), Reject> {
    let Some(config) = &predicate.typed_config else {
        return Err(unregistered(&predicate.name, None));
    };
    if is::<PreviousRoutesConfig>(config) {
        follow.repeat = Repeat::Refused;
    } else if is::<SafeCrossSchemeConfig>(config) {
        if follow.schemes == Schemes::Any {
            follow.schemes = Schemes::NoBetter;
        }
    } else if is::<AllowListedRoutesConfig>(config) {
        let listed: AllowListedRoutesConfig = unpack(config)?;
        let mut names: Vec<Box<str>> = listed.allowed_route_names.into_iter().map(Into::into).collect();
        if let Some(before) = &follow.routes {
            // All predicates have to be met.
            names.retain(|name| before.contains(name));
        }
        follow.routes = Some(names);
    } else if type_name(config).starts_with("envoy.extensions.internal_redirect.") {
        return Err(unsupported("internal_redirect_policy.predicates", config));
    } else {
        return Err(unregistered(&predicate.name, Some(config)));
    }
    Ok(())
}

const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-envoy-original-url");
