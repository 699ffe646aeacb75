//! What the rest of the program, and people, see of a revision.

use std::net::SocketAddr;

use serde::Serialize;

use super::Keeper;
use super::members::Member;

/// A revision at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// How many replicas the autoscaler wants.
    pub(crate) wanted: u32,
    /// How many replicas there are, those that start or stop included.
    pub(crate) replicas: usize,
    /// How many of them serve.
    pub(crate) ready: u32,
    /// Whether any ever did. Reports may be passed over for newer ones; this is in all that follow.
    pub(crate) was_ready: bool,
    /// Why it does not come up, if it does not.
    pub(crate) failure: Option<String>,
    /// The replicas.
    pub(crate) members: Vec<ReplicaReport>,
}

/// A replica at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ReplicaReport {
    /// Its number within the revision, from 1.
    pub(crate) index: u32,
    /// `starting`, `ready`, `stopping`.
    pub(crate) state: &'static str,
    /// Where it listens, or is to; not known of a container that is just created.
    pub(crate) address: Option<SocketAddr>,
    /// Its first process, where it is one.
    pub(crate) pid: Option<u32>,
}

impl Report {
    /// One word for a table.
    #[must_use]
    pub(crate) fn state(&self) -> String {
        match (self.failure.is_some(), self.ready, self.replicas) {
            (true, 0, _) => "failed".to_owned(),
            (_, 0, 0) => "zero".to_owned(),
            (_, 0, _) => "starting".to_owned(),
            (_, 1, _) => "1 replica".to_owned(),
            (_, ready, _) => format!("{ready} replicas"),
        }
    }
}

impl Keeper {
    /// Shows how it stands, if something has changed.
    pub(super) fn report(&mut self) {
        let report = Report {
            wanted: self.wanted,
            replicas: self.members.iter().count(),
            ready: self.members.ready_count(),
            was_ready: self.was_ready,
            failure: self
                .identity
                .throttle
                .refusal()
                .map(|refusal| refusal.message.clone()),
            members: self
                .members
                .iter()
                .map(|(index, member)| member.report(*index))
                .collect(),
        };
        if self.last_report.as_ref() != Some(&report) {
            self.last_report = Some(report.clone());
            self.surroundings.board.set_revision(&self.identity.name, report);
        }
    }
}

impl Member {
    fn report(&self, index: u32) -> ReplicaReport {
        let replica = self.replica();
        ReplicaReport {
            index,
            state: self.state(),
            address: replica.endpoint(),
            pid: replica.pid(),
        }
    }
}
