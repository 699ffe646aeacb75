//! The listeners of the running program: taken, served, changed, drained and given back.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tidegate_proxy::cluster::Cluster;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::drain::{Fade, Watch};
use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
use tidegate_proxy::listener::settings::{Begin, Neighbours};
use tidegate_proxy::listener::{
    Acceptor, Connections, ListenAddress, Listener, ListenerHandle, ListenerSettings,
};
use tidegate_proxy::process;
use tidegate_xds::store::outside::{Chains, Opening, Outside, SocketId};
use tidegate_xds::translate::listener::Direction;
use tokio::runtime;

use crate::lifecycle::Scope;
use crate::limits::ADDRESS_FREE_TIMEOUT;
use crate::workers::Seats;

/// All listeners. Clones act on the same ones.
#[derive(Clone, Debug)]
pub struct Listeners {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    seats: Seats,
    connections: Connections,
    /// Above this, connections are closed (`overload_manager`).
    ceiling: Option<Connections>,
    manners: Manners,
    /// Where work goes on that takes its time: drains, look-ups, health checks.
    control: runtime::Handle,
    drain: Watch,
    state: Mutex<State>,
}

/// How connections are parted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// How responses end them meanwhile (`--drain-strategy`).
    pub strategy: Strategy,
    /// For how long (`--drain-time-s`).
    pub drain_time: Duration,
}

/// `--drain-strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// With a probability that rises over the drain time.
    #[default]
    Gradual,
    /// Every response ends its connection.
    Immediate,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    sockets: BTreeMap<SocketId, Socket>,
    /// Addresses that are being given back: each tells when it is free.
    closing: Vec<(ListenAddress, mpsc::Receiver<()>)>,
    /// What later listeners are told at once, too.
    fading: Option<(Scope, Fade)>,
    closed: Option<Scope>,
}

#[derive(Debug)]
struct Socket {
    listener: Arc<str>,
    address: ListenAddress,
    direction: Direction,
    handle: ListenerHandle,
    /// Those of the workers, until it is served.
    waiting: Vec<Acceptor>,
}

/// One address of a listener, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The listener's name.
    pub listener: Arc<str>,
    /// Where it listens; a port that the system chose is the one that it chose.
    pub address: ListenAddress,
}

impl Manners {
    /// How a drain that begins now parts with clients.
    #[must_use]
    pub fn fade(&self) -> Fade {
        match self.strategy {
            Strategy::Gradual => Fade::Over(self.drain_time),
            Strategy::Immediate => Fade::Now,
        }
    }
}

