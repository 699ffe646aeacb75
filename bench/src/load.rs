//! Who sends the requests, and what it reports.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::fixture;

mod class;
mod dial;
mod grpc;
mod h1;
mod h2;
mod pace;
mod report;
mod websocket;

pub use class::{Class, Door, Doors};
use class::{Pace, Traffic};
use dial::Dial;
pub use report::Report;

/// The line that says that the warm-up is over and counting has begun.
pub const MEASURING: &str = "measuring";
/// The longest latency that is told apart: a minute.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// How long and from whom.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// The kind of load.
    pub class: Class,
    /// Where to send it.
    pub target: SocketAddr,
    /// The authority that the target's certificate is signed by, PEM.
    pub authority: Option<PathBuf>,
    /// How many requests a second, for a class whose rate is measured first.
    pub per_second: Option<u32>,
    /// How long to send before counting, in milliseconds.
    pub warm_up_ms: u64,
    /// How long to count, in milliseconds.
    pub count_ms: u64,
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
    let dial = match (plan.class.door(), &plan.authority) {
        (Door::Tls, Some(authority)) => Dial::tls(plan.target, authority)?,
        (Door::Tls, None) => anyhow::bail!("a class over TLS needs an authority"),
        _ => Dial::plain(plan.target),
    };
    let mut senders = JoinSet::new();
    start(&mut senders, &dial, plan.class, plan.per_second, &counted).await?;
    tokio::time::sleep_until(counted.from.into()).await;
    writeln!(io::stdout(), "{MEASURING}")?;
    while let Some(ended) = senders.join_next().await {
        ended?.context("the load generator failed")?;
    }
    Ok(writeln!(io::stdout(), "{}", counted.report())?)
}

async fn start(
    senders: &mut JoinSet<io::Result<()>>,
    dial: &Dial,
    class: Class,
    measured: Option<u32>,
    counted: &Counted,
) -> io::Result<()> {
    let shape = class.shape();
    let per_second = match shape.pace {
        Pace::Answers => None,
        Pace::PerSecond(fixed) => Some(fixed),
        Pace::Measured => Some(measured.ok_or_else(|| io::Error::other(format!("{class} needs a rate")))?),
    };
    if let Some(per_second) = per_second {
        return pace::start(senders, dial, &shape, per_second, counted).await;
    }
    match shape.traffic {
        Traffic::Get(_) | Traffic::Post(_) | Traffic::Connections => {
            h1::start(senders, dial, &shape, counted).await
        }
        Traffic::WebSocket => websocket::start(senders, dial, &shape, counted).await,
        Traffic::Streams => h2::start(senders, dial, &shape, counted).await,
        Traffic::Calls | Traffic::Messages => grpc::start(senders, dial, &shape, counted).await,
    }
}

/// The host that the requests ask for.
fn host() -> String {
    fixture::host(fixture::ASKED)
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
            p999_ns: tally.latencies.value_at_quantile(0.999),
        })
    }

    fn with_tally<T>(&self, use_it: impl FnOnce(&mut Tally) -> T) -> T {
        use_it(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
