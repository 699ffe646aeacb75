//! How well do two activators keep a revision's pods busy, each with its slice of them?
//!
//! Pods take one request at a time. Requests come steadily, then in a burst that is more than the pods can do, then
//! steadily again. Each activator runs on a thread of its own, from the proxy down to the pods' sockets; the same load by
//! plain round robin, where requests queue at the pods, is reported beside it.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

mod driver;
mod pods;
mod sampler;

use driver::{Driver, Way};
use pods::Pods;
use sampler::{Idle, Slice};

/// What is measured.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Pods of the revision.
    #[arg(long, default_value_t = 20)]
    pods: usize,
    /// How long a request takes at its pod, in milliseconds.
    #[arg(long, default_value_t = 100)]
    work_ms: u64,
    /// Requests a second before and after the burst.
    #[arg(long, default_value_t = 160)]
    rate: u32,
    /// Requests a second in the burst.
    #[arg(long, default_value_t = 500)]
    burst_rate: u32,
    /// How long it is steady before the burst, in seconds.
    #[arg(long, default_value_t = 30)]
    steady: u64,
    /// How long the burst is, in seconds.
    #[arg(long, default_value_t = 60)]
    burst: u64,
    /// How long it is steady after the burst, in seconds.
    #[arg(long, default_value_t = 90)]
    recovery: u64,
    /// How many requests wait at most in each activator.
    #[arg(long, default_value_t = 1_000)]
    queue: usize,
}

/// How many activators there are.
const ACTIVATORS: usize = 2;
/// The most pod time that may be idle while requests wait for the pods of the same slice.
const IDLE_SHARE_MAX: f64 = 0.01;
/// The longest that a pod may be idle between two requests while others wait, of 99 in 100 times.
const HAND_OVER_P99_MAX: Duration = Duration::from_millis(2);

/// What became of requests, by phase: how many got which status.
type Statuses = [BTreeMap<u16, u64>; 3];
const PHASES: [&str; 3] = ["before", "burst", "after"];

impl Options {
    /// How long each phase is, and its rate for one activator.
    fn phases(&self) -> [(Duration, f64); 3] {
        let each = |rate: u32| f64::from(rate) / ACTIVATORS as f64;
        [
            (self.steady, self.rate),
            (self.burst, self.burst_rate),
            (self.recovery, self.rate),
        ]
        .map(|(seconds, rate)| (Duration::from_secs(seconds), each(rate)))
    }
}

/// Measures, and prints the figures with the bars that they have to meet.
///
/// # Errors
/// When a part does not come up, or a bar is not met.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let sliced = measure(options, Way::Sliced)?;
    let plain = measure(options, Way::RoundRobin)?;
    let mut out = std::io::stdout();
    report(&mut out, "sliced", &sliced)?;
    report(&mut out, "plain round robin", &plain)?;
    let share = sliced.own.share();
    let p99 = percentile(&sliced.hand_overs, 0.99);
    writeln!(
        out,
        "own slice: {:.3} % of pod time idle while requests waited (bar: {} %)",
        share * 100.0,
        IDLE_SHARE_MAX * 100.0
    )?;
    writeln!(
        out,
        "hand-over: {} of them, median {:?}, p99 {p99:?} (bar: {HAND_OVER_P99_MAX:?}), longest {:?}",
        sliced.hand_overs.len(),
        percentile(&sliced.hand_overs, 0.5),
        percentile(&sliced.hand_overs, 1.0)
    )?;
    anyhow::ensure!(share <= IDLE_SHARE_MAX, "pods were idle while requests waited");
    anyhow::ensure!(p99 <= HAND_OVER_P99_MAX, "hand-overs took too long");
    Ok(())
}

/// What one run gave.
struct Measured {
    /// Over each activator's own slice, while it had requests that waited.
    own: Idle,
    /// Over all pods, while requests waited anywhere.
    all: Idle,
    /// How long pods were idle between two requests while others waited; sorted.
    hand_overs: Vec<Duration>,
    statuses: Statuses,
}

fn measure(options: Options, way: Way) -> anyhow::Result<Measured> {
    let pods = Pods::start(options.pods, Duration::from_millis(options.work_ms))?;
    let addresses: Vec<SocketAddr> = pods.addresses().collect();
    let drivers: Vec<_> = (0..ACTIVATORS)
        .map(|index| Driver::new(way, &addresses, (index, ACTIVATORS), options.queue))
        .collect();
    let slices: Vec<Slice> = drivers.iter().map(|driver| pods.slice(driver)).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let sampler = {
        let (stop, pods) = (Arc::clone(&stop), pods.states());
        thread::Builder::new()
            .name("sampler".into())
            .spawn(move || sampler::run(&slices, &pods, &stop))?
    };
    let begin = Instant::now();
    let threads: Vec<_> = drivers
        .into_iter()
        .map(|driver| {
            thread::Builder::new()
                .name("activator".into())
                .spawn(move || driver.run(begin, options.phases()))
        })
        .collect::<std::io::Result<_>>()?;
    let mut statuses = Statuses::default();
    for thread in threads {
        let counted = thread.join().ok().context("an activator's thread panicked")??;
        for (all, one) in statuses.iter_mut().zip(counted) {
            for (status, count) in one {
                *all.entry(status).or_default() += count;
            }
        }
    }
    stop.store(true, SeqCst);
    let (own, all) = sampler.join().ok().context("the sampler panicked")?;
    Ok(Measured {
        own,
        all,
        hand_overs: pods.hand_overs(),
        statuses,
    })
}

fn report(out: &mut impl Write, name: &str, measured: &Measured) -> std::io::Result<()> {
    writeln!(
        out,
        "{name}: {:.3} % of all pods' time idle while requests waited anywhere ({:.1} pod-seconds of {:.1})",
        measured.all.share() * 100.0,
        measured.all.idle_seconds(),
        measured.all.pod_seconds()
    )?;
    for (phase, statuses) in PHASES.into_iter().zip(&measured.statuses) {
        let counts = statuses
            .iter()
            .map(|(status, count)| format!("{count} x {status}"));
        writeln!(out, "  {phase}: {}", counts.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}
