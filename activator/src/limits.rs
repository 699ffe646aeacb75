//! Every bound of the activator and its default, in one place.

use std::time::Duration;

/// The most requests that are parked for one revision (Knative `pkg/activator/net/throttler.go`, breaker queue
/// depth); above it 503 `pending request queue full`.
pub const PARKED_PER_REVISION_MAX: usize = 10_000;
/// The most requests that are parked in the whole process; above it the same 503.
pub const PARKED_MAX: usize = 50_000;
/// The most bytes of request heads that are parked in the whole process; above it the same 503. Bodies are not read
/// while a request is parked.
pub const PARKED_HEAD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest that a request waits, whatever timeout its revision asks for.
pub const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// How often the load is reported to the autoscaler (Knative `pkg/activator/handler/concurrency_reporter.go`).
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How often one request, of which nothing was sent, is sent again because its replica did not accept a connection.
pub const CONNECT_RETRIES_MAX: u32 = 8;
/// How long to wait before the second retry on a replica that refuses connections and is not known to be gone; the
/// pause doubles from there.
pub const CONNECT_BACKOFF: Duration = Duration::from_millis(5);
