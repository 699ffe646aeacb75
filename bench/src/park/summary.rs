//! How do the figures of the park bench read, and do they meet their bars?

use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// The most that a parked request may cost above its idle connection, in bytes.
const PARKED_BYTES_MAX: u64 = 4 * 1024;
/// The most that may pass between a successful probe and the request on the wire, at the 99th percentile.
const READINESS_P99_MAX: Duration = Duration::from_millis(2);

/// How long requests took to arrive.
#[derive(Debug, Default)]
pub(super) struct Summary {
    durations: Vec<Duration>,
}

impl Summary {
    /// Adds the time from `start` to each arrival.
    pub(super) fn extend(&mut self, start: Instant, arrivals: &[Instant]) {
        let durations = arrivals
            .iter()
            .map(|arrival| arrival.saturating_duration_since(start));
        self.durations.extend(durations);
    }

    /// The smallest value that so many percent of all do not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.durations.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |percent| self.percentile(percent).as_secs_f64() * 1_000.0;
        let (first, half, most, last) = (ms(0), ms(50), ms(99), ms(100));
        write!(
            f,
            "first {first:.2} ms, p50 {half:.2} ms, p99 {most:.2} ms, last {last:.2} ms"
        )
    }
}

/// Prints what each of `count` costs in resident memory.
pub(crate) fn memory(
    out: &mut impl Write,
    what: &str,
    count: usize,
    before: u64,
    after: u64,
) -> io::Result<u64> {
    let each = after.saturating_sub(before) / count.max(1) as u64;
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    writeln!(
        out,
        "{count} {what}: {:.1} -> {:.1} MiB resident, {each} bytes each",
        mib(before),
        mib(after)
    )?;
    Ok(each)
}

/// Says whether parked requests are as light as they have to be.
pub(super) fn judge_parked(out: &mut impl Write, each: u64) -> io::Result<()> {
    let verdict = verdict(each <= PARKED_BYTES_MAX);
    writeln!(
        out,
        "  bar: at most {PARKED_BYTES_MAX} bytes above an idle connection: {verdict}"
    )
}

/// Says whether a request is on the wire as soon as it has to be, and whether the machine let that be seen: `floor` is
/// what it takes without a proxy.
pub(super) fn judge_readiness(
    out: &mut impl Write,
    cold_starts: &Summary,
    floor: &Summary,
) -> io::Result<()> {
    let verdict = verdict(cold_starts.percentile(99) <= READINESS_P99_MAX);
    writeln!(
        out,
        "  bar: p99 from probe to wire at most {READINESS_P99_MAX:?}: {verdict}"
    )?;
    if floor.percentile(99) > READINESS_P99_MAX / 2 {
        writeln!(
            out,
            "  the machine has other work: without a proxy the p99 is beyond half of the bar already"
        )?;
    }
    Ok(())
}

/// How a figure stands to its bar.
pub(crate) fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let check = |count: u64, percent, expected| {
            let durations = (1..=count).rev().map(Duration::from_millis).collect();
            let summary = Summary { durations };
            assert_eq!(
                summary.percentile(percent),
                Duration::from_millis(expected),
                "{percent} of {count}"
            );
        };
        check(0, 50, 0);
        check(1, 99, 1);
        check(100, 0, 1);
        check(100, 50, 50);
        check(100, 99, 99);
        check(1_000, 99, 990);
        check(100, 100, 100);
    }

    #[test]
    fn a_bar_that_is_missed_is_said_to_be() {
        let said = |each| {
            let mut out = Vec::new();
            judge_parked(&mut out, each).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(said(4_096).contains("met"), "{}", said(4_096));
        assert!(said(4_097).contains("MISSED"), "{}", said(4_097));
    }
}
