//! What pooled connections are told apart by: whoever shares a key may share a connection.

use std::sync::Arc;

use http::Request;
use http::header::HOST;

use crate::body::Body;
use crate::cluster::transport::Transport;
use crate::cluster::{Address, Cluster, Endpoint};
use crate::connection::Peer;
use crate::normalize::host::Host;
use crate::proxy_protocol::Addresses;
use crate::tls::upstream::ServerName;

/// Settings, address, and what else a connection says of the request that it was dialled for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(super) transport: Transport,
    pub(super) address: Address,
    // Almost always none: these are rare features, and only they pay for it.
    pub(super) scope: Option<Arc<Scope>>,
}

/// What a connection has said of one client or host, so that it is of no use to others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    /// In its PROXY header.
    pub(super) client: Option<Addresses>,
    /// In its TLS handshake.
    pub(super) host: Option<Box<str>>,
}

impl Key {
    pub(super) fn of(cluster: &Cluster, endpoint: &Endpoint, request: &Request<Body>) -> Self {
        let transport = cluster.transport_for(endpoint, request.version());
        Self {
            transport: transport.clone(),
            address: endpoint.address().clone(),
            scope: scope(transport, endpoint, Some(request)).map(Arc::new),
        }
    }

    /// For what is no HTTP, of a client with these addresses.
    pub(super) fn of_client(cluster: &Cluster, endpoint: &Endpoint, client: Option<Addresses>) -> Self {
        let mut key = Self::apart(cluster, endpoint);
        if key.transport.settings().proxy_header.is_some() {
            let scope = key.scope.take().map_or_else(Scope::default, Arc::unwrap_or_clone);
            key.scope = Some(Arc::new(Scope { client, ..scope }));
        }
        key
    }

    /// Without anything of a request.
    pub(super) fn apart(cluster: &Cluster, endpoint: &Endpoint) -> Self {
        let transport = cluster.transport(endpoint);
        Self {
            transport: transport.clone(),
            address: endpoint.address().clone(),
            scope: scope(transport, endpoint, None).map(Arc::new),
        }
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.scope.as_ref()?.host.as_deref()
    }

    pub(super) fn client(&self) -> Option<Addresses> {
        self.scope.as_ref()?.client
    }
}

/// Lets `request` carry its client's addresses, where the connections of its cluster tell them.
pub(crate) fn introduce(cluster: &Cluster, peer: &Peer, request: &mut Request<Body>) {
    if cluster.tells_client()
        && let Some(addresses) = peer.addresses()
    {
        request.extensions_mut().insert(addresses);
    }
}

/// Gives the head of another try its client's addresses, if the request had them.
pub(crate) fn carry(from: &http::Extensions, to: &mut http::Extensions) {
    if let Some(addresses) = from.get::<Addresses>() {
        to.insert(*addresses);
    }
}

fn scope(transport: &Transport, endpoint: &Endpoint, request: Option<&Request<Body>>) -> Option<Scope> {
    let settings = transport.settings();
    let asked_for = settings.tls.as_ref().map(|tls| &tls.settings().server_name);
    let host = match asked_for {
        Some(ServerName::Host) => request.map(host_of),
        Some(ServerName::Endpoint) => Some(endpoint.hostname().map(|name| Box::from(&**name))),
        Some(ServerName::Address | ServerName::Literal(_)) | None => None,
    };
    let header = request.filter(|_| settings.proxy_header.is_some());
    if host.is_none() && header.is_none() {
        return None;
    }
    Some(Scope {
        client: header
            .and_then(|request| request.extensions().get::<Addresses>())
            .copied(),
        host: host.flatten(),
    })
}

/// The name of the host that a request is for.
fn host_of(request: &Request<Body>) -> Option<Box<str>> {
    let host = Host::parse(request.headers().get(HOST)?.as_bytes()).ok()?;
    Some(host.name().into())
}
