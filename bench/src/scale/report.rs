//! How do the figures of the scale bench read, and do they meet their bars?

use std::io::{self, Write};
use std::time::Duration;

use super::subject::{Program, Transport};
use crate::park::summary::verdict;
use crate::statistics::{Estimate, estimate, median};

/// What is measured of a program each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    /// Resident with one service.
    Base,
    /// Resident with all.
    Loaded,
    /// What each of them adds.
    Service,
    /// The most that was resident at any moment.
    Peak,
    /// From the push of all to the first response, in a program that runs.
    Running,
    /// From a start to the first response, everything to be loaded.
    Cold,
    /// The median time until a change of one service's pods is seen.
    Pods,
    /// The median time until a change of one service's routes is seen.
    Routes,
    /// From a start to the first response, with nobody to ask but the disk.
    Disk,
    /// The same, killed and started while clients ask all the time.
    DiskUnderLoad,
}

/// What was measured once.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) program: Program,
    pub(super) transport: Transport,
    figures: Vec<(Figure, f64)>,
}

impl Figure {
    const ALL: [Self; 10] = [
        Self::Base,
        Self::Loaded,
        Self::Service,
        Self::Peak,
        Self::Running,
        Self::Cold,
        Self::Pods,
        Self::Routes,
        Self::Disk,
        Self::DiskUnderLoad,
    ];

    /// What it is and in which unit.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Base => ("resident with one service", "MiB"),
            Self::Loaded => ("resident with all", "MiB"),
            Self::Service => ("a service", "KiB"),
            Self::Peak => ("peak", "MiB"),
            Self::Running => ("loaded while running", "ms"),
            Self::Cold => ("from a cold start to the first response", "ms"),
            Self::Pods => ("one service's pods changed: seen after", "ms"),
            Self::Routes => ("one service's routes changed: seen after", "ms"),
            Self::Disk => ("from disk, nobody to ask: first response", "ms"),
            Self::DiskUnderLoad => ("the same after kill -9 under load", "ms"),
        }
    }

    /// The most that it may be of ours with 10 000 services.
    fn bar(self, transport: Transport) -> Option<f64> {
        match (self, transport) {
            (Self::Base, _) => Some(15.0),
            (Self::Service, _) => Some(6.0),
            (Self::Peak, _) => Some(200.0),
            (Self::Cold, _) => Some(1_000.0),
            (Self::Pods, Transport::Delta) => Some(20.0),
            (Self::Pods, Transport::StateOfTheWorld) | (Self::Routes, _) => Some(150.0),
            (Self::Disk, _) => Some(500.0),
            (Self::Loaded | Self::Running | Self::DiskUnderLoad, _) => None,
        }
    }
}

impl Report {
    pub(super) fn new(program: Program, transport: Transport) -> Self {
        Self {
            program,
            transport,
            figures: Vec::new(),
        }
    }

    pub(super) fn bytes(&mut self, figure: Figure, bytes: u64) {
        self.figures.push((figure, bytes as f64 / (1024.0 * 1024.0)));
    }

    pub(super) fn bytes_each(&mut self, figure: Figure, bytes: u64, services: usize) {
        self.figures
            .push((figure, bytes as f64 / 1024.0 / services as f64));
    }

    pub(super) fn time(&mut self, figure: Figure, time: Duration) {
        self.figures.push((figure, milliseconds(time)));
    }

    pub(super) fn times(&mut self, figure: Figure, times: &[Duration]) {
        let times = times.iter().copied().map(milliseconds);
        self.figures.push((figure, median(times.collect())));
    }

    fn get(&self, figure: Figure) -> Option<f64> {
        let found = self.figures.iter().find(|(found, _)| *found == figure);
        found.map(|(_, value)| *value)
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Prints the middle of all rounds of one program and transport, with their interval and bars where it is ours.
pub(super) fn print(out: &mut impl Write, reports: &[&Report]) -> io::Result<()> {
    let Some(first) = reports.first() else {
        return Ok(());
    };
    let rounds = match reports.len() {
        1 => String::new(),
        rounds => format!(", {rounds} rounds: median and 95 % interval"),
    };
    writeln!(out, "{}, {}{rounds}", first.program, first.transport)?;
    for figure in Figure::ALL {
        let values: Vec<f64> = reports.iter().filter_map(|report| report.get(figure)).collect();
        if let Some(estimate) = estimate(&values) {
            let bar = figure.bar(first.transport);
            let bar = bar.filter(|_| first.program == Program::Tidegate);
            writeln!(out, "  {}", line(figure, estimate, values.len(), bar))?;
        }
    }
    Ok(())
}

fn line(figure: Figure, estimate: Estimate, rounds: usize, bar: Option<f64>) -> String {
    let (name, unit) = figure.words();
    let Estimate { middle, low, high } = estimate;
    let interval = match rounds {
        1 => String::new(),
        _ => format!(" [{low:.2}, {high:.2}]"),
    };
    let bar = bar.map_or_else(String::new, |bar| {
        format!("; bar {bar} {unit}: {}", verdict(low <= bar))
    });
    format!("{name}: {middle:.2}{interval} {unit}{bar}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_told_by_their_middle_and_ours_by_its_bars() {
        let report = |program, mebibytes: u64| {
            let mut report = Report::new(program, Transport::Delta);
            report.bytes(Figure::Base, mebibytes << 20);
            report.bytes_each(Figure::Service, 70 * 1024, 10);
            report.times(Figure::Pods, &[3, 1, 2].map(Duration::from_millis));
            report
        };
        let check = |reports: &[Report], expected: &str| {
            let mut out = Vec::new();
            print(&mut out, &reports.iter().collect::<Vec<_>>()).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(
            &[report(Program::Envoy, 64)],
            "envoy, delta\n  resident with one service: 64.00 MiB\n  a service: 7.00 KiB\n  \
             one service's pods changed: seen after: 2.00 ms\n",
        );
        check(
            &[report(Program::Tidegate, 14), report(Program::Tidegate, 16)],
            "tidegate, delta, 2 rounds: median and 95 % interval\n  \
             resident with one service: 15.00 [14.00, 16.00] MiB; bar 15 MiB: met\n  \
             a service: 7.00 [7.00, 7.00] KiB; bar 6 KiB: MISSED\n  \
             one service's pods changed: seen after: 2.00 [2.00, 2.00] ms; bar 20 ms: met\n",
        );
    }
}
