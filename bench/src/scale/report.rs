//! How do the figures of the scale bench read, and do they meet their bars?

use std::io::{self, Write};
use std::time::Duration;

use super::subject::{Program, Transport};
use crate::park::summary::verdict;

/// What the program costs with one service, at most.
const BASE_MIB_MAX: f64 = 15.0;
/// What a service costs, at most.
const SERVICE_KIB_MAX: f64 = 6.0;
/// The most that is resident at any moment.
const PEAK_MIB_MAX: f64 = 200.0;
/// From the start to the first response, everything to be loaded.
const COLD_MAX: Duration = Duration::from_secs(1);
/// One change by delta.
const DELTA_CHANGE_MAX: Duration = Duration::from_millis(20);
/// One change by a full push.
const FULL_CHANGE_MAX: Duration = Duration::from_millis(150);
/// From the start to the first response, from disk.
const DISK_MAX: Duration = Duration::from_millis(500);

/// What was measured.
#[derive(Debug)]
pub(super) struct Report {
    program: Program,
    transport: Transport,
    services: usize,
    pub(super) base_bytes: u64,
    pub(super) pushed_bytes: usize,
    pub(super) loaded: Duration,
    pub(super) loaded_bytes: u64,
    pub(super) changes: Vec<Duration>,
    pub(super) route_changes: Vec<Duration>,
    pub(super) peak_bytes: u64,
    pub(super) cold: Duration,
    pub(super) from_disk: Option<Duration>,
}

impl Report {
    pub(super) fn new(program: Program, transport: Transport, services: usize) -> Self {
        Self {
            program,
            transport,
            services,
            base_bytes: 0,
            pushed_bytes: 0,
            loaded: Duration::ZERO,
            loaded_bytes: 0,
            changes: Vec::new(),
            route_changes: Vec::new(),
            peak_bytes: 0,
            cold: Duration::ZERO,
            from_disk: None,
        }
    }

    /// Prints it, with the bars where it is ours.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let pushed = mib(self.pushed_bytes as u64);
        writeln!(
            out,
            "{}, {}, {} services ({pushed:.1} MiB pushed):",
            self.program, self.transport, self.services
        )?;
        let base = mib(self.base_bytes);
        self.line(
            out,
            format!("with one service {base:.1} MiB"),
            base <= BASE_MIB_MAX,
            "15 MiB",
        )?;
        let each = self.loaded_bytes.saturating_sub(self.base_bytes) as f64 / self.services as f64 / 1024.0;
        let loaded = mib(self.loaded_bytes);
        let text = format!("with all {loaded:.1} MiB, {each:.2} KiB a service");
        self.line(out, text, each <= SERVICE_KIB_MAX, "6 KiB")?;
        let peak = mib(self.peak_bytes);
        self.line(
            out,
            format!("peak {peak:.1} MiB"),
            peak <= PEAK_MIB_MAX,
            "200 MiB",
        )?;
        writeln!(out, "  loaded while running in {:.0} ms", ms(self.loaded))?;
        let cold = format!("loaded from a cold start in {:.0} ms", ms(self.cold));
        self.line(out, cold, self.cold <= COLD_MAX, "1 s")?;
        let (bar, shown) = match self.transport {
            Transport::Delta => (DELTA_CHANGE_MAX, "20 ms"),
            Transport::StateOfTheWorld => (FULL_CHANGE_MAX, "150 ms"),
        };
        let median = median(&self.changes);
        let text = format!("one service's pods: seen after {}", spread(&self.changes));
        self.line(out, text, median <= bar, shown)?;
        let text = format!("one service's routes: seen after {}", spread(&self.route_changes));
        let median = self::median(&self.route_changes);
        self.line(out, text, median <= FULL_CHANGE_MAX, "150 ms")?;
        if let Some(disk) = self.from_disk {
            let text = format!(
                "from disk, nobody to ask: first response after {:.0} ms",
                ms(disk)
            );
            self.line(out, text, disk <= DISK_MAX, "500 ms")?;
        }
        Ok(())
    }

    fn line(&self, out: &mut impl Write, text: String, met: bool, bar: &str) -> io::Result<()> {
        match self.program {
            Program::Envoy => writeln!(out, "  {text}"),
            Program::Tidegate => writeln!(out, "  {text}; bar {bar}: {}", verdict(met)),
        }
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn median(durations: &[Duration]) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn spread(durations: &[Duration]) -> String {
    let (least, most) = (durations.iter().min(), durations.iter().max());
    let shown = |duration: Option<&Duration>| ms(duration.copied().unwrap_or_default());
    format!(
        "{:.1} ms (median of {}; {:.1} to {:.1})",
        ms(median(durations)),
        durations.len(),
        shown(least),
        shown(most)
    )
}
