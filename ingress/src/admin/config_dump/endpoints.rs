//! The endpoints of every cluster as they are now, whoever named them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proxy::cluster::{Cluster, Endpoint, Health, Locality, Status};
use tidegate_xds::text::Json;

use super::super::Admin;
use super::super::clusters::{Origins, address, said};
use super::super::json::{map, number, text};
use super::message::{Element, Field, Message, Part, Wanted};

pub(super) fn message(admin: &Admin, wanted: &Wanted) -> Message {
    let (snapshot, origins) = (admin.settings().proxy.load(), Origins::of(&admin.view()));
    let mut clusters: Vec<&Arc<Cluster>> = snapshot
        .clusters()
        .filter(|cluster| wanted.wants(cluster.name()))
        .collect();
    clusters.sort_by_key(|cluster| Arc::clone(cluster.name()));
    let (dynamic, fixed): (Vec<_>, Vec<_>) = clusters
        .into_iter()
        .partition(|cluster| origins.is_dynamic(cluster.name()));
    let parts = |clusters: Vec<&Arc<Cluster>>| clusters.into_iter().map(part).collect();
    Message {
        name: "envoy.admin.v3.EndpointsConfigDump",
        scalars: Vec::new(),
        lists: vec![
            Field::new(
                "static_endpoint_configs",
                Element {
                    name: "envoy.admin.v3.EndpointsConfigDump.StaticEndpointConfig",
                    fields: &["endpoint_config", "last_updated"],
                },
                parts(fixed),
            ),
            Field::new(
                "dynamic_endpoint_configs",
                Element {
                    name: "envoy.admin.v3.EndpointsConfigDump.DynamicEndpointConfig",
                    fields: &[
                        "version_info",
                        "endpoint_config",
                        "last_updated",
                        "error_state",
                        "client_status",
                    ],
                },
                parts(dynamic),
            ),
        ],
    }
}

fn part(cluster: &Arc<Cluster>) -> Part {
    let cluster = Arc::clone(cluster);
    Part::new(move || map([("endpoint_config", Some(assignment(&cluster)))]))
}

/// `ClusterLoadAssignment`, by priority and locality.
fn assignment(cluster: &Cluster) -> Json {
    let endpoints = cluster.endpoints();
    let mut places: BTreeMap<(u32, Option<&Arc<Locality>>), Vec<Json>> = BTreeMap::new();
    for it in endpoints.iter() {
        let place = (it.priority(), it.locality());
        places.entry(place).or_default().push(endpoint(it));
    }
    let place = |((priority, locality), endpoints): ((u32, Option<&Arc<Locality>>), Vec<Json>)| {
        map([
            (
                "locality",
                Some(locality.map_or(Json::Map(Vec::new()), |place| of_place(place))),
            ),
            ("lb_endpoints", Some(Json::List(endpoints))),
            (
                "load_balancing_weight",
                locality.map(|place| number(place.weight)),
            ),
            ("priority", (priority > 0).then(|| number(priority))),
        ])
    };
    let places: Vec<Json> = places.into_iter().map(place).collect();
    let policy = map([("overprovisioning_factor", Some(number(140)))]);
    map([
        (
            "@type",
            Some(text(
                "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            )),
        ),
        ("cluster_name", Some(text(&**cluster.name()))),
        ("endpoints", (!places.is_empty()).then_some(Json::List(places))),
        ("policy", Some(policy)),
    ])
}

fn of_place(locality: &Locality) -> Json {
    let part = |part: &str| (!part.is_empty()).then(|| text(part));
    map([
        ("region", part(&locality.region)),
        ("zone", part(&locality.zone)),
        ("sub_zone", part(&locality.sub_zone)),
    ])
}

fn endpoint(endpoint: &Endpoint) -> Json {
    let host = map([
        ("address", Some(address(endpoint.address()))),
        ("health_check_config", Some(Json::Map(Vec::new()))),
        ("hostname", endpoint.hostname().map(|name| text(&**name))),
    ]);
    let status = match (endpoint.status(), endpoint.health()) {
        (Status::Healthy, Health::Unhealthy) => "UNHEALTHY",
        (Status::Healthy, Health::Degraded) => "DEGRADED",
        (status, _) => said(status),
    };
    map([
        ("endpoint", Some(host)),
        ("health_status", Some(text(status))),
        ("load_balancing_weight", Some(number(endpoint.weight()))),
    ])
}
