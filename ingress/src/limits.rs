//! Every bound and default of the ingress.

use std::time::Duration;

/// How long a drain takes where `--drain-time-s` does not say.
pub const DRAIN_TIME: Duration = Duration::from_secs(600);

/// What `--parent-shutdown-time-s` is taken to be; it is only shown.
pub const PARENT_SHUTDOWN_TIME: Duration = Duration::from_secs(900);

/// How old a snapshot on disk may be and still be served, where `--snapshot-max-age` does not say. Above it the snapshot is
/// refused.
pub const SNAPSHOT_MAX_AGE: Duration = Duration::from_secs(3600);

/// The compiled size of a pattern that somebody gives an admin endpoint, in bytes; above it the request is refused with 400.
pub const ADMIN_PATTERN_BYTES_MAX: usize = 1 << 20;

/// How many series of the metrics facade are kept; above it a new one is not, and a line of the debug log says so. What
/// grows with clusters and listeners is not among them.
pub const METRICS_KEPT_MAX: usize = 4096;
