//! How do the measurements of a class read?

use std::fmt::Write;

use super::{Sample, Subject};
use crate::load::Class;

/// A larger spread between repeats means that the machine had other work.
const SPREAD_MAX: f64 = 0.10;

/// One subject's figures: medians over its repeats.
struct Row {
    name: &'static str,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: Option<f64>,
    /// Of the CPU time, or of the rate without a proxy: largest minus smallest, by the median.
    spread: f64,
    errors: u64,
}

/// The table of a class, and what to think of it.
pub(super) fn render(class: Class, subjects: &[Subject]) -> String {
    let rows: Vec<Row> = subjects
        .iter()
        .map(|subject| Row::of(subject.name, &subject.samples))
        .collect();
    let mut text = format!(
        "\n{class}\n{:<10} {:>10} {:>9} {:>9} {:>12} {:>8}\n",
        "", "requests/s", "p50 µs", "p99 µs", "CPU µs/req", "spread"
    );
    for row in &rows {
        let cpu = row
            .cpu_us
            .map_or_else(|| "–".to_owned(), |cpu| format!("{cpu:.1}"));
        let line = format!(
            "{:<10} {:>10.0} {:>9.1} {:>9.1} {cpu:>12} {:>7.0}%",
            row.name,
            row.per_second,
            row.p50_us,
            row.p99_us,
            row.spread * 100.0
        );
        let errors = if row.errors > 0 {
            format!("  {} failed requests", row.errors)
        } else {
            String::new()
        };
        // Writing to a String does not fail.
        _ = writeln!(text, "{line}{errors}");
    }
    let noisy: Vec<&str> = rows
        .iter()
        .filter(|row| row.spread > SPREAD_MAX)
        .map(|row| row.name)
        .collect();
    if !noisy.is_empty() {
        _ = writeln!(
            text,
            "too noisy to tell small differences (repeats more than {:.0} % apart): {}",
            SPREAD_MAX * 100.0,
            noisy.join(", ")
        );
    }
    text
}

impl Row {
    fn of(name: &'static str, samples: &[Sample]) -> Self {
        let per_second = |sample: &Sample| {
            sample.report.requests as f64 / (sample.report.elapsed_us.max(1) as f64 / 1_000_000.0)
        };
        let cpu_us = |sample: &Sample| {
            let cpu = sample.cpu?.as_secs_f64() * 1_000_000.0;
            Some(cpu / sample.report.requests.max(1) as f64)
        };
        let rates: Vec<f64> = samples.iter().map(per_second).collect();
        let costs: Vec<f64> = samples.iter().filter_map(cpu_us).collect();
        let over = |of: fn(&Sample) -> u64| median(samples.iter().map(|sample| of(sample) as f64).collect());
        Self {
            name,
            spread: spread(if costs.is_empty() { &rates } else { &costs }),
            per_second: median(rates),
            p50_us: over(|sample| sample.report.p50_ns) / 1_000.0,
            p99_us: over(|sample| sample.report.p99_ns) / 1_000.0,
            cpu_us: (!costs.is_empty()).then(|| median(costs)),
            errors: samples.iter().map(|sample| sample.report.errors).sum(),
        }
    }
}

/// The middle value; of an even number the mean of the two in the middle; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    let lower = values.len().saturating_sub(1) / 2;
    let middle = [lower, upper].map(|at| values.get(at).copied().unwrap_or_default());
    middle.iter().sum::<f64>() / 2.0
}

fn spread(values: &[f64]) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    let middle = median(values.to_vec());
    if middle > 0.0 {
        (most - least) / middle
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::Report;

    fn sample(requests: u64, cpu_ms: u64) -> Sample {
        let report = Report {
            requests,
            errors: 0,
            elapsed_us: 2_000_000,
            p50_ns: 5_000,
            p99_ns: 9_000,
        };
        Sample {
            report,
            cpu: Some(Duration::from_millis(cpu_ms)),
        }
    }

    #[test]
    fn figures_are_medians_of_the_repeats() {
        let row = Row::of("x", &[sample(1_000, 10), sample(2_000, 20), sample(4_000, 80)]);
        assert_eq!((row.per_second, row.p50_us, row.p99_us), (1_000.0, 5.0, 9.0));
        assert_eq!(row.cpu_us, Some(10.0));
        assert_eq!(row.spread, 1.0);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let check = |values: &[f64], expected| assert_eq!(median(values.to_vec()), expected);
        check(&[], 0.0);
        check(&[3.0], 3.0);
        check(&[4.0, 1.0, 2.0, 3.0], 2.5);
    }
}
