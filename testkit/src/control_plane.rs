//! Which control plane do tests put in front of an xDS client? A scripted one that answers as go-control-plane does.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use tidegate_testkit::control_plane::ControlPlane;
//! use tidegate_testkit::control_plane::model::{CLUSTER, Item};
//!
//! let control_plane = ControlPlane::start().await;
//! control_plane.set(&[Item::named(CLUSTER, "default/app", 1)]);
//! assert!(control_plane.requests().is_empty());
//! # }
//! ```

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::model::{Gate, Item, Snapshot};
pub use self::record::Recorded;
use crate::upstream::bind;
use crate::wait::eventually;

mod delta;
pub mod model;
mod record;
mod serve;
mod stream;

/// A control plane on a free loopback port. It speaks all six discovery services in both variants, over HTTP/2 by prior
/// knowledge or TLS. Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct ControlPlane {
    address: SocketAddr,
    shared: Arc<Shared>,
    _acceptor: JoinSet<()>,
}

/// What a stream is told.
#[derive(Clone, Debug)]
enum Command {
    Changed,
    Inject(DiscoveryResponse),
    InjectDelta(DeltaDiscoveryResponse),
    End,
}

#[derive(Debug, Default)]
struct Shared {
    gate: Gate,
    snapshot: Mutex<Option<Snapshot>>,
    versions: AtomicU64,
    streams: Mutex<Vec<mpsc::UnboundedSender<Command>>>,
    requests: Mutex<Vec<Recorded>>,
    silent: AtomicBool,
    sent: AtomicUsize,
    turns: AtomicU64,
    connections: serve::Connections,
}

impl ControlPlane {
    /// Kourier's: aggregated, with the gate of go-control-plane 0.14.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        Self::start_with(Gate::default()).await
    }

    /// One with a gate of its own.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start_with(gate: Gate) -> Self {
        Self::start_on(bind().await, gate, None)
    }

    /// One over TLS.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start_tls(gate: Gate, config: ServerConfig) -> Self {
        Self::start_on(bind().await, gate, Some(config))
    }

    /// One on a listener that is bound already, for one that comes up late on a known port.
    ///
    /// # Panics
    /// When the listener has no address.
    #[must_use]
    pub fn start_on(listener: TcpListener, gate: Gate, tls: Option<ServerConfig>) -> Self {
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            gate,
            ..Shared::default()
        });
        let mut acceptor = JoinSet::new();
        acceptor.spawn(serve::accept(listener, tls.map(Arc::new), Arc::clone(&shared)));
        Self {
            address,
            shared,
            _acceptor: acceptor,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes these all the resources that there are, under a new version of every type; returns the version.
    pub fn set(&self, items: &[Item]) -> String {
        let number = self.shared.versions.fetch_add(1, Ordering::Relaxed) + 1;
        let version = format!("version-{number}");
        *lock(&self.shared.snapshot) = Some(Snapshot::new(&version, items));
        self.shared.tell(&Command::Changed);
        version
    }

    /// Sends this on every state-of-the-world stream, whatever was asked.
    pub fn inject(&self, response: &DiscoveryResponse) {
        self.shared.tell(&Command::Inject(response.clone()));
    }

    /// Sends this on every incremental stream, whatever was asked.
    pub fn inject_delta(&self, response: &DeltaDiscoveryResponse) {
        self.shared.tell(&Command::InjectDelta(response.clone()));
    }

    /// Ends every stream, and keeps the connections.
    pub fn end_streams(&self) {
        self.shared.tell(&Command::End);
        lock(&self.shared.streams).clear();
    }

    /// Cuts every connection, and keeps listening.
    pub fn cut_connections(&self) {
        lock(&self.shared.streams).clear();
        self.shared.connections.cut();
    }

    /// Answers no request any more, or does again. What was not answered stays so.
    pub fn set_silent(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::Relaxed);
    }

    /// Does nothing on its connections any more, PINGs included: a machine that has lost its power. New ones are served.
    pub fn freeze_connections(&self) {
        self.shared.connections.freeze();
    }

    /// All requests so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.requests).clone()
    }

    /// How many responses were sent so far, those injected included.
    #[must_use]
    pub fn responses_sent(&self) -> usize {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// How many connections came so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.count()
    }

    /// Waits for a request that is as `wanted` says; `what` is for the message when none comes.
    ///
    /// # Panics
    /// At the deadline.
    pub async fn request(&self, what: &str, wanted: impl Fn(&Recorded) -> bool) -> Recorded {
        eventually(what, async || {
            let requests = self.requests();
            let found = requests.iter().find(|request| wanted(request)).cloned();
            let last: Vec<_> = requests.iter().rev().take(6).collect();
            found.ok_or_else(|| format!("{} requests, the last: {last:#?}", requests.len()))
        })
        .await
    }

    /// Waits until the resources of `type_url` were accepted at `version` (state of the world).
    ///
    /// # Panics
    /// At the deadline.
    pub async fn accepted(&self, type_url: &str, version: &str) -> Recorded {
        self.request("an ACK", |request| {
            request.is_ack() && request.type_url == type_url && request.version == version
        })
        .await
    }

    /// Waits for a NACK of `type_url`, and returns the message of the last.
    ///
    /// # Panics
    /// At the deadline.
    pub async fn refused(&self, type_url: &str) -> String {
        let is_nack = |request: &Recorded| request.error.is_some() && request.type_url == type_url;
        self.request("a NACK", is_nack).await;
        let requests = self.requests();
        let last = requests.into_iter().rev().find(is_nack);
        last.and_then(|request| request.error)
            .map(|(_, message)| message)
            .unwrap_or_default()
    }
}

impl Shared {
    /// A new stream: its number, and what it will be told.
    fn open(&self, _path: &str) -> (usize, mpsc::UnboundedReceiver<Command>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.streams).push(sender);
        (self.connections.stream(), receiver)
    }

    fn tell(&self, command: &Command) {
        lock(&self.streams).retain(|stream| stream.send(command.clone()).is_ok());
    }

    fn snapshot(&self) -> Option<Snapshot> {
        lock(&self.snapshot).clone()
    }

    fn record(&self, request: Recorded) {
        lock(&self.requests).push(request);
    }

    fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Another order each time: the default server picks types at random.
    fn shuffle<T>(&self, responses: &mut [T]) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let len = responses.len().max(1);
        responses.rotate_left(usize::try_from(turn).unwrap_or_default() % len);
        if turn % 2 == 1 {
            responses.reverse();
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
