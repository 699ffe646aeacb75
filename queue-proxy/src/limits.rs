//! What are the bounds and paces of the sidecar?

use std::time::Duration;

use tidegate_proxy::cluster::transport::Redial;
use tidegate_proxy::listener::settings::Keepalive;

/// Requests that may wait for each one that may run (Knative `pkg/queue/breaker.go`): beyond these, 503.
pub const QUEUE_DEPTH_PER_PERMIT: usize = 10;

/// How long an attempt of an aggressive probe (`periodSeconds: 0`) may take.
pub const AGGRESSIVE_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(100);

/// How long an attempt of a standard probe may take that does not say so itself (Kubernetes' default).
pub const STANDARD_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the sidecar polls.
pub const POLL: Duration = Duration::from_millis(50);

/// How often a local replica is polled at first, while nobody listens on its port.
pub const EAGER_POLL: Duration = Duration::from_millis(1);

/// How long a local replica is polled that often.
pub const EAGER_POLL_FOR: Duration = Duration::from_secs(1);

/// The shortest pause between two commands of a probe: starting a process costs more than a connection.
pub const COMMAND_POLL: Duration = Duration::from_millis(200);

/// The most bytes of a probe response's head that are read.
pub const PROBE_HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most requests of an HTTP probe that is redirected (Go's default: nine redirects); where the last one is too, it fails.
pub const PROBE_REQUESTS_MAX: usize = 10;

/// The most bytes of a gRPC health response that are read.
pub const HEALTH_RESPONSE_BYTES_MAX: usize = 4 * 1024;

/// How long a poll of an aggressive probe may take, all attempts together (Knative `pkg/queue/readiness`).
pub const AGGRESSIVE_POLL_LIMIT: Duration = Duration::from_secs(10);

/// How long no request must have come before a drain ends.
pub const QUIET_PERIOD: Duration = Duration::from_secs(30);

/// How long after a container's end was announced the pod's own must be, for it to be more than a restart.
pub const TERMINATION_NOTICE: Duration = Duration::from_secs(1);

/// How long tunnels and HTTP/2 streams are waited for at the end; then they are cut.
pub const STREAMS_DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How long connections may take at the end whose last response is made and not yet written; those without one are closed at once.
pub const CONNECTIONS_DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// When the kernel asks after a silent client (Go's default), and how often before it is given up.
pub const KEEPALIVE: Keepalive = Keepalive {
    idle: Duration::from_secs(15),
    interval: Duration::from_secs(15),
    probes: 9,
};

/// How long a connection to a port that is not for requests may be idle before it is closed.
pub const SIDE_IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// How often the load is reported; what is reported is an average over this.
pub const REPORT_PERIOD: Duration = Duration::from_secs(1);

/// The most bytes of a request's head, its target among them (Go's default): above these, 431; and of a response's, where Go takes
/// more: above these, 502.
pub const HEAD_BYTES_MAX: usize = 1024 * 1024;

/// The most fields of a request: above these, 431; of a response 502. Go has no such bound; this one is what fits into a head.
pub const FIELDS_MAX: usize = 16 * 1024;

/// The receive windows of an HTTP/2 connection and of each of its streams (Go's default).
pub const H2_WINDOW_BYTES: u32 = 1024 * 1024;

/// How long the application may take to accept a connection, all tries together; then 502. The tries end before.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How the application is dialled again that does not answer (Knative `pkg/network/transports.go`): after 50 ms and then ever later,
/// 16 times in about 20 seconds; then 502.
pub const REDIAL: Redial = Redial {
    first: Duration::from_millis(50),
    growth_percent: 140,
    tries: 16,
    pause: Duration::from_millis(30),
};

/// How long a connection to the application lies idle before it is closed (Go's default).
pub const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// What no connection lives to see: Go's server has no such timeout.
pub const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The most threads that carry traffic, however many cores there are.
pub const WORKERS_MAX: usize = 4;

/// Lines of the request log that wait to be written; beyond these, lines are lost.
pub const LOG_LINES_WAITING_MAX: usize = 16 * 1024;

/// The longest tag of a route, in bytes: a DNS label, as names of routes begin with it. A longer one counts as one that there is not.
pub const TAG_BYTES_MAX: usize = 63;

/// Sets of attributes that requests are counted by, on each side; what comes with further ones is counted together.
pub const SERIES_MAX: usize = 500;

/// How long the last lines of the request log may take at the end.
pub const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// The most connections to the ports that are not for requests, all together; above it none is accepted until one ends.
pub const SIDE_CONNECTIONS_MAX: usize = 256;
