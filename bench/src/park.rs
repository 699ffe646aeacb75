//! What does a parked request cost, and how soon is it on its way once a replica is ready?
//!
//! The whole chain runs here: listener, route, activator, pool and a backend; clients are a process of their own, so
//! that their memory is not counted. Two figures: resident memory of parked requests above that of the idle connections
//! they came on, and the time from the probe's success to the request's first bytes at the replica.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tidegate_proxy::Proxy;
use tidegate_proxy::config::Handle;
use tidegate_proxy::drain::{Drain, Watch};
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::process::{self, Workers};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::child::Process;
use crate::fixture::Activated;
use crate::proc;

pub mod client;
mod replica;
pub(crate) mod summary;

use replica::Replicas;
use summary::Summary;

/// How many services the proxy knows.
const HOSTS: usize = 10;
/// How long requests may take to be parked.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often a count is looked at while it is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Descriptors beside those of the clients' connections: replicas, pools, the runtime's own.
const SPARE_DESCRIPTORS: u64 = 1_000;

/// How much to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Connections, and requests that are parked at once.
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// Cold starts of a single request.
    #[arg(long, default_value_t = 1_000)]
    repeats: usize,
    /// How many requests at once a replica takes (containerConcurrency) when all parked ones are let go.
    #[arg(long, default_value_t = 100)]
    concurrency: u32,
}

/// Measures, and prints the figures with the bars that they have to meet.
///
/// # Errors
/// When a part does not come up, or a request is lost.
pub async fn run(options: Options) -> anyhow::Result<()> {
    client::allow_descriptors(options.requests as u64 + SPARE_DESCRIPTORS)?;
    let mut bench = Bench::start(options).await?;
    bench.memory().await?;
    bench.cold_starts().await
}

struct Bench {
    options: Options,
    activated: Activated,
    replicas: Replicas,
    client: Process,
    _drain: Drain,
}

impl Bench {
    async fn start(options: Options) -> anyhow::Result<Self> {
        let activated = Activated::new(options.concurrency);
        let (drain, watch) = Drain::new();
        let front = front(Handle::new(activated.snapshot(HOSTS)?), &watch)?;
        let client = Process::own(["park-client", "--target", &front.to_string()], None)?;
        Ok(Self {
            options,
            activated,
            replicas: Replicas::start()?,
            client,
            _drain: drain,
        })
    }

    /// Parks everybody at once, weighs them, and lets them go.
    async fn memory(&mut self) -> anyhow::Result<()> {
        let requests = self.options.requests;
        let this = std::process::id();
        let empty = proc::settled_resident_bytes(this).await?;
        self.ask(&format!("connect {requests}"), "connected").await?;
        let idle = proc::settled_resident_bytes(this).await?;
        self.ask(&format!("send {requests}"), "sent").await?;
        self.parked(requests).await?;
        let parked = proc::settled_resident_bytes(this).await?;

        let replica = self.replicas.add()?;
        let ready = Instant::now();
        self.activated.ready([replica]);
        self.ask("receive", "received").await?;
        let arrivals = self.replicas.arrivals(requests).await?;
        let mut out = std::io::stdout();
        summary::memory(&mut out, "idle connections", requests, empty, idle)?;
        let each = summary::memory(&mut out, "parked requests", requests, idle, parked)?;
        summary::judge_parked(&mut out, each)?;
        let mut summary = Summary::default();
        summary.extend(ready, &arrivals);
        writeln!(
            out,
            "all let go at once, {} at a time: {summary}",
            self.options.concurrency
        )?;
        Ok(())
    }

    /// One request at zero, again and again, each time to a replica that was never seen before.
    async fn cold_starts(&mut self) -> anyhow::Result<()> {
        let (mut all, mut floor) = (Summary::default(), Summary::default());
        for _ in 0..self.options.repeats {
            self.activated.ready([]);
            self.ask("send 1", "sent").await?;
            self.parked(1).await?;
            let replica = self.replicas.add()?;
            let ready = Instant::now();
            self.activated.ready([replica]);
            all.extend(ready, &self.replicas.arrivals(1).await?);
            self.ask("receive", "received").await?;

            let started = Instant::now();
            let mut stream = TcpStream::connect(replica).await?;
            client::send(&mut stream, "/").await?;
            floor.extend(started, &self.replicas.arrivals(1).await?);
        }
        let mut out = std::io::stdout();
        writeln!(out, "{} cold starts of one request: {all}", self.options.repeats)?;
        writeln!(out, "  the same way without a proxy (connect and send): {floor}")?;
        summary::judge_readiness(&mut out, &all, &floor)?;
        Ok(())
    }

    async fn ask(&mut self, command: &str, expected: &str) -> anyhow::Result<()> {
        self.client.tell(command).await?;
        let answer = self.client.line().await?;
        anyhow::ensure!(
            answer == expected,
            "the client answers '{command}' with '{answer}'"
        );
        Ok(())
    }

    async fn parked(&self, count: usize) -> anyhow::Result<()> {
        let reached = async {
            while self.activated.revision.parked() != count {
                sleep(LOOK_AGAIN).await;
            }
        };
        let late = || {
            format!(
                "{} of {count} requests are parked",
                self.activated.revision.parked()
            )
        };
        timeout(DEADLINE, reached).await.with_context(late)
    }
}

/// Starts a proxy as a program of ours does, with a worker for each core.
fn front(config: Handle, watch: &Watch) -> anyhow::Result<SocketAddr> {
    let workers = process::default_workers();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Listener::bind(any, workers, EdgePolicy::default(), Connections::default())?;
    let address = listener.address();
    let acceptors: Arc<Mutex<Vec<_>>> = Arc::new(Mutex::new(listener.into_acceptors().collect()));
    let watch = watch.clone();
    Workers::start(workers, move |_index| {
        let acceptor = acceptors.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let proxy = Proxy::new(config.clone(), watch.clone());
        async move {
            if let Some(acceptor) = acceptor {
                // The bench waits for its requests, and says so when they do not come.
                acceptor.serve(proxy).await.unwrap_or_default();
            }
        }
    })
    .context("cannot start the workers")?;
    Ok(address)
}
