//! The constraints of what a route does.

use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::{DataSource, RoutingPriority};
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode,
};
use envoy_types::pb::envoy::config::route::v3::retry_policy::{
    RateLimitedRetryBackOff, ResetHeaderFormat, RetryBackOff,
};
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::PolicySpecifier;
use envoy_types::pb::envoy::config::route::v3::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, HashPolicy, HostRewriteSpecifier, RequestMirrorPolicy,
};
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::cluster_weight;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::{ClusterWeight, RandomValueSpecifier};
use envoy_types::pb::google::protobuf::Duration;

use super::matching::{extension, fraction, header};
use crate::translate::constraint::{Checked, Rules, one_of};
use crate::translate::headers::{check_added, check_removed};
use crate::translate::text_match::check_substitution;

pub(super) fn forward(action: &pb::RouteAction) -> Checked {
    let rules = Rules::of("RouteAction");
    let code = action.cluster_not_found_response_code;
    rules.defined::<ClusterNotFoundResponseCode>("ClusterNotFoundResponseCode", code)?;
    rules.header_text("PrefixRewrite", &action.prefix_rewrite)?;
    rules.optional("RegexRewrite", action.regex_rewrite.as_ref(), check_substitution)?;
    let policy = action.path_rewrite_policy.as_ref();
    rules.optional("PathRewritePolicy", policy, extension)?;
    rules.optional("RetryPolicy", action.retry_policy.as_ref(), retry)?;
    rules.each("RequestMirrorPolicies", &action.request_mirror_policies, mirror)?;
    rules.defined::<RoutingPriority>("Priority", action.priority)?;
    rules.each("HashPolicy", &action.hash_policy, hash)?;
    rules.each("UpgradeConfigs", &action.upgrade_configs, |upgrade| {
        let rules = Rules::of("UpgradeConfig");
        rules.not_empty("UpgradeType", &upgrade.upgrade_type)?;
        rules.header_text("UpgradeType", &upgrade.upgrade_type)
    })?;
    match one_of("cluster_specifier", action.cluster_specifier.as_ref())? {
        ClusterSpecifier::Cluster(name) => rules.not_empty("Cluster", name)?,
        ClusterSpecifier::ClusterHeader(name) => {
            rules.not_empty("ClusterHeader", name)?;
            rules.header_text("ClusterHeader", name)?;
        }
        ClusterSpecifier::WeightedClusters(split) => rules.within("WeightedClusters", weighted(split))?,
        ClusterSpecifier::ClusterSpecifierPlugin(_) | ClusterSpecifier::InlineClusterSpecifierPlugin(_) => {}
    }
    match &action.host_rewrite_specifier {
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => rules.header_text("HostRewriteLiteral", host),
        Some(HostRewriteSpecifier::HostRewriteHeader(name)) => rules.header_text("HostRewriteHeader", name),
        Some(HostRewriteSpecifier::HostRewritePathRegex(rewrite)) => {
            rules.within("HostRewritePathRegex", check_substitution(rewrite))
        }
        Some(HostRewriteSpecifier::AutoHostRewrite(_) | HostRewriteSpecifier::HostRewrite(_)) | None => {
            Ok(())
        }
    }
}

fn weighted(split: &pb::WeightedCluster) -> Checked {
    let rules = Rules::of("WeightedCluster");
    rules.some_items("Clusters", &split.clusters)?;
    rules.each("Clusters", &split.clusters, share)?;
    match &split.random_value_specifier {
        Some(RandomValueSpecifier::HeaderName(name)) => rules.header_text("HeaderName", name),
        Some(RandomValueSpecifier::UseHashPolicy(_)) | None => Ok(()),
    }
}

fn share(share: &ClusterWeight) -> Checked {
    let rules = Rules::of("ClusterWeight");
    rules.header_text("ClusterHeader", &share.cluster_header)?;
    check_added(rules, "RequestHeadersToAdd", &share.request_headers_to_add)?;
    check_removed(
        rules,
        "RequestHeadersToRemove",
        &share.request_headers_to_remove,
        0,
    )?;
    check_added(rules, "ResponseHeadersToAdd", &share.response_headers_to_add)?;
    check_removed(
        rules,
        "ResponseHeadersToRemove",
        &share.response_headers_to_remove,
        0,
    )?;
    match &share.host_rewrite_specifier {
        Some(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(host)) => {
            rules.header_text("HostRewriteLiteral", host)
        }
        None => Ok(()),
    }
}

pub(super) fn mirror(mirror: &RequestMirrorPolicy) -> Checked {
    let rules = Rules::of("RequestMirrorPolicy");
    rules.header_text("ClusterHeader", &mirror.cluster_header)?;
    rules.optional("RuntimeFraction", mirror.runtime_fraction.as_ref(), fraction)?;
    rules.header_text("HostRewriteLiteral", &mirror.host_rewrite_literal)
}

