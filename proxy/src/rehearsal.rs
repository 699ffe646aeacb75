//! What would become of a request, step by step, without anything being sent; for explanations.
//!
//! ```
//! use http::Request;
//! use tidegate_proxy::Body;
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::rehearsal::{Client, Rehearsal};
//!
//! let rehearsal = Rehearsal::new(HttpSettings::default(), Client::default());
//! let mut request = Request::get("http://A.example/public/../private").body(Body::empty())?;
//! let arrived = rehearsal.arrive(&mut request)?;
//! assert_eq!((arrived.host.name(), request.uri().path()), ("a.example", "/private"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, Request, StatusCode};

use crate::body::Body;
use crate::config::http::HttpSettings;
use crate::config::manners::Before;
use crate::connection::{Peer, TlsFacts};
use crate::error::{Error, Kind};
use crate::filter::{FilterOverrides, named};
use crate::listener::chain::Chain;
use crate::normalize::host::Host;
use crate::normalize::path;
use crate::route::headers::Levels;
use crate::route::{
    Chosen, Forward, Found, Redirect, Route, RouteTable, VirtualHost, WeightedCluster, apply,
};

/// Who sends the request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Where it is, if that is known.
    pub address: Option<SocketAddr>,
    /// Where it connected to, if that is known.
    pub destination: Option<SocketAddr>,
}

/// A connection on which requests are rehearsed. It shares the code of real ones.
#[derive(Debug)]
pub struct Rehearsal {
    peer: Peer,
}

/// What was found out about a request before its route is looked for.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Which host it is for.
    pub host: Host,
    /// Whether the client is sent to the normalised path instead of being served.
    pub own_path: bool,
    client: Option<HeaderValue>,
}

/// A route with what stands around it.
#[derive(Clone, Copy, Debug)]
pub struct Stop<'a> {
    /// The table.
    pub table: &'a RouteTable,
    /// The virtual host.
    pub host: &'a VirtualHost,
    /// The route.
    pub route: &'a Arc<Route>,
    /// The share of the split that takes the request, if there is a split.
    pub share: Option<&'a WeightedCluster>,
}

impl Rehearsal {
    /// A connection to a chain that speaks HTTP like this. Its filters do not run.
    pub fn new(http: impl Into<Arc<HttpSettings>>, client: Client) -> Self {
        let peer =
            Peer::of(Arc::new(Chain::speaking(http))).with_addresses(client.address, client.destination);
        Self {
            peer: match client.tls {
                true => peer.with_tls(TlsFacts::nothing()),
                false => peer,
            },
        }
    }

    /// Brings a request into the form that routes match.
    ///
    /// # Errors
    /// When it is refused before a route is looked for.
    pub fn arrive(&self, request: &mut Request<Body>) -> Result<Arrived, Error> {
        let head = crate::normalize::head(request, &self.peer)?;
        if let Some(manners) = &self.peer.http().manners {
            manners.on_request(request, head.client.as_ref().or_else(|| self.peer.ip_text()));
        }
        Ok(Arrived {
            host: head.host,
            own_path: head.redirect == path::Redirect::Yes,
            client: head.client,
        })
    }

    /// Makes of a request that arrived what its upstream gets, and gives what it hashes to, if anything. What differs from try to
    /// try, such as an `x-request-id` that is made, is left out.
    ///
    /// # Errors
    /// When it is refused.
    pub fn forward(
        &self,
        stop: Stop<'_>,
        forward: &Forward,
        arrived: &Arrived,
        request: &mut Request<Body>,
    ) -> Result<Option<u64>, Error> {
        apply::within_limits(forward, &self.peer, request)?;
        let found = stop.found(arrived);
        let manners = self.peer.http().manners.as_deref();
        let before = Before::of(request, &found, forward);
        let hashed = apply::to_request(&found, forward, &self.peer, request)?;
        if let Some(manners) = manners {
            manners.on_rewrite(request, &before);
            manners.on_deadline(request, stop.route.policy.as_deref(), false);
        }
        Ok(hashed.hash)
    }

    /// Where a redirect sends a request that arrived.
    ///
    /// # Errors
    /// When that is no URL.
    pub fn location(
        &self,
        redirect: &Redirect,
        route: &Route,
        request: &Request<Body>,
    ) -> Result<HeaderValue, Error> {
        redirect.location(request, &route.matcher.path, &self.peer.http().path)
    }

    /// With which status an error is answered.
    #[must_use]
    pub fn status(&self, kind: Kind) -> StatusCode {
        let manners = self.peer.http().manners.as_deref();
        let reply = manners.and_then(|manners| manners.replies.as_ref()?.get(kind));
        reply.and_then(|reply| reply.status).unwrap_or(kind.row().status)
    }
}

impl Stop<'_> {
    fn found(&self, arrived: &Arrived) -> Found {
        let settings = self.table.settings();
        let share = self.share.map(|share| share.headers.clone());
        Found {
            again: false,
            virtual_host: None,
            route: Arc::clone(self.route),
            chosen: Chosen::Missing,
            levels: Levels {
                share: share.unwrap_or_default(),
                host: self.host.headers.clone(),
                table: settings.headers.clone(),
                order: settings.order,
            },
            overrides: named::Levels {
                share: FilterOverrides::default(),
                route: self.route.overrides.clone(),
                host: self.host.overrides.clone(),
                table: settings.overrides.clone(),
            },
            host: self.share.and_then(|share| share.host.clone()),
            client: arrived.client.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
