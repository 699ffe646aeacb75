//! What is a cluster made of, and which of its endpoints takes the request?

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proxy::cluster::{
    Balance, Cluster, ClusterSettings, Endpoint, Health, Preference, Protocol, Status,
};
use tidegate_xds::translate::cluster::activation::Activation;
use tidegate_xds::translate::cluster::{ClusterConfig, EndpointSource};
use tidegate_xds::translate::endpoints::EndpointsConfig;

use super::{Configuration, words};
use crate::limits::CANDIDATES_SHOWN_MAX;
use crate::page::Page;

/// Shows it. Whether it has an endpoint that may be asked.
pub(super) fn show(
    configuration: &Configuration,
    cluster: &ClusterConfig,
    hash: Option<u64>,
    page: &mut Page,
) -> bool {
    let known = endpoints(configuration, cluster);
    let mut settings = cluster.settings.clone();
    if let Some(known) = known {
        known.complete(&mut settings);
    }
    let transport = &settings.transport;
    let protocol = match transport.protocol {
        Protocol::Http1 => "HTTP/1.1",
        _ => "HTTP/2",
    };
    let tls = if cluster.tls.is_some() { " over TLS" } else { "" };
    page.text("cluster", format!("{}, {protocol}{tls}", cluster.name));
    page.text("connect within", format!("{:?}", transport.connect_timeout));
    if let Some(activation) = settings.metadata.get::<Arc<Activation>>() {
        let pods = &activation.pods;
        page.text(
            "activation",
            format!("in the ingress it waits for a pod of '{pods}' and goes there; by another Envoy to:"),
        );
    }
    let list: Vec<Arc<Endpoint>> = match (&cluster.endpoints, known) {
        (EndpointSource::Inline(list), _) => list.clone(),
        (EndpointSource::Eds { name, .. }, None) => {
            page.text("endpoints", format!("by EDS '{name}', which is not there"));
            return false;
        }
        (EndpointSource::Names, None) => return names(&settings, page),
        (_, Some(known)) => known.endpoints.clone(),
    };
    if list.is_empty() {
        page.text("endpoints", "none");
        return false;
    }
    choice(settings, &list, hash, page);
    true
}

fn endpoints<'a>(configuration: &'a Configuration, cluster: &ClusterConfig) -> Option<&'a EndpointsConfig> {
    let of = |name: &Arc<str>| configuration.endpoints.get(name).map(|known| &**known);
    match &cluster.endpoints {
        EndpointSource::Eds { name, .. } => of(name).or_else(|| of(&cluster.name)),
        EndpointSource::Names => of(&cluster.name),
        EndpointSource::Inline(_) => None,
    }
}

/// Names that are looked up when the cluster runs.
fn names(settings: &ClusterSettings, page: &mut Page) -> bool {
    let names = settings.discovery.iter().flat_map(|discovery| &discovery.names);
    let texts: Vec<String> = names
        .map(|name| format!("{}:{}, whatever DNS says", name.host, name.port))
        .collect();
    let any = !texts.is_empty();
    page.text("balanced by", words::balance(&settings.balance));
    page.list("endpoints", texts);
    any
}

/// Which endpoints are asked, and which of them for this request.
fn choice(settings: ClusterSettings, list: &[Arc<Endpoint>], hash: Option<u64>, page: &mut Page) {
    let by_hash = matches!(settings.balance.policy, Balance::RingHash(_) | Balance::Maglev(_));
    let mut by = words::balance(&settings.balance).to_owned();
    let checks = match &settings.health_check {
        Some(_) => "; health checks decide further",
        None => "",
    };
    let cluster = Cluster::new(settings);
    cluster.set_endpoints(list.to_vec());
    if by_hash {
        let picked = hash.and_then(|hash| {
            cluster.pick_by(Preference {
                hash: Some(hash),
                ..Preference::default()
            })
        });
        by = match picked {
            Some(endpoint) => format!("{by}: this request goes to {}", endpoint.address()),
            None => format!("{by}, and the request has nothing to hash: by chance"),
        };
    }
    page.text("balanced by", format!("{by}{checks}"));
    let mut priorities: BTreeMap<u32, usize> = BTreeMap::new();
    for endpoint in list
        .iter()
        .filter(|endpoint| endpoint.health() > Health::Unhealthy)
    {
        *priorities.entry(endpoint.priority()).or_default() += 1;
    }
    let first = priorities.keys().next().copied();
    let texts = list.iter().map(|endpoint| {
        let asked = match (endpoint.health(), first) {
            (Health::Unhealthy, Some(_)) => "not asked while others can be",
            (Health::Unhealthy, None) => "asked all the same, as no other is better",
            (_, Some(first)) if endpoint.priority() > first => "asked where those before cannot bear it",
            _ => "asked",
        };
        format!("{}: {asked}", describe(endpoint))
    });
    page.list("endpoints", words::at_most(texts.collect(), CANDIDATES_SHOWN_MAX));
}

fn describe(endpoint: &Endpoint) -> String {
    let mut text = endpoint.address().to_string();
    if let Some(name) = endpoint.hostname() {
        text.push_str(&format!(" ({name})"));
    }
    text.push_str(match endpoint.status() {
        Status::Healthy => ", healthy",
        Status::Degraded => ", degraded",
        Status::Unhealthy => ", unhealthy",
        Status::Draining => ", draining",
    });
    if endpoint.weight() != 1 {
        text.push_str(&format!(", weight {}", endpoint.weight()));
    }
    if endpoint.priority() != 0 {
        text.push_str(&format!(", priority {}", endpoint.priority()));
    }
    if let Some(locality) = endpoint.locality() {
        let parts = [&locality.region, &locality.zone, &locality.sub_zone];
        let parts: Vec<&str> = parts
            .iter()
            .map(|part| &***part)
            .filter(|part| !part.is_empty())
            .collect();
        if !parts.is_empty() {
            text.push_str(&format!(", in {}", parts.join("/")));
        }
    }
    text
}
