//! What the store asks of the world: sockets, and the upkeep of clusters.

use std::sync::Arc;

use tidegate_proxy::cluster::Cluster;
use tidegate_proxy::listener::Intake;
use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::listener::settings::{IpVersions, ListenAddress};

use crate::translate::listener::{Direction, SocketConfig};

/// One address that a listener has taken, from [`Outside::open`] until [`Outside::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// The address that a listener wants.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    /// The listener.
    pub listener: &'a Arc<str>,
    /// The address.
    pub address: &'a ListenAddress,
    /// Whether an IPv6 address takes IPv4 clients too.
    pub versions: IpVersions,
    /// What else the socket is told.
    pub config: &'a SocketConfig,
    /// Whether an `inboundonly` drain concerns it.
    pub direction: Direction,
}

/// What a listener does with connections.
#[derive(Clone, Debug)]
pub struct Chains {
    /// Its filter chains. One that is as before has the same `Arc`s in it.
    pub chains: Vec<FilterChain>,
    /// The chain for connections that no other matches.
    pub default: Option<FilterChain>,
    /// What comes before a chain.
    pub intake: Intake,
}

/// The world as the store needs it.
pub trait Outside {
    /// Starts what a cluster needs beside requests: look-ups, health checks.
    fn watch(&mut self, cluster: &Arc<Cluster>);

    /// Clusters of these names have come into force, have other endpoints, or are gone, and a snapshot that says so is published next.
    /// `find` has what is in force from then on. A name may come more than once.
    fn clusters_changed(&mut self, names: &[Arc<str>], find: &dyn Fn(&str) -> Option<Arc<Cluster>>);

    /// What [`Self::clusters_changed`] told of is what requests find.
    fn clusters_published(&mut self);

    /// Takes an address; clients are refused until it is served.
    ///
    /// # Errors
    /// When it is not to be had; what the system says, such as `Cannot assign requested address`.
    fn open(&mut self, opening: &Opening<'_>) -> Result<SocketId, String>;

    /// Accepts connections from now on, or changes what is done with those that begin from now on; connections of chains that
    /// are not there any more are drained.
    ///
    /// # Errors
    /// When the chains do not go together.
    fn serve(&mut self, socket: SocketId, chains: &Chains) -> Result<(), String>;

    /// Gives an address back; its connections are drained.
    fn close(&mut self, socket: SocketId);
}
