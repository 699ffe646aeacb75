//! Which endpoints of a cluster are connected to otherwise than the rest?

use std::fmt;
use std::sync::Arc;

use super::{Transport, TransportSettings};
use crate::cluster::Endpoint;
use crate::route::Shared;

/// Ways to connect that some endpoints of a cluster have of their own, as where only a part of them speaks TLS.
///
/// ```
/// use tidegate_proxy::cluster::transport::{EndpointTransport, ProxyHeader, TransportChoices, TransportSettings};
/// use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
///
/// let introduced = TransportSettings { proxy_header: Some(ProxyHeader::V2), ..TransportSettings::default() };
/// // Those in the cluster's first priority know the PROXY protocol.
/// let choices = TransportChoices::new([EndpointTransport::new(introduced)], |endpoint| {
///     (endpoint.priority() == 0).then_some(0)
/// });
/// let cluster = Cluster::new(ClusterSettings { choices: Some(choices.into()), ..ClusterSettings::new("app") });
/// let address = std::net::SocketAddr::from(([10, 0, 0, 1], 80));
/// cluster.set_endpoints(vec![Endpoint::new(address).into()]);
/// assert!(cluster.transport_settings(&cluster.endpoints()[0]).proxy_header.is_some());
/// ```
#[derive(Clone)]
pub struct TransportChoices {
    /// The ways.
    pub transports: Vec<EndpointTransport>,
    choose: Arc<Choose>,
}

type Choose = dyn Fn(&Endpoint) -> Option<usize> + Send + Sync;

/// How some endpoints are connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointTransport {
    /// In the place of the cluster's `transport`.
    pub transport: TransportSettings,
    /// In the place of the cluster's `transport_http2`.
    pub transport_http2: Option<Box<TransportSettings>>,
}

impl TransportChoices {
    /// These ways. `choose` says which of them an endpoint has, by its place; without a word it is the cluster's own. It is
    /// asked once for each endpoint that a cluster is given, never for a request.
    #[must_use]
    pub fn new(
        transports: impl IntoIterator<Item = EndpointTransport>,
        choose: impl Fn(&Endpoint) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        Self {
            transports: transports.into_iter().collect(),
            choose: Arc::new(choose),
        }
    }

    /// The place of an endpoint's way, counted from 1; 0 is the cluster's own.
    pub(in crate::cluster) fn of(&self, endpoint: &Endpoint) -> u16 {
        let chosen = (self.choose)(endpoint).filter(|at| *at < self.transports.len());
        chosen.map_or(0, |at| u16::try_from(at + 1).unwrap_or(0))
    }
}

impl EndpointTransport {
    /// The same way for all requests.
    #[must_use]
    pub fn new(transport: TransportSettings) -> Self {
        Self {
            transport,
            transport_http2: None,
        }
    }
}

impl fmt::Debug for TransportChoices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportChoices")
            .field("transports", &self.transports)
            .finish_non_exhaustive()
    }
}

/// The transports of one way.
#[derive(Clone, Debug)]
pub(in crate::cluster) struct Way {
    pub(in crate::cluster) usual: Transport,
    pub(in crate::cluster) http2: Option<Transport>,
}

impl Way {
    pub(in crate::cluster) fn new(
        usual: Shared<TransportSettings>,
        http2: Option<TransportSettings>,
    ) -> Self {
        Self {
            usual: Transport::new(usual),
            http2: http2.map(Shared::from).map(Transport::new),
        }
    }

    pub(in crate::cluster) fn tells_client(&self) -> bool {
        self.usual.settings().proxy_header.is_some()
    }
}
