//! Routes that wait a moment for the clusters that they name.

use std::sync::Arc;
use std::time::Instant;

use super::routes::Read;

/// What an update that was not decided at once is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// Routes that were read and name clusters that are not there.
pub(super) struct Held {
    pub(super) ticket: Ticket,
    pub(super) version: Arc<str>,
    pub(super) read: Read,
    pub(super) until: Instant,
}
