//! Which virtual host and route a request belongs to, and what the route says about it.
//!
//! ```
//! use http::{Request, StatusCode};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::route::{Domain, PathMatch, Route, VirtualHost};
//! use tidegate_proxy::{Body, Proxy};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut health = Route::respond(StatusCode::OK, "fine");
//! health.matcher.path = PathMatch::exact("/health");
//! let rest = Route::respond(StatusCode::NOT_FOUND, "nothing here");
//! // The first route that matches takes a request.
//! let host = VirtualHost::new("a", [Domain::parse("*.example")?], [health, rest]);
//! let (_drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::new(Snapshot::new([host], [])), watch);
//!
//! let request = Request::get("http://a.example/health?verbose").body(Body::empty())?;
//! assert_eq!(proxy.oneshot(request).await?.status(), StatusCode::OK);
//! # Ok(()) }
//! ```

use std::sync::{Arc, LazyLock};

use http::header::{HOST, HeaderValue};
use http::{Request, StatusCode};

use crate::cluster::Cluster;
use crate::config::Snapshot;
use crate::connection::Peer;
use crate::filter::{FilterOverrides, Filters, named};
use crate::layers::Layers;
use crate::normalize::host::Host;

pub mod action;
pub(crate) mod apply;
pub mod domain;
pub mod format;
pub mod hash;
pub mod headers;
mod host;
pub mod invalid;
pub mod matcher;
pub mod pattern;
pub mod policy;
pub mod redirect;
pub mod rewrite;
mod shared;
pub mod split;
pub mod table;
pub mod text;

pub use action::{Action, Destination, DirectResponse, Forward, RouteLimits, Upgrades};
pub use domain::{Domain, InvalidDomain};
pub use format::Template;
pub use hash::{AffinityCookie, HashPolicy};
pub use headers::{HeaderMutations, Mutation, MutationOrder, MutationRule, Write};
pub(crate) use host::HostName;
pub use host::VirtualHost;
pub use invalid::InvalidField;
pub use matcher::path::{PathMatch, PathRule};
pub use matcher::{CookieMatch, Fraction, HeaderMatch, Matcher, ProtocolMatch, QueryMatch, Rule};
pub use pattern::{Pattern, Substitution};
pub use policy::{
    FollowRedirects, ForwardPolicy, Mirror, MirrorHost, MirrorTo, Repeat, Resend, RetryBudget, RetryOn,
    RetryPolicy, RouteTimeouts, Schemes, TryCount,
};
pub use redirect::{Redirect, RedirectPath, RedirectPathRule, RedirectQuery, RedirectScheme, RedirectStatus};
pub use rewrite::{HostRewrite, HostRewriteRule, Original, PathRewrite, PathRewriteRule};
pub use shared::Shared;
pub use split::{InvalidSplit, Split, WeightedCluster};
pub use table::{PortMatching, RouteTable, TableSettings, VirtualHosts};
pub use text::{Case, TextMatch, TextRule};

use headers::Levels;

/// What to do with the requests that match.
#[derive(Debug)]
pub struct Route {
    /// The name that access logs and explanations show, if it has one.
    pub name: Option<Arc<str>>,
    /// The requests that it takes.
    pub matcher: Shared<Matcher>,
    /// What happens to them.
    pub action: Action,
    /// Changes to the fields of its requests and responses. Default: none.
    pub headers: HeaderMutations,
    /// What may stop or edit its requests before they go through the layers. Default: nothing.
    pub filters: Filters,
    /// What becomes of the listener's filters. Default: nothing.
    pub overrides: FilterOverrides,
    /// Foreign layers between the route and the upstream; most routes have none and pay nothing.
    pub layers: Option<Layers>,
    /// Deadlines and further tries; `None` costs nothing and is the default of [`ForwardPolicy`].
    pub policy: Option<Arc<ForwardPolicy>>,
}

/// Where a request was found to go.
pub(crate) struct Found {
    /// Absent where there is none.
    pub(crate) virtual_host: Option<Arc<VirtualHost>>,
    pub(crate) route: Arc<Route>,
    pub(crate) chosen: Chosen,
    pub(crate) levels: Levels,
    pub(crate) overrides: named::Levels,
    /// What becomes of the host, where the share of a split says so.
    pub(crate) host: Option<Arc<HostRewrite>>,
    /// The client's address where it is not the connection's.
    pub(crate) client: Option<HeaderValue>,
    /// Whether it was looked for more than once.
    pub(crate) again: bool,
}

/// What [`find`] decided beyond the route.
pub(crate) enum Chosen {
    Cluster(Arc<Cluster>),
    /// The route names a cluster that is not there, or the request names none.
    Missing,
    /// The route needs no cluster.
    None,
    /// The client has to ask for the normalised path itself, before anything else happens.
    OwnPath,
    /// There is no route; the listener's filters see the request all the same.
    Nowhere,
}

