//! What is seen of the revisions that run: which are ready, which failed.

use std::collections::BTreeMap;

use crate::name::ObjectName;

/// The last word on each revision; a revision that is not here was not tried yet, or is being tried.
pub type Observed = BTreeMap<ObjectName, Observation>;

/// What was seen of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A replica passed its readiness probe.
    Ready,
    /// It will not come up.
    Failed(Failure),
}

/// Why a revision does not come up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One word, as in the revision's conditions: `ExitCode1`, `ProgressDeadlineExceeded`.
    pub reason: String,
    /// The same for people.
    pub message: String,
}

/// Whether a revision may take traffic (its condition `Ready`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It has still to be proven.
    Unknown,
    /// It may; at no replicas too.
    Ready,
    /// It does not come up.
    Failed(Failure),
}
