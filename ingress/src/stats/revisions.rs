//! What is shown of each revision that requests wait for: `tidegate_activator.<namespace>/<revision>.…`?

use tidegate_activator::Registry;

use super::section::Read::{Counter, Set, Tagged};
use super::section::{Group, Row, Table, row};

/// What one revision says at one moment.
pub(super) struct Reading {
    parked: u64,
    in_flight: u64,
    pods: u64,
    parked_total: u64,
    refused: Vec<(&'static str, u64)>,
}

/// The revisions, read now; none in a program that has none.
pub(super) fn table(revisions: Option<&Registry>) -> Table<Reading> {
    let mut revisions = revisions.map(Registry::revisions).unwrap_or_default();
    revisions.sort_by(|one, other| one.key().cmp(other.key()));
    let groups = revisions.iter().map(|revision| {
        let pods = revision.pods();
        let in_flight: usize = pods.iter().map(|pod| pod.in_flight()).sum();
        let refused = revision.refused_total().into_iter();
        let settings = revision.settings();
        Group {
            prefix: format!("tidegate_activator.{}.", revision.key()),
            tags: vec![
                ("namespace", settings.namespace.as_str().into()),
                ("revision", settings.name.as_str().into()),
            ],
            reading: Reading {
                parked: revision.parked() as u64,
                in_flight: in_flight as u64,
                pods: pods.len() as u64,
                parked_total: revision.parked_total(),
                refused: refused.filter(|(_, count)| *count > 0).collect(),
            },
        }
    });
    Table {
        family: "tidegate_activator_",
        rows: ROWS,
        groups: groups.collect(),
    }
}

/// The names of the activator's own metrics, and what else is known of a revision.
const ROWS: &[Row<Reading>] = &[
    row("parked_requests", Set(|r| r.parked)),
    row("parked_requests_total", Counter(|r| r.parked_total)),
    row("ready_pods", Set(|r| r.pods)),
    row("refused_requests_total", Tagged("reason", |r| r.refused.clone())),
    row("requests_in_flight", Set(|r| r.in_flight)),
];
