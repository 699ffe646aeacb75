//! Which bars does each class have to meet, and does it?
//!
//! A bar is met when the 95 % interval over at least ten interleaved repeats includes or beats it.

use std::fmt;

use serde::Serialize;

use super::Outcome;
use super::subject::{ACROSS, DIRECT};
use crate::load::Class;
use crate::peers::Peer;
use crate::statistics::{Estimate, estimate, ratio};

/// Fewer repeats are a first impression.
pub(super) const REPEATS_MIN: usize = 10;

/// What is compared, and how large it may be.
#[derive(Clone, Copy, Debug)]
enum Bar {
    /// CPU time per request, by a peer's.
    Cpu(Peer, f64),
    /// The median latency above the one without a proxy, by a peer's.
    AddedMedian(Peer, f64),
    /// The 99th percentile above the one without a proxy, by the latter, which is that of this subject.
    AddedTail(&'static str, f64),
}

/// How a bar was met or missed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Verdict {
    /// What was compared.
    bar: String,
    most: f64,
    measured: Estimate,
    met: bool,
}

fn bars(class: Class) -> &'static [Bar] {
    match class {
        Class::H1 => &[Bar::Cpu(Peer::Haproxy, 1.0), Bar::Cpu(Peer::Envoy, 0.45)],
        Class::H1Large => &[Bar::Cpu(Peer::Nginx, 1.0)],
        Class::H1Single => &[Bar::AddedMedian(Peer::Nginx, 1.0)],
        Class::Tls | Class::H2c => &[Bar::Cpu(Peer::Haproxy, 1.0)],
        Class::TlsNew => &[Bar::Cpu(Peer::Envoy, 0.75)],
        Class::Grpc | Class::GrpcStream => &[Bar::Cpu(Peer::Envoy, 0.8)],
        Class::H1Paced => &[
            Bar::Cpu(Peer::Nginx, 1.0),
            Bar::AddedTail(DIRECT, 1.5),
            Bar::AddedTail(ACROSS, 1.5),
        ],
        Class::H1Half => &[Bar::AddedTail(DIRECT, 1.5), Bar::AddedTail(ACROSS, 1.5)],
        Class::H1Kib | Class::Post | Class::WebSocket | Class::H2Few => &[],
    }
}

/// The verdicts of a class, as far as the peers took part.
pub(super) fn judge(outcome: &Outcome) -> Vec<Verdict> {
    bars(outcome.class)
        .iter()
        .filter_map(|bar| bar.judge(outcome))
        .collect()
}

impl Bar {
    fn judge(self, outcome: &Outcome) -> Option<Verdict> {
        let ours = Peer::Tidegate.name();
        let (bar, most, measured) = match self {
            Self::Cpu(peer, most) => {
                let costs = |name| outcome.series(name, |sample| sample.cpu_us());
                let measured = ratio(&costs(ours)?, &costs(peer.name())?)?;
                (format!("CPU per request by {}'s", peer.name()), most, measured)
            }
            Self::AddedMedian(peer, most) => {
                let added = |name| outcome.above(name, DIRECT, |report| report.p50_ns);
                let measured = ratio(&added(ours)?, &added(peer.name())?)?;
                (format!("added p50 by {}'s", peer.name()), most, measured)
            }
            Self::AddedTail(least, most) => {
                let added = outcome.above(ours, least, |report| report.p99_ns)?;
                let by = outcome.series(least, |sample| Some(sample.report.p99_ns as f64))?;
                (
                    format!("p99 added to '{least}', by its own"),
                    most,
                    ratio(&added, &by)?,
                )
            }
        };
        Some(Verdict {
            bar,
            most,
            measured,
            met: measured.low <= most,
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate { middle, low, high } = self.measured;
        let verdict = if self.met { "met" } else { "MISSED" };
        write!(
            f,
            "{}: {middle:.2} [{low:.2}, {high:.2}], bar at most {:.2}: {verdict}",
            self.bar, self.most
        )
    }
}

impl Outcome {
    /// A figure of each round of a subject.
    fn series(
        &self,
        name: &str,
        of: impl Fn(&super::sample::Sample) -> Option<f64>,
    ) -> Option<Vec<Option<f64>>> {
        let subject = self.subjects.iter().find(|subject| subject.name == name)?;
        Some(subject.samples.iter().map(of).collect())
    }

    /// A latency of each round of a subject, in nanoseconds, above that of another.
    fn above(
        &self,
        name: &str,
        least: &str,
        of: impl Fn(&crate::load::Report) -> u64,
    ) -> Option<Vec<Option<f64>>> {
        let of = |sample: &super::sample::Sample| Some(of(&sample.report) as f64);
        let (all, least) = (self.series(name, of)?, self.series(least, of)?);
        let rounds = all.into_iter().zip(least);
        Some(rounds.map(|(all, least)| Some(all? - least?)).collect())
    }

    /// CPU per request of ours by another subject's.
    pub(super) fn cpu_ratio(&self, name: &str) -> Option<Estimate> {
        let costs = |name| self.series(name, |sample| sample.cpu_us());
        ratio(&costs(Peer::Tidegate.name())?, &costs(name)?)
    }

    /// CPU per request of a subject, in microseconds.
    pub(super) fn cpu_us(&self, name: &str) -> Option<Estimate> {
        let costs = self.series(name, |sample| sample.cpu_us())?;
        estimate(&costs.into_iter().flatten().collect::<Vec<f64>>())
    }
}
