//! What does an idle keep-alive connection cost, plain and over TLS?
//!
//! The proxy is a process of its own, so that nothing but its memory is counted; clients and backend are in this one. Each
//! connection has had one request answered: what it keeps from that is part of the figure.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tempfile::TempDir;
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::child::Process;
use crate::park::client::{allow_descriptors, receive, send};
use crate::park::summary::{memory, verdict};
use crate::{backend, proc};

/// The most that an idle HTTP/1.1 connection may cost, in bytes.
const HTTP1_BYTES_MAX: u64 = 4 * 1024;
/// The most that one over TLS may cost, in bytes.
const TLS_BYTES_MAX: u64 = 12 * 1024;
/// Descriptors beside those of the connections, in either process.
const SPARE_DESCRIPTORS: u64 = 200;
/// Requests before the first look at memory, so that what the first one sets up is not counted as a connection's.
const WARM_UP: usize = 100;
/// The name that the proxy's certificate is for.
const NAME: &str = "bench.example";

/// How much to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Connections that are idle at once.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

/// Measures, and prints the figures with the bars that they have to meet.
///
/// # Errors
/// When the proxy does not come up, or a connection fails.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let count = options.connections;
    allow_descriptors(count as u64 + SPARE_DESCRIPTORS)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let backend = listener.local_addr()?.to_string();
    let mut serving = JoinSet::new();
    serving.spawn(backend::serve(listener));
    let arguments = ["serve-tidegate", "--backend", &backend, "--chain", "plain"];

    let mut proxy = Process::own(arguments, None)?;
    let each = weigh(&mut proxy, "idle HTTP/1.1 connections", count, dial).await?;
    judge(each, HTTP1_BYTES_MAX)?;
    drop(proxy);

    let authority = Authority::new("bench");
    let files = pair(&authority)?;
    let (certificate, key) = (files.path().join(CERTIFICATE), files.path().join(KEY));
    let pair = ["--certificate", shown(&certificate)?, "--key", shown(&key)?];
    let mut proxy = Process::own(arguments.iter().chain(&pair), None)?;
    let trust = Arc::new(authority.client_config(&["http/1.1"], None));
    let over_tls = async |address| Ok(tls::over(dial(address).await?, NAME, &trust).await?);
    let each = weigh(&mut proxy, "idle HTTP/1.1 connections over TLS", count, over_tls).await?;
    judge(each, TLS_BYTES_MAX)
}

const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// A folder with a certificate and its key.
fn pair(authority: &Authority) -> anyhow::Result<TempDir> {
    let (folder, identity) = (tempfile::tempdir()?, authority.server(NAME));
    std::fs::write(folder.path().join(CERTIFICATE), identity.certificate_pem)?;
    std::fs::write(folder.path().join(KEY), identity.key_pem)?;
    Ok(folder)
}

fn shown(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("temporary folders have names in UTF-8")
}

/// Opens `count` connections and says what each of them adds to the proxy's memory, in bytes.
async fn weigh<S>(
    proxy: &mut Process,
    what: &str,
    count: usize,
    dial: impl AsyncFn(SocketAddr) -> anyhow::Result<S>,
) -> anyhow::Result<u64>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (address, process) = (proxy.address().await?, proxy.id()?);
    for _ in 0..WARM_UP {
        exchange(&mut dial(address).await?).await?;
    }
    let before = proc::settled_resident_bytes(process).await?;
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = dial(address).await?;
        exchange(&mut connection).await?;
        connections.push(connection);
    }
    let after = proc::settled_resident_bytes(process).await?;
    // Those that the proxy closed meanwhile would make the figure look good.
    for connection in &mut connections {
        exchange(connection).await?;
    }
    Ok(memory(&mut std::io::stdout(), what, count, before, after)?)
}

fn judge(each: u64, most: u64) -> anyhow::Result<()> {
    let verdict = verdict(each <= most);
    writeln!(std::io::stdout(), "  bar: at most {most} bytes each: {verdict}")?;
    Ok(())
}

async fn dial(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let connection = TcpStream::connect(address).await?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

async fn exchange(connection: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> anyhow::Result<()> {
    send(connection, "/").await?;
    receive(connection).await
}
