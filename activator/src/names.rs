//! Every metric, header and phase name of the activator, in one place.

use http::HeaderName;
use metrics::Unit;

/// Requests that are parked now (gauge; labels `namespace`, `revision`).
pub const PARKED_REQUESTS: &str = "tidegate_activator_parked_requests";
/// Requests that were parked (counter; labels `namespace`, `revision`).
pub const PARKED_TOTAL: &str = "tidegate_activator_parked_requests_total";
/// Requests that were turned away, or left, without a replica (counter; labels `namespace`, `revision`, and `reason`
/// with the error kinds of the proxy: `queue_full`, `capacity_refused`, `capacity_timeout`, `client_closed`, `overloaded`).
pub const REFUSED_TOTAL: &str = "tidegate_activator_refused_requests_total";
/// Seconds that requests were parked, however it ended (histogram; labels `namespace`, `revision`).
pub const WAIT_SECONDS: &str = "tidegate_activator_wait_duration_seconds";

/// The upper bounds of [`WAIT_SECONDS`]'s buckets, in seconds.
pub const WAIT_SECONDS_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Label of all metrics here: the revision's namespace.
pub const NAMESPACE: &str = "namespace";
/// Label of all metrics here: the revision's name.
pub const REVISION: &str = "revision";
/// Label of [`REFUSED_TOTAL`]: why.
pub const REASON: &str = "reason";

/// The header of the receipt (W3C Server Timing).
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Phase of the receipt: until the replica was launched, and until it had a free slot once it was ready.
pub const PHASE_QUEUE: &str = "queue";
/// Phase of the receipt: from the launch until the replica listened.
pub const PHASE_START: &str = "start";
/// Phase of the receipt: from then until its probe succeeded.
pub const PHASE_READY: &str = "ready";
/// Phase of the receipt: until there was a connection to the replica.
pub const PHASE_CONNECT: &str = "connect";
/// Phase of the receipt: from then until the head of the replica's response.
pub const PHASE_APP: &str = "app";

/// Says what each metric means, to the recorder that is installed.
pub fn describe() {
    metrics::describe_gauge!(
        PARKED_REQUESTS,
        Unit::Count,
        "Requests that wait for a replica now"
    );
    metrics::describe_counter!(
        PARKED_TOTAL,
        Unit::Count,
        "Requests that had to wait for a replica"
    );
    metrics::describe_counter!(REFUSED_TOTAL, Unit::Count, "Requests that were given no replica");
    metrics::describe_histogram!(WAIT_SECONDS, Unit::Seconds, "Time that requests were parked");
}
