//! Who sends the requests: a load generator that is a process of its own, and what it reports.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::{backend, fixture};

mod h1;
mod h2;
mod pace;

/// The line that says that the warm-up is over and counting has begun.
pub const MEASURING: &str = "measuring";
/// The longest latency that is told apart: a minute.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Class {
    /// HTTP/1.1, small answers, 64 connections, each with one request after the other.
    H1,
    /// HTTP/1.1, small answers, one connection, and all processes on one core.
    H1Single,
    /// HTTP/1.1, answers of 100 KiB, 64 connections.
    #[value(name = "h1-100k")]
    H1Large,
    /// HTTP/2 by prior knowledge, small answers, 8 connections of 32 streams; HTTP/1.1 to the backend.
    H2c,
    /// HTTP/1.1, small answers, 5 000 requests a second whatever the answers take (open loop).
    H1Paced,
}

/// What a class comes to.
struct Shape {
    connections: usize,
    streams: usize,
    path: &'static str,
    per_second: Option<u32>,
}

/// How long and from whom.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Plan {
    /// The kind of load.
    #[arg(long, value_enum)]
    pub class: Class,
    /// Where to send it.
    #[arg(long)]
    pub target: SocketAddr,
    /// How long to send before counting, in milliseconds.
    #[arg(long)]
    pub warm_up_ms: u64,
    /// How long to count, in milliseconds.
    #[arg(long)]
    pub count_ms: u64,
}

/// What the generator saw while it counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Requests that were sent and answered 200 in that time.
    pub requests: u64,
    /// Requests that were answered otherwise or not at all, at any time.
    pub errors: u64,
    /// How long it counted, in microseconds.
    pub elapsed_us: u64,
    /// Median latency in nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile of the latency in nanoseconds.
    pub p99_ns: u64,
}

impl Class {
    /// Every class, in the order of the tables.
    pub const ALL: [Self; 5] = [Self::H1, Self::H1Single, Self::H1Large, Self::H2c, Self::H1Paced];

    /// Whether the proxy has to speak HTTP/2 to its clients.
    #[must_use]
    pub fn is_h2(self) -> bool {
        self == Self::H2c
    }

    /// Whether all processes share one core, so that latency is the sum of everybody's work.
    #[must_use]
    pub fn on_one_core(self) -> bool {
        self == Self::H1Single
    }

    fn shape(self) -> Shape {
        let small = Shape {
            connections: 64,
            streams: 1,
            path: "/",
            per_second: None,
        };
        match self {
            Self::H1 => small,
            Self::H1Single => Shape {
                connections: 1,
                ..small
            },
            Self::H1Large => Shape {
                path: backend::LARGE_PATH,
                ..small
            },
            Self::H2c => Shape {
                connections: 8,
                streams: 32,
                ..small
            },
            Self::H1Paced => Shape {
                per_second: Some(5_000),
                ..small
            },
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H1 => "h1",
            Self::H1Single => "h1-single",
            Self::H1Large => "h1-100k",
            Self::H2c => "h2c",
            Self::H1Paced => "h1-paced",
        })
    }
}

/// Sends the load; prints [`MEASURING`] when counting begins, and the [`Report`] at the end.
///
/// # Errors
/// When no connection can be made.
pub async fn run(plan: Plan) -> anyhow::Result<()> {
    let counted = Counted::starting_after(
        Duration::from_millis(plan.warm_up_ms),
        Duration::from_millis(plan.count_ms),
    )?;
    let mut senders = JoinSet::new();
    start(&mut senders, plan.target, plan.class, &counted).await?;
    tokio::time::sleep_until(counted.from.into()).await;
    writeln!(io::stdout(), "{MEASURING}")?;
    while let Some(ended) = senders.join_next().await {
        ended?.context("the load generator failed")?;
    }
    writeln!(io::stdout(), "{}", counted.report())?;
    Ok(())
}

async fn start(
    senders: &mut JoinSet<io::Result<()>>,
    target: SocketAddr,
    class: Class,
    counted: &Counted,
) -> io::Result<()> {
    let shape = class.shape();
    match shape.per_second {
        Some(per_second) => pace::start(senders, target, &shape, per_second, counted).await,
        None if class.is_h2() => h2::start(senders, target, &shape, counted).await,
        None => h1::start(senders, target, &shape, counted).await,
    }
}

/// The host that the requests ask for: one in the middle of the proxy's.
fn host() -> String {
    fixture::host(fixture::HOSTS / 2)
}

/// The stretch of time that counts, and what was counted in it. Clones share the count.
#[derive(Clone)]
struct Counted {
    from: Instant,
    until: Instant,
    tally: Arc<Mutex<Tally>>,
}

struct Tally {
    latencies: Histogram<u64>,
    errors: u64,
}

impl Counted {
    fn starting_after(warm_up: Duration, count: Duration) -> anyhow::Result<Self> {
        let from = Instant::now() + warm_up;
        let tally = Tally {
            latencies: Histogram::new_with_max(LATENCY_NS_MAX, 3)?,
            errors: 0,
        };
        Ok(Self {
            from,
            until: from + count,
            tally: Arc::new(Mutex::new(tally)),
        })
    }

    fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// Counts a request that was to be sent at `started` and was answered at `ended`.
    fn answered(&self, started: Instant, ended: Instant) {
        if started >= self.from && ended < self.until {
            let nanoseconds = u64::try_from((ended - started).as_nanos()).unwrap_or(u64::MAX);
            self.with_tally(|tally| tally.latencies.saturating_record(nanoseconds));
        }
    }

    fn failed(&self) {
        self.with_tally(|tally| tally.errors += 1);
    }

    fn report(&self) -> Report {
        self.with_tally(|tally| Report {
            requests: tally.latencies.len(),
            errors: tally.errors,
            elapsed_us: u64::try_from((self.until - self.from).as_micros()).unwrap_or(u64::MAX),
            p50_ns: tally.latencies.value_at_quantile(0.5),
            p99_ns: tally.latencies.value_at_quantile(0.99),
        })
    }

    fn with_tally<T>(&self, use_it: impl FnOnce(&mut Tally) -> T) -> T {
        use_it(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            errors,
            elapsed_us,
            p50_ns,
            p99_ns,
        } = self;
        write!(f, "report {requests} {errors} {elapsed_us} {p50_ns} {p99_ns}")
    }
}

impl FromStr for Report {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        let numbers = line
            .strip_prefix("report ")
            .context("not a report of the load generator")?;
        let numbers = numbers
            .split(' ')
            .map(str::parse)
            .collect::<Result<Vec<u64>, _>>()?;
        let [requests, errors, elapsed_us, p50_ns, p99_ns] = *numbers.as_slice() else {
            anyhow::bail!(
                "a report of the load generator has five numbers, this one {}",
                numbers.len()
            );
        };
        Ok(Self {
            requests,
            errors,
            elapsed_us,
            p50_ns,
            p99_ns,
        })
    }
}

#[cfg(test)]
mod tests;
