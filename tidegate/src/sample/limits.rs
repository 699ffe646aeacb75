//! Which bounds do the sample servers keep?

use std::time::Duration;

/// Open connections of one server; more wait in the listen queue.
pub(super) const CONNECTIONS_MAX: usize = 4096;

/// How long requests under way may go on after SIGTERM (Knative's default `timeoutSeconds`).
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(300);

/// How long a client may take to send a head.
pub(super) const HEAD_MAX: Duration = Duration::from_secs(30);

/// The pause after a failed accept, such as when the process has run out of file descriptors.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The longest sleep one request may ask of `sample sleep`, in milliseconds.
pub(super) const SLEEP_MS_MAX: u64 = 300_000;

/// The sleep of a request that asks for none, in milliseconds.
pub(super) const SLEEP_MS: u64 = 100;

/// The most events one request may ask of `sample sse`.
pub(super) const EVENTS_MAX: u64 = 100_000;

/// The events of a request that asks for no number.
pub(super) const EVENTS: u64 = 10;

/// The longest pause between two events, in milliseconds.
pub(super) const INTERVAL_MS_MAX: u64 = 3_600_000;

/// The pause between two events of a request that asks for none, in milliseconds.
pub(super) const INTERVAL_MS: u64 = 1_000;

/// The largest message that `sample websocket` and `sample grpc` take (gRPC's customary 4 MiB).
pub(super) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a WebSocket client may take to answer Close, or to read what it is sent.
pub(super) const WEBSOCKET_PEER_MAX: Duration = Duration::from_secs(10);
