//! `envoy.config.route.v3.RouteConfiguration` as a route table.
//!
//! A route configuration is split into its virtual hosts on the wire, and only those whose bytes nobody has read before are
//! decoded: of a push of 40 000 virtual hosts one of which is new, all others are hashed and indexed.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::route::v3 as pb;
use prost::Message;
use tidegate_proxy::process::give_way;
use tidegate_proxy::route::{
    Domain, MutationOrder, PortMatching, RouteTable, TableSettings, VirtualHost, VirtualHosts,
};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::any::unsupported_field;
use super::headers::HeaderLists;
use super::notes::Notes;
use super::{Context, Note, Reject, filter, unknown};

mod action;
mod check;
mod direct;
mod hash;
mod host;
mod matching;
mod mirrors;
mod detours;
mod named;
mod policy;
mod reading;
mod redirect;
mod rewrite;
mod shared;
mod wire;

pub(crate) use matching::header;
pub(crate) use policy::OF_CLUSTER;
use reading::Reading;
pub(crate) use shared::Shared;

/// A route configuration: its table, and what it needs of others.
#[derive(Clone, Debug)]
pub struct RoutesConfig {
    /// Its name.
    pub name: Arc<str>,
    /// The table, which shares with the one before what did not change.
    pub table: Arc<RouteTable>,
    /// The virtual hosts in order, each with the hash of its bytes, for the next change to share.
    pub hosts: Arc<[(u128, HostConfig)]>,
    /// Whether a cluster that is not there rejects it (`validate_clusters`); `None` leaves it to where it came from: true inline,
    /// false by RDS.
    pub validate_clusters: Option<bool>,
    /// What has no effect, also of its virtual hosts; at most [`limits::NOTES_MAX`](crate::limits::NOTES_MAX).
    pub notes: Vec<Note>,
}

/// One virtual host as it was read; there are many, and clones share all of it.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The virtual host.
    pub host: Arc<VirtualHost>,
    /// The clusters that its routes name, with the field that names them: Envoy words the two differently.
    pub clusters: Arc<[ClusterName]>,
    /// What has no effect; absent where everything has.
    pub notes: Option<Arc<Vec<Note>>>,
}

/// A cluster as a route names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClusterName {
    /// `cluster`: `route: unknown cluster '…'` when it is not there.
    Whole(Arc<str>),
    /// One of `weighted_clusters`: `route: unknown weighted cluster '…'`.
    Weighted(Arc<str>),
    /// A mirror of requests: `route: unknown shadow cluster '…'`.
    Mirror(Arc<str>),
}

/// Reads a route configuration. What is as in one of `before`, the one that it replaces or another, is not read again but shared.
///
/// # Errors
/// When Envoy would refuse it, in Envoy's words.
pub fn routes(body: &Bytes, before: &[&RoutesConfig], context: &Context) -> Result<RoutesConfig, Reject> {
    sharing(body, before, &mut Shared::default(), context)
}

/// The same, of one of several that come together: what they have in common is made once.
///
/// # Errors
/// As [`routes`].
pub(crate) fn sharing(
    body: &Bytes,
    before: &[&RoutesConfig],
    shared: &mut Shared,
    context: &Context,
) -> Result<RoutesConfig, Reject> {
    let parts = wire::split(body)?;
    let table = &parts.table;
    check::table(table)?;
    let mut notes = Notes::default();
    unknown::check(table, &parts.rest, context, &mut notes)?;
    let settings = settings(table, &mut notes);
    let same = before.iter().copied().find(|before| *before.name == table.name);
    let hosts = hosts((&parts, before, same), shared, context);
    // A broken constraint of a virtual host refuses the response before anything else is looked at.
    let (settings, (hosts, index)) = match (settings, hosts) {
        (_, Err(broken @ Reject::Message(_))) | (Err(broken), _) | (_, Err(broken)) => return Err(broken),
        (Ok(settings), Ok(hosts)) => (settings, hosts),
    };
    for noted in hosts.iter().filter_map(|(_, host)| host.notes.as_ref()) {
        notes.extend(noted.iter());
    }
    Ok(RoutesConfig {
        name: table.name.as_str().into(),
        table: Arc::new(RouteTable::of(settings, index)),
        hosts: hosts.into(),
        validate_clusters: table.validate_clusters.as_ref().map(|validate| validate.value),
        notes: notes.into_list(),
    })
}

type Hosts = Vec<(u128, HostConfig)>;

