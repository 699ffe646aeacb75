//! What are the bounds and paces of the sidecar?

use std::time::Duration;

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

/// The most bytes of a gRPC health response that are read.
pub const HEALTH_RESPONSE_BYTES_MAX: usize = 4 * 1024;