/// Finds the route of a normalised request in one of a snapshot's tables.
pub(crate) fn find<B>(snapshot: &Snapshot, table: &str, host: &Host, request: &Request<B>) -> Option<Found> {
    let table = snapshot.table(table)?;
    let virtual_host = table.find(host)?;
    let route = virtual_host
        .routes
        .iter()
        .find(|route| route.matcher.matches(request))?;
    let mut levels = Levels {
        share: HeaderMutations::default(),
        host: virtual_host.headers.clone(),
        table: table.settings().headers.clone(),
        order: table.settings().order,
    };
    let mut overrides = named::Levels {
        share: FilterOverrides::default(),
        route: route.overrides.clone(),
        host: virtual_host.overrides.clone(),
        table: table.settings().overrides.clone(),
    };
    let mut host_of_share = None;
    let cluster = match &route.action {
        Action::Respond(_) | Action::Redirect(_) => {
            return Some(Found {
                virtual_host: Some(Arc::clone(virtual_host)),
                route: Arc::clone(route),
                chosen: Chosen::None,
                levels,
                overrides,
                host: None,
                client: None,
                again: false,
            });
        }
        Action::Forward(forward) => match &forward.to {
            Destination::Split(split) => {
                let share = split.pick();
                levels.share = share.headers.clone();
                overrides.share = share.overrides.clone();
                host_of_share.clone_from(&share.host);
                snapshot.cluster(&share.cluster)
            }
            Destination::Header(name) => {
                let named = request.headers().get(name);
                let named = named.and_then(|value: &HeaderValue| value.to_str().ok());
                named.and_then(|name| snapshot.cluster(name))
            }
        },
    };
    Some(Found {
        virtual_host: Some(Arc::clone(virtual_host)),
        route: Arc::clone(route),
        chosen: cluster.map_or(Chosen::Missing, |cluster| Chosen::Cluster(Arc::clone(cluster))),
        levels,
        overrides,
        host: host_of_share,
        client: None,
        again: false,
    })
}

impl Found {
    /// A request without a route, for the filters that see it too.
    pub(crate) fn nowhere() -> Self {
        static NOWHERE: LazyLock<Arc<Route>> =
            LazyLock::new(|| Arc::new(Route::respond(StatusCode::NOT_FOUND, "")));
        Self {
            virtual_host: None,
            route: Arc::clone(&NOWHERE),
            chosen: Chosen::Nowhere,
            levels: Levels::default(),
            overrides: named::Levels::default(),
            host: None,
            client: None,
            again: false,
        }
    }

    /// Looks for the route once more, as the request is other than it was. Who its client is stays, and what becomes of its path.
    pub(crate) fn again<B>(&mut self, snapshot: &Snapshot, table: &str, request: &Request<B>) {
        let host = request.headers().get(HOST);
        let host = host.and_then(|host| Host::parse(host.as_bytes()).ok());
        let found = host.and_then(|host| find(snapshot, table, &host, request));
        let mut found = found.unwrap_or_else(Self::nowhere);
        if matches!(self.chosen, Chosen::OwnPath) && !matches!(found.chosen, Chosen::Nowhere) {
            found.chosen = Chosen::OwnPath;
        }
        found.client = self.client.take();
        found.again = true;
        *self = found;
    }

    /// The address of the client: the connection's, unless a trusted proxy has told another.
    pub(crate) fn client<'a>(&'a self, peer: &'a Peer) -> Option<&'a HeaderValue> {
        self.client.as_ref().or_else(|| peer.ip_text())
    }
}

impl Route {
    /// A route that takes every request and does this, without layers.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            name: None,
            matcher: Shared::default(),
            action,
            headers: HeaderMutations::default(),
            filters: Filters::default(),
            overrides: FilterOverrides::default(),
            layers: None,
            policy: None,
        }
    }

    /// A route that takes every request and forwards it by `split`, without layers.
    #[must_use]
    pub fn forward(split: Split) -> Self {
        Self::new(Action::Forward(Arc::new(Forward::split(split))))
    }

    /// A route that answers every request by itself, in plain text.
    #[must_use]
    pub fn respond(status: StatusCode, text: &'static str) -> Self {
        let body = bytes::Bytes::from_static(text.as_bytes());
        Self::new(Action::Respond(DirectResponse::new(status, body).into()))
    }

    /// A route that sends every client elsewhere.
    #[must_use]
    pub fn redirect(redirect: Redirect) -> Self {
        Self::new(Action::Redirect(Box::new(redirect)))
    }

    /// How it forwards, if it does.
    #[must_use]
    pub fn as_forward(&self) -> Option<&Forward> {
        match &self.action {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(_) | Action::Respond(_) => None,
        }
    }
}
