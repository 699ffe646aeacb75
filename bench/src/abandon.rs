//! Do requests that their clients give up leave anything behind?
//!
//! The whole activator runs here as its program does, in a cluster with one revision that never becomes ready; clients
//! are a process of their own, which opens a connection for each request, waits for a while, and leaves.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tidegate_activator::backends::endpoints::Service;
use tidegate_activator::backends::watch::Pace;
use tidegate_activator::program::network::Network;
use tidegate_activator::program::{Program, Settings};
use tidegate_activator::world::{Event, Found, Key, RevisionFacts, World};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::layers::timeout::Timeouts;
use tidegate_proxy::process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::child::Process;
use crate::park::client::allow_descriptors;
use crate::proc;

/// How often the memory is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);
/// How long the last requests may take to be gone.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// Descriptors beside those of the clients' connections.
const SPARE_DESCRIPTORS: u64 = 1_000;
/// How much more memory there may be at the end than when all of it was warm.
const GROWTH_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Which part of the run warms the memory up.
const WARM_UP: f64 = 0.2;

/// How much to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Requests a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How long a client waits before it leaves, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    patience_ms: u64,
    /// For how many seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// What a process of clients is told.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ClientOptions {
    /// Where they connect.
    #[arg(long)]
    target: SocketAddr,
    #[command(flatten)]
    options: Options,
}

struct NoServices;

impl World for NoServices {
    fn service<'a>(&'a self, _namespace: &'a str, _name: &'a str) -> Found<'a, Service> {
        Box::pin(async { None })
    }
}

/// Measures, and prints the figures with the bars that they have to meet.
///
/// # Errors
/// When a part does not come up, or something is left behind.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let waiting = u64::from(options.rate) * options.patience_ms.div_ceil(1_000);
    allow_descriptors(2 * waiting + SPARE_DESCRIPTORS)?;
    let program = start().await?;
    let address = program.addresses().first().context("it listens nowhere")?;
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
    let [rate, patience, seconds] =
        [u64::from(options.rate), options.patience_ms, options.seconds].map(|number| number.to_string());
    let target = target.to_string();
    let arguments = ["abandon-client", "--target", &target, "--rate", &rate];
    let more = ["--patience-ms", &patience, "--seconds", &seconds];
    let mut client = Process::own(arguments.into_iter().chain(more), None)?;

    let (begin, mut out, mut looks) = (Instant::now(), std::io::stdout(), Vec::new());
    let whole = Duration::from_secs(options.seconds);
    while begin.elapsed() < whole {
        sleep(BETWEEN_LOOKS.min(whole)).await;
        let (resident, parked) = (proc::own_resident_bytes()?, program.registry().parked());
        let at = begin.elapsed();
        writeln!(
            out,
            "{:4} s: {:6} KiB resident, {parked} parked",
            at.as_secs(),
            resident / 1024
        )?;
        looks.push((at, resident));
    }
    let said = client.line().await?;
    settle(&program).await?;
    judge(&mut out, &looks, whole)?;
    writeln!(out, "{said}; none is parked any more")?;
    program.stop(Duration::ZERO).await;
    Ok(())
}

/// The program in a cluster whose one revision has no pods.
async fn start() -> anyhow::Result<Program> {
    let settings = Settings {
        pod_name: "activator".to_owned(),
        own: Ipv4Addr::LOCALHOST.into(),
        ports: vec![0],
        tls_port: 0,
        tls: tidegate_proxy::tls::terms::Terms::default(),
        // Nobody is there: reports are dropped.
        autoscaler: "ws://127.0.0.1:9/".parse()?,
        cluster_domain: "cluster.local".to_owned(),
        network: Network::default(),
        pace: Pace {
            interval: Duration::from_millis(200),
            timeout: Duration::from_millis(300),
        },
        workers: process::default_workers(),
    };
    let (events, receiver) = mpsc::channel(2);
    let facts = RevisionFacts {
        key: Key {
            namespace: "default".to_owned(),
            name: "never-00001".to_owned(),
        },
        service: "never".to_owned(),
        configuration: "never".to_owned(),
        container_concurrency: 1,
        timeouts: Timeouts::from_seconds(300, 0, 0),
        port_name: "http",
        believe_pods: true,
    };
    events.send(Event::Revision(Box::new(facts))).await?;
    events.send(Event::Synced).await?;
    let program = Program::start(settings, Arc::new(NoServices), receiver, Drain::new()).await?;
    Ok(program)
}

/// Waits until nothing is left of any request.
async fn settle(program: &Program) -> anyhow::Result<()> {
    let counts = || {
        let revisions = program.registry().revisions();
        let waiting: usize = revisions.iter().map(|revision| revision.parked()).sum();
        (program.registry().parked(), waiting)
    };
    let settled = async {
        while counts() != (0, 0) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let late = || format!("requests are left behind: {:?}", counts());
    timeout(SETTLE_MAX, settled).await.with_context(late)
}

/// Memory that grows is found by the end of the run against the time after the warm-up.
fn judge(out: &mut impl Write, looks: &[(Duration, u64)], whole: Duration) -> anyhow::Result<()> {
    let warm = looks.iter().find(|(at, _)| *at >= whole.mul_f64(WARM_UP));
    let (Some((_, warm)), Some((_, end))) = (warm, looks.last()) else {
        return Ok(());
    };
    let growth = end.saturating_sub(*warm);
    writeln!(
        out,
        "memory: {} KiB when warm, {} KiB at the end (bar: at most {} KiB more)",
        warm / 1024,
        end / 1024,
        GROWTH_BYTES_MAX / 1024
    )?;
    anyhow::ensure!(
        growth <= GROWTH_BYTES_MAX,
        "the memory grew by {} KiB",
        growth / 1024
    );
    Ok(())
}

/// The clients: says at the end how many requests there were, and how many were answered all the same.
///
/// # Errors
/// When a connection cannot be made.
pub async fn client(told: ClientOptions) -> anyhow::Result<()> {
    let ClientOptions { target, options } = told;
    let patience = Duration::from_millis(options.patience_ms);
    let count = u64::from(options.rate) * options.seconds;
    let mut ticks = interval(Duration::from_secs(1) / options.rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut clients, mut answered) = (JoinSet::new(), 0_u64);
    for _ in 0..count {
        ticks.tick().await;
        clients.spawn(give_up(target, patience));
        while let Some(ended) = clients.try_join_next() {
            answered += u64::from(ended??);
        }
    }
    while let Some(ended) = clients.join_next().await {
        answered += u64::from(ended??);
    }
    anyhow::ensure!(answered == 0, "{answered} of {count} requests were answered");
    writeln!(std::io::stdout(), "{count} requests were given up")?;
    Ok(())
}

/// Sends one request and leaves; whether it was answered before.
async fn give_up(target: SocketAddr, patience: Duration) -> anyhow::Result<bool> {
    let mut stream = TcpStream::connect(target).await?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: never-00001.default.svc.cluster.local\r\n\r\n")
        .await?;
    Ok(timeout(patience, stream.read_u8()).await.is_ok())
}
