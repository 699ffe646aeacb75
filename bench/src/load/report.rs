//! What did the load generator see, and how does it tell?

use std::fmt;
use std::str::FromStr;

use anyhow::Context;

/// What the generator saw while it counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Requests that were sent and answered as they should in that time.
    pub requests: u64,
    /// Requests that were answered otherwise or not at all, at any time.
    pub errors: u64,
    /// How long it counted, in microseconds.
    pub elapsed_us: u64,
    /// Median latency in nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile of the latency in nanoseconds.
    pub p99_ns: u64,
    /// 99.9th percentile of the latency in nanoseconds.
    pub p999_ns: u64,
}

const PREFIX: &str = "report ";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            errors,
            elapsed_us,
            p50_ns,
            p99_ns,
            p999_ns,
        } = self;
        write!(
            f,
            "{PREFIX}{requests} {errors} {elapsed_us} {p50_ns} {p99_ns} {p999_ns}"
        )
    }
}

impl FromStr for Report {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        let numbers = line
            .strip_prefix(PREFIX)
            .context("not a report of the load generator")?;
        let numbers = numbers
            .split(' ')
            .map(str::parse)
            .collect::<Result<Vec<u64>, _>>()?;
        let [requests, errors, elapsed_us, p50_ns, p99_ns, p999_ns] = *numbers.as_slice() else {
            anyhow::bail!(
                "a report of the load generator has six numbers, this one {}",
                numbers.len()
            );
        };
        Ok(Self {
            requests,
            errors,
            elapsed_us,
            p50_ns,
            p99_ns,
            p999_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_its_line() {
        let report = Report {
            requests: 1,
            errors: 2,
            elapsed_us: 3,
            p50_ns: 4,
            p99_ns: 5,
            p999_ns: 6,
        };
        assert_eq!(report.to_string().parse::<Report>().unwrap(), report);
        assert!("report 1 2".parse::<Report>().is_err());
        assert!("measuring".parse::<Report>().is_err());
    }
}