fn hash(policy: &HashPolicy) -> Checked {
    let rules = Rules::of("HashPolicy");
    match one_of("policy_specifier", policy.policy_specifier.as_ref())? {
        PolicySpecifier::Header(by) => {
            let inner = Rules::of("Header");
            let name = inner.not_empty("HeaderName", &by.header_name);
            let name = name.and_then(|()| inner.header_text("HeaderName", &by.header_name));
            let rewrite = by.regex_rewrite.as_ref();
            let whole = name.and_then(|()| inner.optional("RegexRewrite", rewrite, check_substitution));
            rules.within("Header", whole)
        }
        PolicySpecifier::Cookie(by) => {
            rules.within("Cookie", Rules::of("Cookie").not_empty("Name", &by.name))
        }
        PolicySpecifier::QueryParameter(by) => {
            let name = Rules::of("QueryParameter").not_empty("Name", &by.name);
            rules.within("QueryParameter", name)
        }
        PolicySpecifier::FilterState(by) => {
            rules.within("FilterState", Rules::of("FilterState").not_empty("Key", &by.key))
        }
        PolicySpecifier::ConnectionProperties(_) => Ok(()),
    }
}

pub(super) fn retry(policy: &pb::RetryPolicy) -> Checked {
    let rules = Rules::of("RetryPolicy");
    if let Some(priority) = &policy.retry_priority {
        let name = Rules::of("RetryPriority").not_empty("Name", &priority.name);
        rules.within("RetryPriority", name)?;
    }
    rules.each("RetryHostPredicate", &policy.retry_host_predicate, |predicate| {
        Rules::of("RetryHostPredicate").not_empty("Name", &predicate.name)
    })?;
    let predicates = &policy.retry_options_predicates;
    rules.each("RetryOptionsPredicates", predicates, extension)?;
    rules.optional("RetryBackOff", policy.retry_back_off.as_ref(), back_off)?;
    let limited = policy.rate_limited_retry_back_off.as_ref();
    rules.optional("RateLimitedRetryBackOff", limited, limited_back_off)?;
    rules.each("RetriableHeaders", &policy.retriable_headers, header)?;
    let headers = &policy.retriable_request_headers;
    rules.each("RetriableRequestHeaders", headers, header)
}

fn back_off(back_off: &RetryBackOff) -> Checked {
    let rules = Rules::of("RetryBackOff");
    let Some(base) = &back_off.base_interval else {
        return Err(rules.broken("BaseInterval", "value is required"));
    };
    positive(rules, "BaseInterval", Some(base))?;
    positive(rules, "MaxInterval", back_off.max_interval.as_ref())
}

fn limited_back_off(back_off: &RateLimitedRetryBackOff) -> Checked {
    let rules = Rules::of("RateLimitedRetryBackOff");
    rules.some_items("ResetHeaders", &back_off.reset_headers)?;
    rules.each("ResetHeaders", &back_off.reset_headers, |header| {
        let rules = Rules::of("ResetHeader");
        rules.not_empty("Name", &header.name)?;
        rules.header_text("Name", &header.name)?;
        rules.defined::<ResetHeaderFormat>("Format", header.format)
    })?;
    positive(rules, "MaxInterval", back_off.max_interval.as_ref())
}

fn positive(rules: Rules, field: &str, value: Option<&Duration>) -> Checked {
    match value {
        Some(value) if (value.seconds, value.nanos) <= (0, 0) => {
            Err(rules.broken(field, "value must be greater than 0s"))
        }
        _ => Ok(()),
    }
}

pub(super) fn redirect(action: &pb::RedirectAction) -> Checked {
    let rules = Rules::of("RedirectAction");
    rules.header_text("HostRedirect", &action.host_redirect)?;
    rules.defined::<RedirectResponseCode>("ResponseCode", action.response_code)?;
    match &action.path_rewrite_specifier {
        Some(PathRewriteSpecifier::PathRedirect(path)) => rules.header_text("PathRedirect", path),
        Some(PathRewriteSpecifier::PrefixRewrite(path)) => rules.header_text("PrefixRewrite", path),
        Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
            rules.within("RegexRewrite", check_substitution(rewrite))
        }
        Some(PathRewriteSpecifier::PathRewrite(_)) | None => Ok(()),
    }
}

pub(super) fn direct(action: &pb::DirectResponseAction) -> Checked {
    let rules = Rules::of("DirectResponseAction");
    if !(200..600).contains(&action.status) {
        return Err(rules.broken("Status", "value must be inside range [200, 600)"));
    }
    rules.optional("Body", action.body.as_ref(), data_source)
}

fn data_source(source: &DataSource) -> Checked {
    let rules = Rules::of("DataSource");
    match one_of("specifier", source.specifier.as_ref())? {
        Specifier::Filename(path) => rules.not_empty("Filename", path),
        Specifier::EnvironmentVariable(name) => rules.not_empty("EnvironmentVariable", name),
        Specifier::InlineBytes(_) | Specifier::InlineString(_) => Ok(()),
    }
}
