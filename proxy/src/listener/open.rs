//! How are listening sockets opened: one for each worker, and never into another program's group?

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::settings::{
    Begin, Delay, IpVersions, ListenAddress, ListenerSettings, Neighbours, TcpSettings, UnixAddress,
};

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Listening {
    Tcp(std::net::TcpListener),
    /// Its file is removed when the last worker's is closed.
    Unix(std::os::unix::net::UnixListener, Arc<SocketFile>),
}

/// The file of a unix socket, while it is ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: what somebody else has put there since is not removed.
    identity: Option<(u64, u64)>,
}

/// Opens the sockets of a listener; says where it listens.
pub(super) fn open(
    settings: &ListenerSettings,
    workers: NonZeroUsize,
) -> io::Result<(ListenAddress, Vec<Listening>)> {
    match &settings.address {
        ListenAddress::Tcp(address) => {
            let (address, sockets) = tcp(*address, settings, workers)?;
            Ok((address.into(), sockets))
        }
        ListenAddress::Unix(address) => {
            let sockets = unix(address, settings, workers)?;
            Ok((settings.address.clone(), sockets))
        }
    }
}

fn tcp(
    address: SocketAddr,
    settings: &ListenerSettings,
    workers: NonZeroUsize,
) -> io::Result<(SocketAddr, Vec<Listening>)> {
    // Sockets that share a port would join another program's group in silence: a lone one does not. A port that the
    // system chooses is nobody's.
    if address.port() != 0 && settings.neighbours == Neighbours::None {
        drop(bound(address, settings, Sharing::Alone)?);
    }
    let first = bound(address, settings, Sharing::PerWorker)?;
    let address = first
        .local_addr()
        .ok()
        .and_then(|bound| bound.as_socket())
        .unwrap_or(address);
    let others = (1..workers.get()).map(|_| bound(address, settings, Sharing::PerWorker));
    let sockets = std::iter::once(Ok(first)).chain(others).map(|socket| {
        let socket = socket?;
        if settings.begin == Begin::Opened {
            socket.listen(backlog(settings.backlog))?;
        }
        Ok(Listening::Tcp(socket.into()))
    });
    Ok((address, sockets.collect::<io::Result<_>>()?))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    PerWorker,
}

/// A bound socket that does not listen yet: nobody can have connected to one that is closed again.
fn bound(address: SocketAddr, settings: &ListenerSettings, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(settings.versions == IpVersions::Own)?;
    }
    socket.set_reuse_address(true)?;
    if sharing == Sharing::PerWorker {
        socket.set_reuse_port(true)?;
    }
    // Linux hands the options of a listening socket on to what it accepts.
    set_options(&SockRef::from(&socket), &settings.tcp)?;
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The options of a TCP connection.
pub(super) fn set_options(socket: &SockRef<'_>, tcp: &TcpSettings) -> io::Result<()> {
    if tcp.delay == Delay::None {
        // Without it small responses would wait for the client's delayed acknowledgements.
        socket.set_tcp_nodelay(true)?;
    }
    if let Some(keepalive) = tcp.keepalive {
        let probes = TcpKeepalive::new()
            .with_time(keepalive.idle)
            .with_interval(keepalive.interval)
            .with_retries(keepalive.probes);
        socket.set_tcp_keepalive(&probes)?;
    }
    Ok(())
}

fn unix(
    address: &UnixAddress,
    settings: &ListenerSettings,
    workers: NonZeroUsize,
) -> io::Result<Vec<Listening>> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let at = SockAddr::unix(&address.path)?;
    if let Err(error) = socket.bind(&at) {
        if error.kind() != io::ErrorKind::AddrInUse || !abandoned(&address.path, &at) {
            return Err(error);
        }
        fs::remove_file(&address.path)?;
        socket.bind(&at)?;
    }
    let file = Arc::new(SocketFile::new(address.path.clone()));
    if let Some(mode) = address.mode {
        fs::set_permissions(&address.path, Permissions::from_mode(mode))?;
    }
    socket.set_nonblocking(true)?;
    // Only from here on can anybody connect.
    if settings.begin == Begin::Opened {
        socket.listen(backlog(settings.backlog))?;
    }
    // There are no groups of unix sockets: the workers share one queue.
    let sockets = (0..workers.get()).map(|_| {
        let socket = socket.try_clone()?;
        Ok(Listening::Unix(socket.into(), Arc::clone(&file)))
    });
    sockets.collect()
}

fn backlog(length: u32) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

impl Listening {
    /// Lets clients connect.
    pub(super) fn listen(&self, length: u32) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => SockRef::from(socket).listen(backlog(length)),
            Self::Unix(socket, _) => SockRef::from(socket).listen(backlog(length)),
        }
    }
}

/// Whether this is a socket that nobody listens on: what a process leaves behind that was killed.
fn abandoned(path: &PathBuf, at: &SockAddr) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let probe = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(at)
    };
    is_socket && probe().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl SocketFile {
    fn new(path: PathBuf) -> Self {
        let identity = Self::identity(&path);
        Self { path, identity }
    }

    fn identity(path: &PathBuf) -> Option<(u64, u64)> {
        let found = fs::symlink_metadata(path).ok()?;
        Some((found.dev(), found.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = self.identity.is_some() && Self::identity(&self.path) == self.identity;
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "a unix socket's file stays");
        }
    }
}
