//! What a route does with its requests.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::route::Action as Proto;
use envoy_types::pb::envoy::config::route::v3::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, UpgradeConfig,
};
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::cluster_weight::HostRewriteSpecifier;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::{ClusterWeight, RandomValueSpecifier};
use http::{HeaderName, StatusCode};
use tidegate_proxy::route::{
    Action, Destination, DirectResponse, Forward, ForwardPolicy, HeaderMutations, HostRewrite, Split,
    Upgrades, WeightedCluster,
};

use super::ClusterName;
use super::reading::Reading;
use super::redirect::redirect;
use crate::translate::Reject;
use crate::translate::any::unsupported_field;
use crate::translate::headers::HeaderLists;

type Done = (Action, Option<Arc<ForwardPolicy>>);

impl Reading<'_> {
    /// What a route does, its constraints hold.
    pub(super) fn action(
        &mut self,
        route: &pb::Route,
        host: &pb::VirtualHost,
        matches: &pb::RouteMatch,
    ) -> Result<Done, Reject> {
        match &route.action {
            Some(Proto::Route(action)) => {
                let place = self.notes.enter("route");
                let forward = self.shared_forward(route, action, matches)?;
                let policy = self.policy(action, host)?;
                self.notes.leave(place);
                Ok((Action::Forward(forward), Some(policy)))
            }
            Some(Proto::Redirect(action)) => Ok((Action::Redirect(Box::new(redirect(action)?)), None)),
            Some(Proto::DirectResponse(action)) => Ok((Action::Respond(self.direct(action)?.into()), None)),
            // As in Envoy, which has nowhere to send such a request.
            Some(Proto::NonForwardingAction(_)) => {
                let nothing = DirectResponse::new(StatusCode::SERVICE_UNAVAILABLE, "");
                Ok((Action::Respond(nothing.into()), None))
            }
            Some(Proto::FilterAction(_)) | None => {
                Err(unsupported_field(self.notes.place(), "filter_action"))
            }
        }
    }

    /// Reads where a route forwards to, unless another one forwards there in the same way. One whose requests are dealt out, or
    /// of which something was noted, is read for each.
    fn shared_forward(
        &mut self,
        route: &pb::Route,
        action: &pb::RouteAction,
        matches: &pb::RouteMatch,
    ) -> Result<Arc<Forward>, Reject> {
        let by_itself = match &action.cluster_specifier {
            Some(ClusterSpecifier::WeightedClusters(split)) => split.clusters.len() > 1,
            _ => false,
        };
        // What a template makes of the path depends on what was matched.
        if by_itself || action.path_rewrite_policy.is_some() {
            return Ok(Arc::new(self.forward(route, action, matches)?));
        }
        let hash = self.shared.hash_of(action);
        if let Some((forward, clusters)) = self.shared.forward(hash) {
            clusters.into_iter().for_each(|name| self.clusters.add(name));
            return Ok(forward);
        }
        let noted = self.notes.len();
        let forward = Arc::new(self.forward(route, action, matches)?);
        if self.notes.len() == noted {
            // A route's own clusters are all that are there by now, and those of its mirrors come later.
            self.shared.keep_forward(hash, &forward, self.clusters.all());
        }
        Ok(forward)
    }

    fn forward(
        &mut self,
        route: &pb::Route,
        action: &pb::RouteAction,
        matches: &pb::RouteMatch,
    ) -> Result<Forward, Reject> {
        if action.metadata_match.is_some() {
            return Err(unsupported_field(self.notes.place(), "metadata_match"));
        }
        let path = self.path_rewrite(action, matches)?;
        let to = self.destination(&route.name, action)?;
        self.note_unused_action(action);
        let code = ClusterNotFoundResponseCode::try_from(action.cluster_not_found_response_code);
        let missing = match code.unwrap_or_default() {
            ClusterNotFoundResponseCode::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            ClusterNotFoundResponseCode::NotFound => StatusCode::NOT_FOUND,
            ClusterNotFoundResponseCode::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Ok(Forward {
            path,
            host: self.host_rewrite(action)?,
            hash: self.hash(&action.hash_policy)?,
            upgrades: self.shared.upgrades(upgrades(&action.upgrade_configs)?),
            missing,
            ..Forward::new(to)
        })
    }

    #[expect(
        deprecated,
        reason = "control planes still send the forms that Envoy has deprecated"
    )]
    fn note_unused_action(&mut self, action: &pb::RouteAction) {
        self.notes.add_set(&[
            ("flush_timeout", action.flush_timeout.is_some()),
            ("early_data_policy", action.early_data_policy.is_some()),
            (
                "retry_policy_typed_config",
                action.retry_policy_typed_config.is_some(),
            ),
            ("rate_limits", !action.rate_limits.is_empty()),
            ("internal_redirect_action", action.internal_redirect_action != 0),
            ("hedge_policy", action.hedge_policy.is_some()),
        ]);
    }

    fn destination(&mut self, route: &str, action: &pb::RouteAction) -> Result<Destination, Reject> {
        match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => {
                let name = self.cluster(name, ClusterName::Whole);
                Ok(Destination::Split(Split::single(
                    name,
                    HeaderMutations::default(),
                )))
            }
            Some(ClusterSpecifier::ClusterHeader(name)) => {
                let name = HeaderName::from_bytes(name.as_bytes());
                let name = name.map_err(|error| Reject::Resource(format!("cluster_header: {error}")))?;
                Ok(Destination::Header(name))
            }
            Some(ClusterSpecifier::WeightedClusters(split)) => self.split(route, split),
            Some(ClusterSpecifier::ClusterSpecifierPlugin(name)) => Err(Reject::Resource(format!(
                "Unknown cluster specifier plugin name: {name} is used in the route"
            ))),
            Some(ClusterSpecifier::InlineClusterSpecifierPlugin(_)) | None => Err(unsupported_field(
                self.notes.place(),
                "inline_cluster_specifier_plugin",
            )),
        }
    }

    fn split(&mut self, route: &str, split: &pb::WeightedCluster) -> Result<Destination, Reject> {
        let mut total = 0_u32;
        let mut parts = Vec::with_capacity(split.clusters.len());
        for share in &split.clusters {
            let part = self.share(share)?;
            total = total.checked_add(part.weight).ok_or_else(|| {
                let why = format!(
                    "The sum of weights of all weighted clusters of route {route} exceeds {}",
                    u32::MAX
                );
                Reject::Resource(why)
            })?;
            parts.push(part);
        }
        if let Some(RandomValueSpecifier::HeaderName(_) | RandomValueSpecifier::UseHashPolicy(_)) =
            &split.random_value_specifier
        {
            let why = "requests are dealt out evenly";
            self.notes.add("weighted_clusters.random_value_specifier", why);
        }
        let split = Split::new(parts).map_err(|_| {
            let why = "Sum of weights in the weighted_cluster must be greater than 0.";
            Reject::Resource(why.to_owned())
        })?;
        Ok(Destination::Split(split))
    }

    fn share(&mut self, share: &ClusterWeight) -> Result<WeightedCluster, Reject> {
        let refused = |why: &str| Err(Reject::Resource(why.to_owned()));
        match (share.name.is_empty(), share.cluster_header.is_empty()) {
            (true, true) => return refused("At least one of name or cluster_header need to be specified"),
            (false, false) => return refused("Only one of name or cluster_header can be specified"),
            (true, false) => {
                return Err(unsupported_field(
                    self.notes.place(),
                    "weighted_clusters.clusters.cluster_header",
                ));
            }
            (false, true) => {}
        }
        let Some(weight) = &share.weight else {
            return refused(&format!(
                "Field 'weight' is missing in: name: \"{}\"\n",
                share.name
            ));
        };
        if share.metadata_match.is_some() {
            return Err(unsupported_field(
                self.notes.place(),
                "weighted_clusters.clusters.metadata_match",
            ));
        }
        let headers = self.headers(HeaderLists {
            request_add: &share.request_headers_to_add,
            request_remove: &share.request_headers_to_remove,
            response_add: &share.response_headers_to_add,
            response_remove: &share.response_headers_to_remove,
        })?;
        let host = match &share.host_rewrite_specifier {
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) if !host.is_empty() => {
                let host = HostRewrite::literal(host).map_err(|error| Reject::Resource(error.to_string()))?;
                Some(Arc::new(host))
            }
            _ => None,
        };
        Ok(WeightedCluster {
            cluster: self.cluster(&share.name, ClusterName::Weighted),
            weight: weight.value,
            headers,
            overrides: self.overrides(&share.typed_per_filter_config, None)?,
            host,
        })
    }
}

/// Which upgrades a route lets through, or not, whatever its listener says.
fn upgrades(configs: &[UpgradeConfig]) -> Result<Upgrades, Reject> {
    let mut tokens: Vec<(Box<str>, bool)> = Vec::with_capacity(configs.len());
    for config in configs {
        let token = config.upgrade_type.to_ascii_lowercase();
        if tokens.iter().any(|(known, _)| **known == *token) {
            return Err(Reject::Resource(format!("Duplicate upgrade {token}")));
        }
        if config.connect_config.is_some() && token != "connect" {
            let kind = &config.upgrade_type;
            return Err(Reject::Resource(format!(
                "Non-CONNECT upgrade type {kind} has ConnectConfig"
            )));
        }
        let enabled = config.enabled.as_ref().is_none_or(|enabled| enabled.value);
        tokens.push((token.into(), enabled));
    }
    Ok(match tokens.is_empty() {
        true => Upgrades::OfListener,
        false => Upgrades::Each(tokens.into()),
    })
}