impl Listeners {
    /// No listener yet; all together hold no more than `connections_max` connections. `control` runs what takes its time.
    #[must_use]
    pub fn new(
        seats: Seats,
        manners: Manners,
        connections_max: Option<usize>,
        control: runtime::Handle,
        drain: Watch,
    ) -> Self {
        let shared = Shared {
            seats,
            connections: Connections::default(),
            ceiling: connections_max.map(Connections::at_most),
            manners,
            control,
            drain,
            state: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How connections are parted with.
    #[must_use]
    pub fn manners(&self) -> Manners {
        self.shared.manners
    }

    /// Every address, in the order in which they were taken.
    #[must_use]
    pub fn addresses(&self) -> Vec<Listening> {
        let state = self.state();
        let listening = state.sockets.values().map(|socket| Listening {
            listener: Arc::clone(&socket.listener),
            address: socket.handle.address().clone(),
        });
        listening.collect()
    }

    /// Parts with clients by and by, at these listeners and those that come later. What parts with its clients already goes on as it
    /// does, as in Envoy: a second drain does not begin anew.
    pub fn fade(&self, scope: Scope, fade: Fade) {
        let mut state = self.state();
        let before = state.fading.map(|(scope, _)| scope);
        if before == Some(scope) || before == Some(Scope::All) {
            return;
        }
        state.fading = Some((scope, fade));
        let begun = |socket: &&Socket| before.is_some_and(|before| socket.is_in(before));
        let all = state.sockets.values().filter(|socket| socket.is_in(scope));
        for socket in all.filter(|socket| !begun(socket)) {
            socket.handle.fade(fade);
        }
    }

    /// Accepts nothing more at these listeners, and at those that come later.
    pub fn stop_accepting(&self, scope: Scope) {
        let mut state = self.state();
        state.closed = Some(match state.closed {
            Some(Scope::All) => Scope::All,
            _ => scope,
        });
        for socket in state.sockets.values_mut().filter(|socket| socket.is_in(scope)) {
            socket.waiting.clear();
            socket.handle.close();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an address that a listener of ours has given back a moment ago.
    fn await_address(&self, address: &ListenAddress) {
        let mut waiting = Vec::new();
        self.state().closing.retain_mut(|(closing, freed)| {
            let wanted = closing == address;
            if wanted {
                waiting.push(std::mem::replace(freed, mpsc::channel().1));
            }
            // Those whose sender is gone are free.
            !wanted && freed.try_recv() == Err(mpsc::TryRecvError::Empty)
        });
        for freed in waiting {
            // Free, or not in time: opening it tells.
            _ = freed.recv_timeout(ADDRESS_FREE_TIMEOUT);
        }
    }

    /// Whether sockets of ours are at an address that overlaps this one: those of a listener that moves, or of one that shares a port.
    fn neighbours(&self, address: &ListenAddress) -> Neighbours {
        let ListenAddress::Tcp(wanted) = address else {
            return Neighbours::None;
        };
        let state = self.state();
        let open = state.sockets.values().map(|socket| &socket.address);
        let mut all = open.chain(state.closing.iter().map(|(closing, _)| closing));
        let overlaps = all.any(|other| match other {
            ListenAddress::Tcp(other) => other.port() == wanted.port() && overlap(other.ip(), wanted.ip()),
            ListenAddress::Unix(_) => false,
        });
        if overlaps {
            Neighbours::Own
        } else {
            Neighbours::None
        }
    }

    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let _context = self.shared.control.enter();
        process::spawn(name, self.shared.drain.unguarded(), task);
    }
}

impl Outside for Listeners {
    fn watch(&mut self, cluster: &Arc<Cluster>) {
        let _context = self.shared.control.enter();
        cluster.watch(&self.shared.drain);
    }

    /// It has nothing to do with clusters but their upkeep.
    fn clusters_changed(&mut self, _names: &[Arc<str>], _find: &dyn Fn(&str) -> Option<Arc<Cluster>>) {}

    fn clusters_published(&mut self) {}

    fn open(&mut self, opening: &Opening<'_>) -> Result<SocketId, String> {
        self.await_address(opening.address);
        let settings = ListenerSettings {
            versions: opening.versions,
            backlog: opening.config.backlog,
            neighbours: self.neighbours(opening.address),
            begin: Begin::Served,
            tcp: opening.config.tcp,
            balance: opening.config.balance,
            connections: self.shared.connections.clone(),
            ceiling: self.shared.ceiling.clone(),
            ..ListenerSettings::new(
                Arc::clone(opening.listener),
                opening.address.clone(),
                placeholder(),
            )
        };
        let listener = Listener::open(settings, self.shared.seats.count());
        let listener = listener.map_err(|error| reason(&error.source))?;
        let mut state = self.state();
        state.next += 1;
        let id = SocketId(state.next);
        let socket = Socket {
            listener: Arc::clone(opening.listener),
            address: opening.address.clone(),
            direction: opening.direction,
            handle: listener.handle(),
            waiting: listener.into_acceptors().collect(),
        };
        if let Some((scope, fade)) = state.fading
            && socket.is_in(scope)
        {
            socket.handle.fade(fade);
        }
        state.sockets.insert(id, socket);
        Ok(id)
    }

    fn serve(&mut self, socket: SocketId, chains: &Chains) -> Result<(), String> {
        let built = FilterChains::new(chains.chains.clone(), chains.default.clone());
        let built = built.map_err(|error| error.to_string())?;
        let mut state = self.state();
        let closed = state.closed;
        let Some(socket) = state.sockets.get_mut(&socket) else {
            return Err("the listener is gone".to_owned());
        };
        socket.handle.set_intake(chains.intake);
        let gone = socket.handle.replace_chains(built);
        let waiting = std::mem::take(&mut socket.waiting);
        if !waiting.is_empty() && !closed.is_some_and(|scope| socket.is_in(scope)) {
            // From here on clients can connect, before the workers have heard of it: what this replaces may be closed next.
            let listening = waiting.iter().try_for_each(Acceptor::listen);
            let seated = listening
                .map_err(|error| (reason(&error), Vec::new()))
                .and_then(|()| {
                    let seated = self.shared.seats.seat(waiting);
                    seated.map_err(|(error, waiting)| (error.to_string(), waiting))
                });
            if let Err((why, waiting)) = seated {
                socket.waiting = waiting;
                return Err(why);
            }
        }
        drop(state);
        if !gone.is_empty() {
            let Manners { drain_time, .. } = self.shared.manners;
            self.spawn("chain-drain", gone.drain(self.shared.manners.fade(), drain_time));
        }
        Ok(())
    }

    fn close(&mut self, socket: SocketId) {
        let mut state = self.state();
        let Some(socket) = state.sockets.remove(&socket) else {
            return;
        };
        let (free, freed) = mpsc::channel();
        state.closing.push((socket.address, freed));
        drop((state, socket.waiting));
        let (handle, manners) = (socket.handle, self.shared.manners);
        handle.close();
        self.spawn("listener-drain", async move {
            handle.closed().await;
            drop(free);
            let outcome = handle.retire(manners.fade(), manners.drain_time).await;
            if outcome.forced > 0 {
                let (listener, cut) = (handle.name(), outcome.forced);
                tracing::info!(%listener, cut, "connections of a listener that is gone were cut");
            }
        });
    }
}

impl Socket {
    fn is_in(&self, scope: Scope) -> bool {
        scope == Scope::All || self.direction == Direction::Inbound
    }
}

/// Whether one address contains the other, as far as they do not differ in what they are for.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

/// Chains for the time in which nobody can connect.
fn placeholder() -> FilterChains {
    let chain = FilterChain::plain(HttpSettings::default());
    #[expect(
        clippy::expect_used,
        reason = "one chain that matches everything cannot be wrong"
    )]
    FilterChains::one(chain).expect("one plain chain")
}

/// What the system says, as Envoy prints it.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}
