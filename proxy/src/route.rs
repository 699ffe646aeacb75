//! Which virtual host and route a request belongs to, and what the route says about it.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};

use crate::cluster::Cluster;
use crate::config::Snapshot;
use crate::layers::Layers;

pub mod domain;
pub mod policy;
pub mod split;

pub use domain::{Domain, InvalidDomain};
pub use policy::ForwardPolicy;
pub use split::{InvalidSplit, Split, WeightedCluster};

/// The hosts of a snapshot: exact names, then the longest `*.suffix`, then `*`.
#[derive(Debug, Default)]
pub struct VirtualHosts {
    exact: HashMap<Box<str>, Arc<VirtualHost>>,
    suffixes: HashMap<Box<str>, Arc<VirtualHost>>,
    any: Option<Arc<VirtualHost>>,
}

/// A group of hosts that share their routes.
#[derive(Debug)]
pub struct VirtualHost {
    /// The name that metrics and explanations show.
    pub name: Arc<str>,
    /// The hosts that it answers.
    pub domains: Vec<Domain>,
    /// The routes, in the order in which they are tried.
    pub routes: Vec<Arc<Route>>,
}

/// What to do with the requests that match.
#[derive(Debug)]
pub struct Route {
    /// The requests that it takes.
    pub matcher: Matcher,
    /// What happens to them.
    pub action: Action,
    /// Foreign layers between the route and the upstream; most routes have none and pay nothing.
    pub layers: Option<Layers>,
    /// Deadlines and further tries; `None` costs nothing and is the default of [`ForwardPolicy`].
    pub policy: Option<Arc<ForwardPolicy>>,
}

/// The requests that a route takes: every condition has to hold.
#[derive(Debug, Default)]
pub struct Matcher {
    /// The path starts with this; empty takes every path.
    pub path_prefix: Box<str>,
    /// These fields have exactly these values.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// What a route does.
#[derive(Debug)]
pub enum Action {
    /// Forwards to one of several clusters, by weight.
    Forward(Split),
    /// Answers by itself.
    Respond(StatusCode, &'static str),
}

/// Where a request was found to go.
pub(crate) struct Found {
    pub(crate) route: Arc<Route>,
    pub(crate) destination: Destination,
}

/// What [`find`] decided beyond the route.
pub(crate) enum Destination {
    Cluster(Arc<Cluster>, HeaderEdits),
    Missing(Arc<str>),
    Response(StatusCode, &'static str),
}

/// Fields that are set on the way to an upstream, replacing what the client sent.
pub type HeaderEdits = Arc<[(HeaderName, HeaderValue)]>;

/// Finds the route of a normalised request: its host without port, its path as it stands.
pub(crate) fn find<B>(snapshot: &Snapshot, host: &str, request: &Request<B>) -> Option<Found> {
    let virtual_host = snapshot.hosts().find(host)?;
    let path = request.uri().path();
    let route = virtual_host
        .routes
        .iter()
        .find(|route| route.matcher.matches(path, request.headers()))?;
    let destination = match &route.action {
        Action::Respond(status, text) => Destination::Response(*status, text),
        Action::Forward(split) => {
            let choice = split.pick();
            match snapshot.cluster(&choice.cluster) {
                Some(cluster) => {
                    Destination::Cluster(Arc::clone(cluster), Arc::clone(&choice.request_headers))
                }
                None => Destination::Missing(Arc::clone(&choice.cluster)),
            }
        }
    };
    Some(Found {
        route: Arc::clone(route),
        destination,
    })
}

impl VirtualHosts {
    /// Indexes hosts by domain. Of two that claim a domain the first has it.
    pub fn new(hosts: impl IntoIterator<Item = VirtualHost>) -> Self {
        let mut index = Self::default();
        for host in hosts.into_iter().map(Arc::new) {
            for domain in &host.domains {
                let host = Arc::clone(&host);
                match domain {
                    Domain::Any => _ = index.any.get_or_insert(host),
                    Domain::Exact(name) => _ = index.exact.entry(name.clone()).or_insert(host),
                    Domain::Suffix(suffix) => _ = index.suffixes.entry(suffix.clone()).or_insert(host),
                }
            }
        }
        index
    }

    /// The virtual host for `host`, which is lower-case and has no port.
    ///
    /// Costs one look-up for an exact name, and at most one a label where only a suffix matches.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&Arc<VirtualHost>> {
        if let Some(found) = self.exact.get(host) {
            return Some(found);
        }
        if !self.suffixes.is_empty() {
            let dots = host.match_indices('.').filter(|(at, _)| *at > 0);
            let suffixes = dots.filter_map(|(at, _)| host.get(at..));
            if let Some(found) = suffixes.filter_map(|suffix| self.suffixes.get(suffix)).next() {
                return Some(found);
            }
        }
        self.any.as_ref()
    }
}

impl Matcher {
    fn matches(&self, path: &str, headers: &HeaderMap) -> bool {
        path.starts_with(&*self.path_prefix)
            && self
                .headers
                .iter()
                .all(|(name, value)| headers.get(name) == Some(value))
    }
}

impl Route {
    /// A route that takes every request and forwards it by `split`, without layers.
    #[must_use]
    pub fn forward(split: Split) -> Self {
        Self {
            matcher: Matcher::default(),
            action: Action::Forward(split),
            layers: None,
            policy: None,
        }
    }
}

#[cfg(test)]
mod tests;
