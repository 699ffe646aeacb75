//! Which redirects a route follows by itself.

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::internal_redirect::allow_listed_routes::v3::AllowListedRoutesConfig;
use envoy_types::pb::envoy::extensions::internal_redirect::previous_routes::v3::PreviousRoutesConfig;
use envoy_types::pb::envoy::extensions::internal_redirect::safe_cross_scheme::v3::SafeCrossSchemeConfig;
use envoy_types::pb::google::protobuf::{Any, Duration};
use envoy_types::util::pack_any;
use tidegate_proxy::route::{FollowRedirects, Repeat, Schemes};

use super::*;

/// What is read of this policy.
fn read_policy(policy: pb::InternalRedirectPolicy) -> Result<FollowRedirects, Reject> {
    let action = pb::RouteAction {
        internal_redirect_policy: Some(policy),
        ..to("c")
    };
    let config = read(&of_routes(vec![route(prefix("/"), action)]))?;
    let route = found(&config, "http://a.example/", &[]).unwrap();
    let policy = route.policy.as_ref().unwrap();
    Ok(policy.redirects.as_deref().unwrap().clone())
}

fn predicate(config: Any) -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: "p".into(),
        typed_config: Some(config),
    }
}

#[test]
fn one_redirect_by_302_to_the_same_scheme_is_followed_where_nothing_is_said() {
    let usual = read_policy(pb::InternalRedirectPolicy::default()).unwrap();
    assert_eq!((usual.hops_max, usual.schemes), (1, Schemes::Same));
    assert_eq!(usual.statuses, [http::StatusCode::FOUND]);
    assert_eq!((usual.routes, usual.repeat), (None, Repeat::Allowed));
    assert_eq!(usual.told_by.unwrap(), "x-envoy-original-url");
}

#[test]
fn what_is_said_counts_and_all_predicates_have_to_be_met() {
    let listed = |names: &[&str]| {
        predicate(pack_any(AllowListedRoutesConfig {
            allowed_route_names: names.iter().map(|name| (*name).into()).collect(),
        }))
    };
    let read = read_policy(pb::InternalRedirectPolicy {
        max_internal_redirects: Some(UInt32Value { value: 4 }),
        redirect_response_codes: vec![307, 200, 303],
        allow_cross_scheme_redirect: true,
        predicates: vec![
            predicate(pack_any(PreviousRoutesConfig {})),
            predicate(pack_any(SafeCrossSchemeConfig {})),
            listed(&["a", "b"]),
            listed(&["b", "c"]),
        ],
        ..pb::InternalRedirectPolicy::default()
    })
    .unwrap();
    assert_eq!((read.hops_max, read.schemes), (4, Schemes::NoBetter));
    let statuses: Vec<u16> = read.statuses.iter().map(|status| status.as_u16()).collect();
    assert_eq!(statuses, [307, 303]);
    assert_eq!(read.routes, Some(vec!["b".into()]));
    assert_eq!(read.repeat, Repeat::Refused);
}

#[test]
fn a_predicate_that_nobody_knows_is_refused() {
    let refused = read_policy(pb::InternalRedirectPolicy {
        predicates: vec![predicate(pack_any(Duration::default()))],
        ..pb::InternalRedirectPolicy::default()
    });
    let why = refused.unwrap_err().to_string();
    assert!(
        why.contains("Didn't find a registered implementation for 'p'"),
        "{why}"
    );
}
