//! What does the change of a resource cost?

use tidegate_xds::resource::Kind;
use tidegate_xds::text::Json;
use tidegate_xds::translate::cluster::cluster;
use tidegate_xds::translate::endpoints::endpoints;
use tidegate_xds::translate::listener::{ListenerConfig, listener};
use tidegate_xds::translate::routes::routes;
use tidegate_xds::translate::{Context, Reject, secret};

use super::fields::{Items, items};
use crate::resources::Resource;

/// What it means for connections and requests.
pub(super) fn of(old: &Resource, new: &Resource, (before, after): (&Json, &Json)) -> Vec<String> {
    match new.kind {
        Kind::Cluster => of_cluster(old, new),
        Kind::Listener => of_listener(old, new),
        Kind::Routes => {
            let hosts = |json: &Json| match json.get("virtual_hosts") {
                Some(Json::List(hosts)) => hosts.clone(),
                _ => Vec::new(),
            };
            counted("virtual hosts", &items(&hosts(before), &hosts(after)))
        }
        Kind::Endpoints => counted("endpoints", &items(&addresses(before), &addresses(after))),
        Kind::Secret => vec!["new connections are made with it; those that stand stay".to_owned()],
        Kind::Runtime => Vec::new(),
    }
}

fn of_cluster(old: &Resource, new: &Resource) -> Vec<String> {
    let context = Context::default();
    let read = |resource: &Resource| cluster(&resource.raw.body, &context).ok();
    let text = match (read(old), read(new)) {
        (Some(old), Some(new)) if old.fingerprint == new.fingerprint => {
            "endpoints only: the cluster and its connections stay"
        }
        (Some(_), Some(_)) => "settings: the cluster is made anew, warms, and opens connections of its own",
        _ => return Vec::new(),
    };
    vec![text.to_owned()]
}

fn of_listener(old: &Resource, new: &Resource) -> Vec<String> {
    let context = Context::default();
    let read = |resource: &Resource| listener(&resource.raw.body, &context).ok();
    let (Some(old), Some(new)) = (read(old), read(new)) else {
        return Vec::new();
    };
    if old.addresses != new.addresses {
        return vec!["it listens elsewhere: it is closed and opened again".to_owned()];
    }
    let hashes = |config: &ListenerConfig| -> Vec<u128> {
        let chains = config.chains.iter().chain(&config.default_chain);
        chains.map(|chain| chain.hash).collect()
    };
    let (old, new) = (hashes(&old), hashes(&new));
    let kept = old.iter().filter(|hash| new.contains(hash)).count();
    let gone = old.len() - kept;
    let fresh = new.len() - kept;
    vec![format!(
        "in place: {kept} filter chains stay, {fresh} are new, the connections of {gone} are drained"
    )]
}

/// The endpoints of an assignment, each with what stands around it.
fn addresses(json: &Json) -> Vec<Json> {
    let list = |json: &Json, field: &str| match json.get(field) {
        Some(Json::List(items)) => items.clone(),
        _ => Vec::new(),
    };
    let groups = list(json, "endpoints").into_iter();
    groups.flat_map(|group| list(&group, "lb_endpoints")).collect()
}

fn counted(what: &str, items: &Items) -> Vec<String> {
    let lists = [
        ("added", &items.added),
        ("removed", &items.removed),
        ("changed", &items.changed),
    ];
    let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
    lists
        .map(|(how, names)| format!("{what} {how}: {}", names.join(", ")))
        .collect()
}

/// What the proxy would say of a resource that it refuses.
pub(super) fn refusal(resource: &Resource) -> Option<String> {
    let (context, body) = (Context::default(), &resource.raw.body);
    let read: Result<(), Reject> = match resource.kind {
        Kind::Cluster => cluster(body, &context).map(drop),
        Kind::Listener => listener(body, &context).map(drop),
        Kind::Routes => routes(body, &[], &context).map(drop),
        Kind::Endpoints => endpoints(body, &context).map(drop),
        Kind::Secret => secret::secret(body, &context).map(drop),
        Kind::Runtime => Ok(()),
    };
    let reject = read.err()?;
    Some(format!("{}: {}: {reject}", resource.place, resource.raw.name))
}
