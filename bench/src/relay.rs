//! What is the least that a proxy can cost? Bytes go from one connection to another and nobody looks at them.

use std::io;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Large enough that a body of 100 KiB takes two reads.
const BUFFER_BYTES: usize = 64 * 1024;

/// Gives each of `listener`'s connections one of its own to `backend`, until it is dropped.
///
/// # Errors
/// When accepting fails.
pub async fn serve(listener: TcpListener, backend: SocketAddr) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        connections.spawn(async move { relay(stream, backend).await });
        while connections.try_join_next().is_some() {}
    }
}

async fn relay(mut client: TcpStream, backend: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(backend).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}
