//! Route configurations, encoded as they come, through real look-ups in the tables that are made of them.

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::google::protobuf::UInt32Value;
use http::Request;
use prost::Message;
use tidegate_proxy::normalize::host::Host;
use tidegate_proxy::route::Route;

use super::*;
use crate::translate::UnknownFields;

mod actions;
mod detours;
mod errors;
mod hosts;
mod matches;
mod mirrors;
mod sharing;

fn context() -> Context {
    Context {
        unknown_fields: UnknownFields::Rejected,
        ..Context::default()
    }
}

fn read(proto: &pb::RouteConfiguration) -> Result<RoutesConfig, Reject> {
    routes(&proto.encode_to_vec().into(), &[], &context())
}

/// A route configuration of one virtual host for everything.
fn of_routes(routes: Vec<pb::Route>) -> pb::RouteConfiguration {
    pb::RouteConfiguration {
        name: "r1".into(),
        virtual_hosts: vec![pb::VirtualHost {
            routes,
            ..host("all", &["*"])
        }],
        ..pb::RouteConfiguration::default()
    }
}

fn host(name: &str, domains: &[&str]) -> pb::VirtualHost {
    pb::VirtualHost {
        name: name.into(),
        domains: domains.iter().map(|domain| (*domain).into()).collect(),
        ..pb::VirtualHost::default()
    }
}

fn prefix(prefix: &str) -> pb::RouteMatch {
    path(PathSpecifier::Prefix(prefix.into()))
}

fn path(path: PathSpecifier) -> pb::RouteMatch {
    pb::RouteMatch {
        path_specifier: Some(path),
        ..pb::RouteMatch::default()
    }
}

fn to(cluster: &str) -> pb::RouteAction {
    pb::RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.into())),
        ..pb::RouteAction::default()
    }
}

fn weighted(clusters: &[(&str, u32)]) -> pb::RouteAction {
    let share = |(name, weight): &(&str, u32)| pb::weighted_cluster::ClusterWeight {
        name: (*name).into(),
        weight: Some(UInt32Value { value: *weight }),
        ..Default::default()
    };
    pb::RouteAction {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
            clusters: clusters.iter().map(share).collect(),
            ..pb::WeightedCluster::default()
        })),
        ..pb::RouteAction::default()
    }
}

fn route(matches: pb::RouteMatch, action: pb::RouteAction) -> pb::Route {
    pb::Route {
        r#match: Some(matches),
        action: Some(Action::Route(action)),
        ..pb::Route::default()
    }
}

/// A route that is found again by its name.
fn named(name: &str, matches: pb::RouteMatch) -> pb::Route {
    pb::Route {
        name: name.into(),
        ..route(matches, to("c"))
    }
}

/// The route that a request for this URL with these fields is found.
fn found(config: &RoutesConfig, url: &str, fields: &[(&str, &str)]) -> Option<Arc<Route>> {
    let builder = fields.iter().fold(Request::get(url), |builder, (name, value)| {
        builder.header(*name, *value)
    });
    let request = builder.body(()).unwrap();
    let authority = request.uri().authority().unwrap().as_str();
    let host = config.table.find(&Host::parse(authority.as_bytes()).unwrap())?;
    let mut routes = host.routes.iter();
    routes.find(|route| route.matcher.matches(&request)).cloned()
}

fn name_of(route: Option<Arc<Route>>) -> Option<String> {
    route.map(|route| route.name.as_deref().unwrap_or_default().to_owned())
}

/// The only route of a configuration that has one.
fn only(action: pb::RouteAction) -> Arc<Route> {
    let config = read(&of_routes(vec![route(prefix("/"), action)])).unwrap();
    found(&config, "http://a/", &[]).unwrap()
}
