//! How is one subject measured once, and did anybody else work meanwhile?

use std::time::{Duration, Instant};

use anyhow::Context;

use super::WARM_UP;
use super::subject::{Ground, Subject};
use crate::load::{Class, Plan, Report};
use crate::proc;

/// More of a core than this, used by others, disturbs a measurement.
const FOREIGN_MAX: f64 = 0.05;

/// One measurement.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) report: Report,
    /// Of the proxy's processes; none without a proxy.
    pub(super) cpu: Option<Duration>,
    /// What others used meanwhile, in cores.
    pub(super) foreign: f64,
    /// What the proxy held afterwards, in bytes.
    pub(super) bytes: u64,
}

impl Sample {
    /// Sends the load of `class` to a subject.
    pub(super) async fn take(
        ground: &mut Ground,
        subject: &Subject,
        class: Class,
        count: Duration,
    ) -> anyhow::Result<Self> {
        let target = subject.doors.at(class.door()).context("a port for it")?;
        let plan = Plan {
            class,
            target,
            authority: Some(ground.authority.clone()),
            per_second: ground.per_second,
            warm_up_ms: milliseconds(WARM_UP),
            count_ms: milliseconds(count),
        };
        let known = [Some(ground.ends.id()?), Some(std::process::id())];
        ground.ends.begin(&plan).await?;
        let before = Look::at(subject, &known)?;
        let report = ground.ends.report().await?;
        let after = Look::at(subject, &known)?;
        Ok(Self {
            report,
            cpu: after
                .cpu
                .zip(before.cpu)
                .map(|(after, before)| after.saturating_sub(before)),
            foreign: after.foreign_since(&before),
            bytes: subject
                .id()?
                .map(proc::resident_bytes)
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// Whether others worked so much that it says little.
    pub(super) fn is_disturbed(&self) -> bool {
        self.foreign > FOREIGN_MAX
    }

    /// CPU time per request in microseconds.
    pub(super) fn cpu_us(&self) -> Option<f64> {
        let cpu = self.cpu?.as_secs_f64() * 1_000_000.0;
        Some(cpu / self.report.requests.max(1) as f64)
    }

    pub(super) fn per_second(&self) -> f64 {
        self.report.requests as f64 / (self.report.elapsed_us.max(1) as f64 / 1_000_000.0)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The clocks at one moment.
struct Look {
    at: Instant,
    cpu: Option<Duration>,
    known: Duration,
    machine: Duration,
}

impl Look {
    fn at(subject: &Subject, known: &[Option<u32>]) -> anyhow::Result<Self> {
        let proxy = subject.id()?;
        let mut sum = Duration::ZERO;
        for process in known.iter().flatten() {
            // Its own only: what it started is known by itself.
            sum += proc::own_cpu_time(*process)?;
        }
        let cpu = proxy.map(proc::cpu_time).transpose()?;
        Ok(Self {
            at: Instant::now(),
            known: sum + cpu.unwrap_or_default(),
            cpu,
            machine: proc::machine_cpu_time()?,
        })
    }

    fn foreign_since(&self, before: &Self) -> f64 {
        let machine = self.machine.saturating_sub(before.machine);
        let known = self.known.saturating_sub(before.known);
        let wall = (self.at - before.at).as_secs_f64();
        machine.saturating_sub(known).as_secs_f64() / wall.max(f64::EPSILON)
    }
}
