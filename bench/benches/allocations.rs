//! How often does a warm request allocate, and how much; how much does a connection hold?
//!
//! The proxy runs on this thread, whose allocations are counted; its client and its backend run on others. Prints a
//! table; the figures are exact and the same on every machine.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use allocation_counter::AllocationInfo;
use anyhow::Context;
use tidegate_bench::backend::{self, head_end};
use tidegate_bench::fixture::{self, Activated};
use tidegate_proxy::Proxy;
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const WARM_UP: usize = 500;
const COUNTED: usize = 1_000;
const HELD: usize = 200;
/// The figures must be the same for all.
const HOSTS: [usize; 3] = [10, fixture::HOSTS, 100_000];

fn main() -> anyhow::Result<()> {
    let backend = start_backend()?;
    let mut out = io::stdout();
    writeln!(
        out,
        "{:<28} {:>12} {:>12}",
        "per warm HTTP/1.1 request", "allocations", "bytes"
    )?;
    for hosts in HOSTS {
        let name = format!("without layers, {hosts} hosts");
        report(&mut out, &name, &warm(fixture::snapshot(hosts, backend)?)?)?;
    }
    let activated = Activated::new(0);
    activated.ready([backend]);
    report(
        &mut out,
        "activator and sidecar",
        &warm(activated.snapshot(fixture::HOSTS)?)?,
    )?;

    writeln!(out, "{:<28} {:>12} {:>12}", "held", "allocations", "bytes")?;
    let activated = Activated::new(0);
    let (idle, parked) = held(&activated)?;
    report_held(&mut out, "idle HTTP/1.1 connection", &idle)?;
    report_held(&mut out, "parked request above it", &parked)?;
    Ok(())
}

fn report(out: &mut impl Write, name: &str, counted: &AllocationInfo) -> io::Result<()> {
    let each = |total: u64| total as f64 / COUNTED as f64;
    writeln!(
        out,
        "{name:<28} {:>12.1} {:>12.0}",
        each(counted.count_total),
        each(counted.bytes_total)
    )
}

fn report_held(out: &mut impl Write, name: &str, counted: &AllocationInfo) -> io::Result<()> {
    let each = |total: i64| total as f64 / HELD as f64;
    writeln!(
        out,
        "{name:<28} {:>12.1} {:>12.0}",
        each(counted.count_current),
        each(counted.bytes_current)
    )
}

fn start_backend() -> io::Result<SocketAddr> {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || runtime.block_on(async { backend::serve(TcpListener::from_std(socket)?).await }));
    Ok(address)
}

/// A proxy on this thread; it works while [`Front::during`] runs.
struct Front {
    runtime: Runtime,
    address: SocketAddr,
    _serving: JoinSet<io::Result<()>>,
    _drain: Drain,
}

impl Front {
    fn start(snapshot: Snapshot) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (drain, watch) = Drain::new();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(
            any,
            NonZeroUsize::MIN,
            EdgePolicy::default(),
            Connections::default(),
        )?;
        let address = listener.address();
        let proxy = Proxy::new(Handle::new(snapshot), watch);
        let mut serving = JoinSet::new();
        for acceptor in listener.into_acceptors() {
            serving.spawn_on(acceptor.serve(proxy.clone()), runtime.handle());
        }
        Ok(Self {
            runtime,
            address,
            _serving: serving,
            _drain: drain,
        })
    }

    /// Serves here while another thread does `work`; what this thread allocated meanwhile is counted.
    fn during<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> anyhow::Result<(T, AllocationInfo)> {
        let (done, finished) = oneshot::channel();
        thread::spawn(move || done.send(work()));
        let mut outcome = None;
        let counted = allocation_counter::measure(|| outcome = Some(self.runtime.block_on(finished)));
        let outcome = outcome.context("the measured closure ran")?;
        Ok((outcome??, counted))
    }
}

/// What [`COUNTED`] requests allocate after [`WARM_UP`] others, on one connection.
fn warm(snapshot: Snapshot) -> anyhow::Result<AllocationInfo> {
    let front = Front::start(snapshot)?;
    let client = connect(front.address)?;
    let requests = |client: TcpStream, count| move || (0..count).try_for_each(|_| exchange(&client, "/"));
    front.during(requests(client.try_clone()?, WARM_UP))?;
    let ((), counted) = front.during(requests(client, COUNTED))?;
    Ok(counted)
}

/// What [`HELD`] idle connections hold, each of which has had one answer, and what a parked request on each adds.
fn held(activated: &Activated) -> anyhow::Result<(AllocationInfo, AllocationInfo)> {
    let front = Front::start(activated.snapshot(fixture::HOSTS)?)?;
    let address = front.address;
    let open = move || {
        let client = connect(address)?;
        exchange(&client, fixture::DIRECT_PATH)?;
        Ok(client)
    };
    // The first ones fill tables that are shared.
    let (_early, _) = front.during(open)?;
    let (clients, idle) = front.during(move || (0..HELD).map(|_| open()).collect::<io::Result<Vec<_>>>())?;
    let revision = Arc::clone(&activated.revision);
    let (_clients, parked) = front.during(move || {
        for client in &clients {
            send(client, "/")?;
        }
        while revision.parked() < HELD {
            thread::yield_now();
        }
        Ok(clients)
    })?;
    Ok((idle, parked))
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    Ok(client)
}

fn send(mut client: &TcpStream, path: &str) -> io::Result<()> {
    let host = fixture::host(7);
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n").as_bytes())
}

/// One request and its answer, which ends with a newline.
fn exchange(mut client: &TcpStream, path: &str) -> io::Result<()> {
    send(client, path)?;
    let mut answer = Vec::new();
    while head_end(&answer).is_none() || answer.ends_with(b"\r\n") {
        let mut chunk = [0; 4096];
        let read = client.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
    Ok(())
}
