//! What does an idle keep-alive connection cost?
//!
//! The proxy is a process of its own, so that nothing but its memory is counted; clients and backend are in this one. Each
//! connection has had one request answered: what it keeps from that is part of the figure.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::child::Process;
use crate::park::client::{allow_descriptors, receive, send};
use crate::park::summary::{memory, verdict};
use crate::{backend, proc};

/// Descriptors beside those of the connections, in either process.
const SPARE_DESCRIPTORS: u64 = 200;
/// Requests before the first look at memory, so that what the first one sets up is not counted as a connection's.
const WARM_UP: usize = 100;

/// How much to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Connections that are idle at once.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

/// What the clients speak.
#[derive(Clone, Copy, Debug)]
enum Client {
    Http1,
}

impl Client {
    const ALL: [Self; 1] = [Self::Http1];

    fn name(self) -> &'static str {
        match self {
            Self::Http1 => "idle HTTP/1.1 connections",
        }
    }

    /// The most that one connection may cost, in bytes.
    fn bytes_max(self) -> u64 {
        match self {
            Self::Http1 => 4 * 1024,
        }
    }
}

/// Measures, and prints the figures with the bars that they have to meet.
///
/// # Errors
/// When the proxy does not come up, or a connection fails.
pub async fn run(options: Options) -> anyhow::Result<()> {
    allow_descriptors(options.connections as u64 + SPARE_DESCRIPTORS)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let backend = listener.local_addr()?;
    let mut serving = JoinSet::new();
    serving.spawn(backend::serve(listener));
    for client in Client::ALL {
        measure(client, options.connections, backend).await?;
    }
    Ok(())
}

async fn measure(client: Client, count: usize, backend: SocketAddr) -> anyhow::Result<()> {
    let backend = backend.to_string();
    let arguments = ["serve-tidegate", "--backend", &backend, "--chain", "plain"];
    let mut proxy = Process::own(arguments, None)?;
    let address = proxy.address().await?;
    for _ in 0..WARM_UP {
        connect(address).await?;
    }
    let before = proc::settled_resident_bytes(proxy.id()?).await?;
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(connect(address).await?);
    }
    let after = proc::settled_resident_bytes(proxy.id()?).await?;
    // Those that the proxy closed meanwhile would make the figure look good.
    for connection in &mut connections {
        exchange(connection).await?;
    }
    let mut out = std::io::stdout();
    let each = memory(&mut out, client.name(), count, before, after)?;
    let (most, verdict) = (client.bytes_max(), verdict(each <= client.bytes_max()));
    writeln!(out, "  bar: at most {most} bytes each: {verdict}")?;
    Ok(())
}

/// A connection that has had one request answered.
async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut connection = TcpStream::connect(address).await?;
    connection.set_nodelay(true)?;
    exchange(&mut connection).await?;
    Ok(connection)
}

async fn exchange(connection: &mut TcpStream) -> anyhow::Result<()> {
    send(connection, "/").await?;
    receive(connection).await
}
