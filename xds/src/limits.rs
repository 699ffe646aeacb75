//! Every bound and default of xDS.

use std::time::Duration;

/// How long routes wait for clusters that they name and that are not there yet, where a newer set of clusters is on its way.
/// Above it the response is rejected.
pub const HOLD_ROUTES: Duration = Duration::from_secs(1);

/// How long a resource that is subscribed to may take to come before a listener or cluster goes on without it, where its
/// `ConfigSource` does not say (`initial_fetch_timeout`).
pub const INITIAL_FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// How many notes about what has no effect are kept of one resource; the rest is left out.
pub const NOTES_MAX: usize = 100;
