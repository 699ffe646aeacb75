//! Who listens on the admin address, and how are its connections bounded?

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tidegate_proxy::drain::Watch;
use tidegate_proxy::listener::ListenAddress;
use tidegate_proxy::listener::settings::UnixAddress;
use tidegate_proxy::process;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use super::Admin;
use super::answer::{Answer, Chunks};
use super::patient::Patient;
use super::{endpoint, guard};
use crate::limits;

/// The socket of the admin endpoints.
#[derive(Debug)]
pub enum AdminListener {
    /// A port.
    Tcp(std::net::TcpListener),
    /// A unix socket; its file goes with it.
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// A file of a unix socket, removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

/// Opens the admin address. A file that stands in the place of a unix socket, left behind by somebody who is gone, is replaced.
///
/// # Errors
/// What the system said.
pub fn bind(address: &ListenAddress) -> io::Result<AdminListener> {
    match address {
        ListenAddress::Tcp(address) => {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(AdminListener::Tcp(listener))
        }
        ListenAddress::Unix(unix) => unix_socket(unix),
    }
}

fn unix_socket(UnixAddress { path, mode }: &UnixAddress) -> io::Result<AdminListener> {
    let bind = || std::os::unix::net::UnixListener::bind(path);
    let listener = match bind() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // A file of another kind is somebody's.
            let is_socket = fs::symlink_metadata(path)?.file_type().is_socket();
            if !is_socket || std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(error);
            }
            fs::remove_file(path)?;
            bind()?
        }
        bound => bound?,
    };
    let file = SocketFile(path.clone());
    if let Some(mode) = mode {
        fs::set_permissions(path, Permissions::from_mode(*mode))?;
    }
    listener.set_nonblocking(true)?;
    Ok(AdminListener::Unix(listener, file))
}

impl AdminListener {
    /// Its port's address; none of a unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have taken it away.
        _ = fs::remove_file(&self.0);
    }
}

enum Running {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "dropped with it")] SocketFile,
    ),
}

impl Admin {
    /// Serves on `listener` until the drain is over: an operator can watch it.
    ///
    /// # Errors
    /// When the socket cannot be used in the runtime that this is called in.
    pub async fn serve(self, listener: AdminListener, drain: Watch) -> io::Result<()> {
        let listener = match listener {
            AdminListener::Tcp(listener) => Running::Tcp(TcpListener::from_std(listener)?),
            AdminListener::Unix(listener, file) => Running::Unix(UnixListener::from_std(listener)?, file),
        };
        let places = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX));
        let forced = drain.forced();
        tokio::pin!(forced);
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&listener, &places, &drain) => accepted,
                () = &mut forced => return Ok(()),
            };
            if let Err(error) = accepted {
                tracing::warn!(%error, "admin connection could not be accepted");
                tokio::time::sleep(limits::ADMIN_ACCEPT_BACKOFF).await;
            }
        }
    }

    async fn accept(&self, listener: &Running, places: &Arc<Semaphore>, drain: &Watch) -> io::Result<()> {
        let place = Arc::clone(places).acquire_owned().await;
        let place = place.map_err(|_closed| io::ErrorKind::Other)?;
        let admin = self.clone();
        match listener {
            Running::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                process::spawn("admin", drain.unguarded(), async move {
                    admin.connection(stream, Some(client)).await;
                    drop(place);
                });
            }
            Running::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                process::spawn("admin", drain.unguarded(), async move {
                    admin.connection(stream, None).await;
                    drop(place);
                });
            }
        }
        Ok(())
    }

    async fn connection(&self, stream: impl AsyncRead + AsyncWrite + Unpin, client: Option<SocketAddr>) {
        let service = service_fn(|request| async move { Ok::<_, Infallible>(self.answer(&request, client)) });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::ADMIN_HEAD_TIMEOUT)
            .max_buf_size(limits::ADMIN_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Patient::new(stream)), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "admin connection failed");
        }
    }

    fn answer(&self, request: &Request<Incoming>, client: Option<SocketAddr>) -> Response<Chunks> {
        let journal = self.settings().access_log.as_ref();
        let entry = journal.map(|journal| journal.begin(request, client));
        let (method, path) = (request.method(), request.uri().path());
        // A browser is not to change anything for another site; nor is it to show it what it asked for.
        let answer = if guard::is_foreign(request.headers()) {
            Answer::text(
                StatusCode::FORBIDDEN,
                "Requests from pages of other sites are refused.\n",
            )
        } else {
            endpoint::answer(self, method, path, request.uri().query())
        };
        let response = answer.into_response();
        match entry {
            Some(entry) => {
                entry.answered(&response);
                response.map(|chunks| chunks.noted(entry))
            }
            None => response,
        }
    }
}
