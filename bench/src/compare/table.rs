//! How do the measurements of a class read?

use std::fmt::Write;

use serde::Serialize;

use super::bars::{REPEATS_MIN, Verdict, judge};
use super::subject::Subject;
use super::{Outcome, sample::Sample};
use crate::peers::Peer;
use crate::statistics::{Estimate, median};

/// A figure whose interval reaches further from its middle than this tells no small differences.
const HALF_WIDTH_MAX: f64 = 0.05;
const MIB: f64 = 1024.0 * 1024.0;

/// One subject's figures: medians over its repeats.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: &'static str,
    requests_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    pub(super) cpu_us: Option<Estimate>,
    /// Ours by this one's, in CPU per request.
    ours_by_it: Option<Estimate>,
    idle_mib: f64,
    loaded_mib: f64,
    started_ms: Option<f64>,
    errors: u64,
    /// Repeats in which others used the machine too.
    disturbed: usize,
    repeats: usize,
}

/// A class with its figures and bars, as it is written down.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) class: String,
    pub(super) rows: Vec<Row>,
    bars: Vec<Verdict>,
}

impl Figures {
    pub(super) fn of(outcome: &Outcome) -> Self {
        Self {
            class: outcome.class.to_string(),
            rows: outcome
                .subjects
                .iter()
                .map(|subject| Row::of(outcome, subject))
                .collect(),
            bars: judge(outcome),
        }
    }

    /// The table of a class, and what to think of it.
    pub(super) fn render(&self) -> String {
        let mut text = format!(
            "\n{}\n{:<10} {:>10} {:>9} {:>9} {:>9} {:>22} {:>9} {:>15} {:>8}\n",
            self.class,
            "",
            "requests/s",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "CPU µs/req",
            "ours/it",
            "MiB",
            "start ms"
        );
        for row in &self.rows {
            // Writing to a String does not fail.
            _ = writeln!(text, "{}", row.line());
        }
        for bar in &self.bars {
            _ = writeln!(text, "{bar}");
        }
        let repeats = self.rows.iter().map(|row| row.repeats).min().unwrap_or_default();
        if repeats < REPEATS_MIN && !self.bars.is_empty() {
            _ = writeln!(
                text,
                "a first impression: a bar takes {REPEATS_MIN} repeats, these are {repeats}"
            );
        }
        for noisy in self.rows.iter().filter_map(Row::noise) {
            _ = writeln!(text, "{noisy}");
        }
        text
    }
}

impl Row {
    fn of(outcome: &Outcome, subject: &Subject) -> Self {
        let samples = &subject.samples;
        let over = |of: &dyn Fn(&Sample) -> f64| median(samples.iter().map(of).collect());
        let started = subject.running.as_ref();
        Self {
            name: subject.name,
            requests_per_second: over(&Sample::per_second),
            p50_us: over(&|sample| sample.report.p50_ns as f64 / 1_000.0),
            p99_us: over(&|sample| sample.report.p99_ns as f64 / 1_000.0),
            p999_us: over(&|sample| sample.report.p999_ns as f64 / 1_000.0),
            cpu_us: outcome.cpu_us(subject.name),
            ours_by_it: outcome.cpu_ratio(subject.name),
            idle_mib: subject.idle_bytes as f64 / MIB,
            loaded_mib: over(&|sample| sample.bytes as f64) / MIB,
            started_ms: started.map(|running| running.started_after.as_secs_f64() * 1_000.0),
            errors: samples.iter().map(|sample| sample.report.errors).sum(),
            disturbed: samples.iter().filter(|sample| sample.is_disturbed()).count(),
            repeats: samples.len(),
        }
    }

    fn line(&self) -> String {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        let cpu = or_none(
            self.cpu_us
                .map(|Estimate { middle, low, high }| format!("{middle:.1} [{low:.1}, {high:.1}]")),
        );
        let ratio = self.ours_by_it.filter(|_| self.name != Peer::Tidegate.name());
        let ratio = or_none(ratio.map(|ratio| format!("{:.2}", ratio.middle)));
        let started = or_none(self.started_ms.map(|started| format!("{started:.0}")));
        let memory = or_none(
            self.started_ms
                .map(|_| format!("{:.1} / {:.1}", self.idle_mib, self.loaded_mib)),
        );
        let errors = match self.errors {
            0 => String::new(),
            errors => format!("  {errors} failed requests"),
        };
        format!(
            "{:<10} {:>10.0} {:>9.1} {:>9.1} {:>9.1} {cpu:>22} {ratio:>9} {memory:>15} {started:>8}{errors}",
            self.name, self.requests_per_second, self.p50_us, self.p99_us, self.p999_us
        )
    }

    /// Why this row does not count, if so.
    fn noise(&self) -> Option<String> {
        if self.disturbed * 4 > self.repeats {
            return Some(format!(
                "{} does not count: others used the machine in {} of {} repeats",
                self.name, self.disturbed, self.repeats
            ));
        }
        let Estimate { middle, low, high } = self.cpu_us?;
        let wide = (high - middle).max(middle - low) > middle * HALF_WIDTH_MAX;
        wide.then(|| {
            format!(
                "{} tells no small differences: its interval is wider than ±{:.0} %",
                self.name,
                HALF_WIDTH_MAX * 100.0
            )
        })
    }
}

#[cfg(test)]
mod tests;
