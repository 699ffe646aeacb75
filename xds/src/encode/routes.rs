//! Route tables as `envoy.config.route.v3.RouteConfiguration`.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::google::protobuf::BoolValue;
use prost::Message;
use tidegate_proxy::route::{
    Destination, Domain, MutationOrder, PortMatching, RouteTable, TableSettings, VirtualHost,
};

use super::mutations::lists;
use super::route::{no_overrides, route};
use super::{Encoder, Unsupported};
use crate::resource::Kind;
use crate::server::{Reference, Resource};

impl Encoder {
    /// A route configuration of these virtual hosts. Of two that claim a domain the first has it, as in a [`RouteTable`].
    ///
    /// # Errors
    /// When one of them does something that Envoy cannot be told.
    pub fn routes<'a>(
        &self,
        name: &str,
        settings: &TableSettings,
        hosts: impl IntoIterator<Item = &'a VirtualHost>,
    ) -> Result<Resource, Unsupported> {
        let hosts: Vec<_> = hosts.into_iter().collect();
        let ports = Ports::of(settings, &hosts);
        let (mut taken, mut clusters) = (BTreeSet::new(), BTreeSet::new());
        let mut virtual_hosts = Vec::with_capacity(hosts.len());
        for host in &hosts {
            let domains = ports.domains(host, &mut taken);
            let host = domains.and_then(|domains| virtual_host(host, domains, &mut clusters));
            let host = host.map_err(|error| error.within(&format!("route table '{name}'")))?;
            virtual_hosts.extend(host);
        }
        let headers = no_overrides(&settings.overrides).and_then(|()| lists(&settings.headers));
        let headers = headers.map_err(|error| error.within(&format!("route table '{name}'")))?;
        let configuration = pb::RouteConfiguration {
            name: name.to_owned(),
            virtual_hosts,
            request_headers_to_add: headers.request_add,
            request_headers_to_remove: headers.request_remove,
            response_headers_to_add: headers.response_add,
            response_headers_to_remove: headers.response_remove,
            most_specific_header_mutations_wins: settings.order == MutationOrder::MostSpecificLast,
            ignore_port_in_host_matching: ports == Ports::Ignored,
            // A cluster that is missing is 503, as in a snapshot, and no reason to keep old routes.
            validate_clusters: Some(BoolValue { value: false }),
            ..pb::RouteConfiguration::default()
        };
        let references = clusters.into_iter().map(|name| Reference {
            kind: Kind::Cluster,
            name,
        });
        Ok(Resource::new(name, configuration.encode_to_vec()).naming(references))
    }

    /// The route configuration of a table, its virtual hosts in the order of their names and domains.
    ///
    /// # Errors
    /// As [`Encoder::routes`].
    pub fn table(&self, name: &str, table: &RouteTable) -> Result<Resource, Unsupported> {
        let mut hosts: Vec<&Arc<VirtualHost>> = table.hosts().domains().map(|(_, host)| host).collect();
        hosts.sort_unstable_by_key(|host| Arc::as_ptr(host));
        hosts.dedup_by_key(|host| Arc::as_ptr(host));
        let domains = |host: &VirtualHost| {
            host.domains()
                .map(|domain| domain.to_string())
                .collect::<Vec<_>>()
        };
        hosts.sort_by_cached_key(|host| (host.name().to_owned(), domains(host)));
        self.routes(name, table.settings(), hosts.into_iter().map(AsRef::as_ref))
    }
}

/// How domains have to be written so that ports mean what a table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ports {
    /// As they are: the port is a part of a host.
    Significant,
    /// As they are, and the port of a request's host is not looked at.
    Ignored,
    /// Each without a port once more with any.
    Either,
}

impl Ports {
    fn of(settings: &TableSettings, hosts: &[&VirtualHost]) -> Self {
        let mut domains = hosts.iter().flat_map(|host| host.domains());
        match settings.ports {
            PortMatching::Significant => Self::Significant,
            PortMatching::Ignored => Self::Ignored,
            // Where no domain has a port, it makes no difference.
            PortMatching::Either if !domains.any(|domain| domain.has_port()) => Self::Ignored,
            PortMatching::Either => Self::Either,
        }
    }

    fn domains(self, host: &VirtualHost, taken: &mut BTreeSet<String>) -> Result<Vec<String>, Unsupported> {
        let mut domains = Vec::new();
        for domain in host.domains() {
            let text = domain.to_string();
            if self == Self::Either && !domain.has_port() {
                match &domain {
                    Domain::Exact(name) => domains.push(format!("{name}:*")),
                    Domain::Suffix(_) => {
                        let what = "a suffix with any port beside domains with a port";
                        return Err(Unsupported::new(format!("{}: {text}", host.name()), what));
                    }
                    Domain::Any | Domain::Prefix(_) => {}
                }
            }
            domains.push(text);
        }
        domains.retain(|domain| taken.insert(domain.clone()));
        Ok(domains)
    }
}

/// A virtual host; none where others have all its domains.
fn virtual_host(
    host: &VirtualHost,
    domains: Vec<String>,
    clusters: &mut BTreeSet<Arc<str>>,
) -> Result<Option<pb::VirtualHost>, Unsupported> {
    if domains.is_empty() {
        return Ok(None);
    }
    let within = |error: Unsupported| error.within(&format!("virtual host '{}'", host.name()));
    let headers = no_overrides(&host.overrides)
        .and_then(|()| lists(&host.headers))
        .map_err(within)?;
    let mut routes = Vec::with_capacity(host.routes.len());
    for (number, one) in host.routes.iter().enumerate() {
        let encoded = route(one).map_err(|error| within(error.within(&format!("routes[{number}]"))))?;
        routes.push(encoded);
        if let Some(Destination::Split(split)) = one.as_forward().map(|forward| &forward.to) {
            clusters.extend(split.parts().iter().map(|part| Arc::clone(&part.cluster)));
        }
    }
    Ok(Some(pb::VirtualHost {
        name: host.name().to_owned(),
        domains,
        routes,
        request_headers_to_add: headers.request_add,
        request_headers_to_remove: headers.request_remove,
        response_headers_to_add: headers.response_add,
        response_headers_to_remove: headers.response_remove,
        ..pb::VirtualHost::default()
    }))
}
