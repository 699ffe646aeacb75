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

/// How many connections to the admin endpoints are served at once; the kernel keeps the others.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// How long a client of the admin endpoints may take for the head of a request, counted from the end of the last one; then its
/// connection is closed. Longer than scrapers pause.
pub const ADMIN_HEAD_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a connection to the admin endpoints may wait for a byte to move in either direction; then it is closed.
pub const ADMIN_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// How large the head of a request to the admin endpoints may be, in bytes; above it: 431.
pub const ADMIN_HEAD_BYTES_MAX: usize = 64 * 1024;

/// How much of an admin answer is gathered before it is sent, in bytes.
pub const ADMIN_CHUNK_BYTES: usize = 64 * 1024;

/// How many pieces of an admin answer wait for a client to take them; above that, making the answer waits.
pub const ADMIN_CHUNKS_MAX: usize = 4;

/// How long the admin endpoints wait after a connection could not be accepted.
pub const ADMIN_ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How many sockets wait to be taken up by a worker. Above it a listener cannot be served, which is an error in its entry.
pub const SOCKETS_WAITING_MAX: usize = 4096;

/// How many updates wait for the store. Above it streams are not read.
pub const DELIVERIES_WAITING_MAX: usize = 64;

/// How long an address that a listener of ours has just given back may take to be free. Above it the next listener is told that
/// it is taken.
pub const ADDRESS_FREE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long after a change the snapshot on disk is written; what changes meanwhile is written with it.
pub const SNAPSHOT_DELAY: Duration = Duration::from_millis(500);

/// How long after a change the allocator is told to give back what is free; it gives back what has been free for a second.
pub const SPARE_DELAY: Duration = Duration::from_millis(1500);

/// How often it is told so after a change, one delay after the other.
pub const SPARE_ROUNDS: u32 = 2;

/// How large the piece of memory is that it is told by, in bytes; it is not written to.
pub const SPARE_BYTES: usize = 4 * 1024 * 1024;

/// How large a snapshot on disk may be, in bytes. Above it it is neither written nor read.
pub const SNAPSHOT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How long what is left of the connections has at the end of the program; then they are cut.
pub const END_GRACE: Duration = Duration::from_millis(100);

/// How long a request to a control plane waits for its cluster to be there. Above it the stream fails and is tried again.
pub const CONTROL_PLANE_WAIT: Duration = Duration::from_secs(5);

/// How often is looked whether it is.
pub const CONTROL_PLANE_POLL: Duration = Duration::from_millis(20);

/// How wide a line of `tidegate explain` and `tidegate diff` gets, in columns; above it it is broken at a space.
pub const PAGE_COLUMNS: usize = 100;

/// How much of such a line its key has, in columns; a longer one shifts what stands beside it.
pub const PAGE_KEY_COLUMNS: usize = 18;

/// How many candidates of a kind `tidegate explain` shows that did not match; above it it says how many more there are.
pub const CANDIDATES_SHOWN_MAX: usize = 40;

/// How many changed fields `tidegate diff` shows of one resource; above it it says how many more there are.
pub const FIELDS_SHOWN_MAX: usize = 40;

/// How much of a value `tidegate diff` shows, in characters; above it it is cut.
pub const VALUE_SHOWN_MAX: usize = 120;

/// How large a configuration dump may be that is read, in bytes. Above it it is refused.
pub const DUMP_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// How long a program that is asked for its configuration may take for all of it.
pub const DUMP_TIMEOUT: Duration = Duration::from_secs(60);

/// How long connections without a request are left open when the program ends by a drain, so that a request that is on its way gets
/// its response, which then says that it is the connection's last; after that they are closed.
pub const PARTING_TIME: Duration = Duration::from_secs(5);
