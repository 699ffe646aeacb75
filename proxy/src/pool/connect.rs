//! How a new upstream connection comes to be.
//!
//! Its tasks keep no drain open: whatever they have to finish, a downstream connection waits for.

use std::io;

use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::body::Body;
use crate::cluster::{Address, Cluster};
use crate::config::limits;
use crate::drain::{Guard, Watch};
use crate::error::{Error, Kind};
use crate::process;

/// Dials and starts HTTP/1.1. The connection's task ends when the last sender is gone.
pub(crate) async fn http1(
    cluster: &Cluster,
    address: &Address,
    drain: &Watch,
) -> Result<http1::SendRequest<Body>, Error> {
    let stream = dial(cluster, address).await?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(limits::UPSTREAM_BUFFER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Error::new(Kind::ConnectFailed).with_source(error))?;
    let address = address.clone();
    process::spawn("upstream-h1", drain.unguarded(), async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%address, %error, "upstream connection ended");
        }
    });
    Ok(sender)
}

/// Dials and starts HTTP/2 by prior knowledge.
pub(crate) async fn http2(
    cluster: &Cluster,
    address: &Address,
    drain: &Watch,
) -> Result<http2::SendRequest<Body>, Error> {
    let stream = dial(cluster, address).await?;
    let tasks = Tasks(drain.unguarded());
    let (sender, connection) = http2::Builder::new(tasks.clone())
        .timer(TokioTimer::new())
        .max_send_buf_size(limits::H2_SEND_BUFFER_BYTES)
        .initial_stream_window_size(limits::H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Error::new(Kind::ConnectFailed).with_source(error))?;
    let address = address.clone();
    tasks.execute(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, %error, "upstream connection ended");
        }
    });
    Ok(sender)
}

/// Runs the tasks of one HTTP/2 connection: hyper has one for the socket, one for new streams, and one for each.
#[derive(Clone)]
struct Tasks(Guard);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        process::spawn("upstream-h2", self.0.clone(), task);
    }
}

/// Unix domain sockets are not dialled yet.
async fn connect(address: &Address) -> io::Result<TcpStream> {
    match address {
        Address::Tcp(address) => TcpStream::connect(address).await,
        Address::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

async fn dial(cluster: &Cluster, address: &Address) -> Result<TcpStream, Error> {
    cluster.metrics().connects.increment(1);
    let dialled = tokio::time::timeout(cluster.settings().connect_timeout, connect(address)).await;
    let failed = |kind, source: io::Error| {
        cluster.metrics().connect_failures.increment(1);
        Error::new(kind).with_source(source)
    };
    let stream = match dialled {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(Kind::ConnectFailed, error)),
        Err(elapsed) => return Err(failed(Kind::ConnectTimeout, elapsed.into())),
    };
    stream
        .set_nodelay(true)
        .map_err(|error| failed(Kind::ConnectFailed, error))?;
    Ok(stream)
}
