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
/// How many that waited for a revision are sent on at once to a cluster without a circuit breaker, when nobody is held any more; the
/// others go in turn. Where there is a breaker it is half of its bound, which is as many by Envoy's default.
pub const RELEASED_AT_ONCE_MAX: usize = 512;
/// How often the load is reported to the autoscaler (Knative `pkg/activator/handler/concurrency_reporter.go`).
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How often one request, of which nothing was sent, is sent again because its replica did not accept a connection.
pub const CONNECT_RETRIES_MAX: u32 = 8;
/// How long to wait before the second retry on a replica that refuses connections and is not known to be gone; the
/// pause doubles from there.
pub const CONNECT_BACKOFF: Duration = Duration::from_millis(5);
/// The largest head that a client of the program may send, in bytes (Go's `DefaultMaxHeaderBytes`); above it 431.
pub const HEAD_BYTES_MAX: usize = 1024 * 1024;
/// The most fields of such a head; above it 431. Go has no bound of its own.
pub const HEAD_FIELDS_MAX: usize = 8_192;
/// How long a client's connection may lie idle; then it is closed. Knative's activator has no bound.
pub const IDLE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long a client may leave its response unread, or send next to nothing of a body that is waited for; then its request is cut.
/// Knative's activator has no bound; that of the revision's timeouts counts as well.
pub const CLIENT_STALL_MAX: Duration = Duration::from_secs(3600);
/// How long a connection to a pod may lie idle; then it is closed (Go's `DefaultTransport`).
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(90);
/// How long a connection to a pod is silent before the kernel asks whether the pod is still there, and between two such
/// questions (Knative `pkg:network/transports.go`).
pub const UPSTREAM_KEEPALIVE: Duration = Duration::from_secs(5);
/// How many such questions go unanswered before the connection is cut.
pub const UPSTREAM_KEEPALIVE_PROBES: u32 = 9;
/// The receive window of an HTTP/2 stream and of its connection, on both sides, in bytes (Go's servers).
pub const WINDOW_BYTES: u32 = 1024 * 1024;
/// How many batches of reports wait to be sent to the autoscaler; more are dropped.
pub const LINK_BATCHES_MAX: usize = 256;
/// How long connecting to the autoscaler may take, the handshake included; then it is tried again (Knative
/// `pkg:websocket/connection.go`, as what follows).
pub const LINK_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// The first pause before the next try.
pub const LINK_BACKOFF: Duration = Duration::from_millis(100);
/// How much longer each further pause is.
pub const LINK_BACKOFF_FACTOR: f64 = 1.3;
/// After how many pauses they begin anew.
pub const LINK_BACKOFF_STEPS: u32 = 20;
/// How long a connection has to have lasted for the next one to be tried at once; after a shorter one there is a pause.
pub const LINK_SETTLED: Duration = Duration::from_secs(1);
/// How often the autoscaler is pinged.
pub const LINK_PING_INTERVAL: Duration = Duration::from_nanos(10_000_000_000 / 3);
/// How long the autoscaler may leave pings unanswered; then it is connected to anew.
pub const LINK_PONG_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a message to the autoscaler may take; then it is connected to anew.
pub const LINK_SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest message that the autoscaler may send, in bytes; it has nothing to say.
pub const LINK_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The longest answer that a pod may give when it is asked whether it is ready, in bytes; a longer one counts as none.
pub const PROBE_ANSWER_BYTES_MAX: usize = 4 * 1024;
/// Sets of attributes that requests are counted by, on each side; what comes with further ones is counted together.
pub const SERIES_MAX: usize = 2000;
/// After how many batches of reports, one a second while there is any load, series of revisions that are gone are let go; until then
/// they count towards [`SERIES_MAX`].
pub const BATCHES_PER_SWEEP: u32 = 60;
/// Lines of the request log that wait to be written; beyond these, lines are lost.
pub const LOG_LINES_WAITING_MAX: usize = 16 * 1024;
/// How long the last lines of the request log may take at the end.
pub const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// The most connections to the port for Prometheus, and as many to that for profiles; above it none is accepted until one ends.
pub const SIDE_CONNECTIONS_MAX: usize = 256;
/// How often pods are asked whether they are ready (`PROBE_FREQUENCY`).
pub const PROBE_INTERVAL: Duration = Duration::from_millis(200);
/// How long a pod may take to answer (`PROBE_TIMEOUT`).
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(300);
/// How many pods are asked at once, of all revisions together; the others wait, and revisions take turns. Knative has no bound.
pub const PROBES_MAX: usize = 1_024;
/// How many pods of one revision are asked at once; its others wait, first come, first served, so that one with more pods that do not
/// answer than that asks each of them less often.
pub const PROBES_PER_REVISION_MAX: usize = 512;
/// How many events of the cluster wait to be taken; then the API server is read no faster than they are.
pub const EVENTS_WAITING_MAX: usize = 1024;
/// How long the Kubernetes API server may take to answer at the start; then the program ends (Knative
/// `pkg:version/check.go`).
pub const API_START_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause between two tries to reach it.
pub const API_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long the program serves on, unhealthy, after it was told to end (Knative `cmd/activator/main.go`).
pub const STOP_DELAY: Duration = Duration::from_secs(45);
/// How long what is under way may take to finish after that; then it is cut (the grace period of Knative's manifest).
pub const STOP_GRACE: Duration = Duration::from_secs(600);
/// How long a client's connection is silent before the kernel asks whether the client is still there, and between two such
/// questions (Go's `net.ListenConfig`).
pub const CLIENT_KEEPALIVE: Duration = Duration::from_secs(15);
/// How many such questions go unanswered before the connection is cut.
pub const CLIENT_KEEPALIVE_PROBES: u32 = 9;