/// The virtual hosts of a table, and where their domains are: those of `before` that are the same, and the rest read. `same` is the
/// table's own predecessor, in which most are at the same place.
fn hosts(
    (parts, before, same): (&wire::Parts, &[&RoutesConfig], Option<&RoutesConfig>),
    shared: &mut Shared,
    context: &Context,
) -> Result<(Hosts, VirtualHosts), Reject> {
    let mut known = None;
    let mut find = |index: usize, hash: u128| {
        let there = same.and_then(|same| same.hosts.get(index));
        if let Some((_, host)) = there.filter(|(known, _)| *known == hash) {
            return Some(host);
        }
        let known = known.get_or_insert_with(|| {
            let before = before.iter().flat_map(|before| &*before.hosts);
            let before = before.inspect(|_| give_way());
            let known: HashMap<u128, &HostConfig> = before.map(|(hash, host)| (*hash, host)).collect();
            known
        });
        known.get(&hash).copied()
    };
    let mut reading = Reading::new(&parts.table, shared, context);
    let seed = reading.seed();
    reading.shared.begin(seed);
    let mut hosts = Vec::with_capacity(parts.hosts.len());
    let mut refused = None;
    for (index, bytes) in parts.hosts.iter().enumerate() {
        give_way();
        let hash = xxh3_128_with_seed(bytes, seed);
        if let Some(host) = find(index, hash) {
            if refused.is_none() {
                hosts.push((hash, host.clone()));
            }
            continue;
        }
        let host = pb::VirtualHost::decode(bytes.clone()).map_err(wire::undecodable)?;
        check::host(index, &host)?;
        if refused.is_none() {
            match reading.host(&host, bytes) {
                Ok(host) => hosts.push((hash, host)),
                // What comes behind it may still break a constraint, which counts first.
                Err(reject) => refused = Some(reject),
            }
        }
    }
    // Of what is refused for its meaning, Envoy says what comes first.
    let all = hosts.iter().inspect(|_| give_way());
    let all = all.map(|(_, host)| Arc::clone(&host.host));
    let index = match same {
        Some(same) => VirtualHosts::after(same.table.hosts(), all),
        None => VirtualHosts::new(all),
    };
    distinct(&parts.table.name, &index)?;
    refused.map_or(Ok((hosts, index)), Err)
}

/// No two virtual hosts may claim a domain.
fn distinct(table: &str, hosts: &VirtualHosts) -> Result<(), Reject> {
    match hosts.repeated() {
        None => Ok(()),
        Some(Domain::Any) => Err(Reject::Resource(format!(
            "Only a single wildcard domain is permitted in route {table}"
        ))),
        Some(domain) => Err(Reject::Resource(format!(
            "Only unique values for domains are permitted. Duplicate entry of domain {domain} in route {table}"
        ))),
    }
}

/// What holds for all virtual hosts, and what of it is not done.
fn settings(table: &pb::RouteConfiguration, notes: &mut Notes) -> Result<TableSettings, Reject> {
    let unsupported = [
        ("vhds", table.vhds.is_some()),
        ("internal_only_headers", !table.internal_only_headers.is_empty()),
        (
            "cluster_specifier_plugins",
            !table.cluster_specifier_plugins.is_empty(),
        ),
        ("vhost_header", !table.vhost_header.is_empty()),
        ("route_specifiers", !table.route_specifiers.is_empty()),
    ];
    for (field, is_set) in unsupported {
        if is_set {
            return Err(unsupported_field("route_config", field));
        }
    }
    let lists = HeaderLists {
        request_add: &table.request_headers_to_add,
        request_remove: &table.request_headers_to_remove,
        response_add: &table.response_headers_to_add,
        response_remove: &table.response_headers_to_remove,
    };
    Ok(TableSettings {
        headers: lists.mutations(notes)?,
        overrides: filter::overrides(&table.typed_per_filter_config)?,
        order: if table.most_specific_header_mutations_wins {
            MutationOrder::MostSpecificLast
        } else {
            MutationOrder::TableLast
        },
        ports: if table.ignore_port_in_host_matching {
            PortMatching::Ignored
        } else {
            PortMatching::Significant
        },
    })
}

impl RoutesConfig {
    /// The first cluster that it names and `known` does not have, in the order of its routes, as Envoy's message says it.
    pub fn unknown_cluster(&self, known: impl Fn(&str) -> bool) -> Option<String> {
        let mut before = None;
        for (_, HostConfig { clusters, .. }) in &*self.hosts {
            give_way();
            // Hosts of one service come one after the other, and share their list.
            if before.is_some_and(|before| Arc::ptr_eq(before, clusters)) {
                continue;
            }
            if let Some(unknown) = clusters.iter().find(|cluster| !known(cluster.name())) {
                return Some(unknown.unknown());
            }
            before = Some(clusters);
        }
        None
    }
}

impl ClusterName {
    /// The name alone.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Whole(name) | Self::Weighted(name) | Self::Mirror(name) => name,
        }
    }

    /// What Envoy says when there is no such cluster.
    fn unknown(&self) -> String {
        match self {
            Self::Whole(name) => format!("route: unknown cluster '{name}'"),
            Self::Weighted(name) => format!("route: unknown weighted cluster '{name}'"),
            Self::Mirror(name) => format!("route: unknown shadow cluster '{name}'"),
        }
    }
}

#[cfg(test)]
mod tests;
