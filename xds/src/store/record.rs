//! What is told of one resource, kept beside what it was made into.

use std::sync::Arc;

use super::Now;
use super::view::{Entry, Failure, Origin, State};
use crate::resource::{Kept, Raw};
use crate::translate::Note;

/// The entry of a resource that was accepted.
pub(super) fn accepted(raw: Raw, origin: Origin, state: State, notes: Vec<Note>, now: Now) -> Arc<Entry> {
    Arc::new(Entry {
        raw: raw.into(),
        origin,
        state,
        updated: now.wall,
        error: None,
        notes: notes.into(),
    })
}

/// The entry of a resource that was never accepted.
pub(super) fn refused(attempt: impl Into<Kept>, details: String, now: Now) -> Arc<Entry> {
    let attempt = attempt.into();
    let empty = Raw::new(Arc::clone(&attempt.name), "", bytes::Bytes::new());
    let failure = failure(attempt, details, now);
    Arc::new(Entry {
        raw: empty.into(),
        origin: Origin::Dynamic,
        state: State::Refused,
        updated: now.wall,
        error: Some(failure),
        notes: Box::default(),
    })
}

pub(super) fn failure(attempt: impl Into<Kept>, details: String, now: Now) -> Arc<Failure> {
    Arc::new(Failure {
        attempt: attempt.into(),
        details,
        at: now.wall,
    })
}

/// The entry with another failure to replace it, or none.
pub(super) fn with_error(entry: &mut Arc<Entry>, error: Option<Arc<Failure>>) {
    if entry.error.is_some() || error.is_some() {
        Arc::make_mut(entry).error = error;
    }
}

/// The entry in another state.
pub(super) fn in_state(entry: &mut Arc<Entry>, state: State) {
    if entry.state != state {
        Arc::make_mut(entry).state = state;
    }
}
