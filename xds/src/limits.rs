//! Every bound and default of xDS.

use std::time::Duration;

/// How many requests of a cluster may be retries at once where its circuit breakers do not say, as in Envoy. Above it a failure
/// stands. The other breakers have no bound where none is given.
pub const CLUSTER_RETRIES: usize = 3;

/// The longest file of a certificate, key, list or other secret that a data source names. Above it the resource is rejected.
pub const SECRET_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How many load balancing policies may be inside of each other. Above it the cluster is rejected.
pub const NESTED_POLICIES_MAX: u32 = 4;

/// How long an idle connection to an endpoint is kept where its cluster switches the time off (`idle_timeout: 0s`).
pub const IDLE_FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// When the kernel first probes a silent connection to an endpoint, where a cluster wants keepalive and does not say: Linux's own
/// default.
pub const TCP_KEEPALIVE_TIME: Duration = Duration::from_secs(7200);

/// The time between two such probes, where a cluster does not say: Linux's own default.
pub const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(75);

/// How many of them go unanswered before the connection is cut, where a cluster does not say: Linux's own default.
pub const TCP_KEEPALIVE_PROBES: u32 = 9;

/// How long no byte of a request or a response may move where a connection manager does not say it, as Envoy has it.
/// Above it: 504, or a response that is cut.
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a connection without a request stays open where a connection manager does not say it, as Envoy has it. Above it the
/// connection is closed.
pub const CONNECTION_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// How long a client is left to take the last response of its connection where a connection manager does not say it, as Envoy has it.
/// Above it the connection is closed, on whatever the client still sends.
pub const DELAYED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection of a `tcp_proxy` may be without a byte moving where that does not say it, as Envoy has it. Above it the
/// connection is closed.
pub const TCP_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// What stands for a time that is switched off where there has to be one: ten years. Above it: as without.
pub const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How long a connection may take until HTTP can begin where its listener does not say it, as Envoy has it. Above it the
/// connection is closed.
pub const LISTENER_FILTERS_TIMEOUT: Duration = Duration::from_secs(15);

/// How large the head of a request may be where a connection manager does not say it, in units of 1024 bytes, as Envoy has it.
/// Above it: 431.
pub const REQUEST_HEAD_KB: u32 = 60;

/// How many fields a request may have where a connection manager does not say it, as Envoy has it. Above it: 431.
pub const HEADER_FIELDS: u32 = 100;

/// How many streams a client of HTTP/2 may have at once where a connection manager does not say it, as Envoy has it. Above it
/// a stream is refused.
pub const H2_STREAMS: u32 = 1024;

/// How long the answer to a PING may take where a connection manager asks for them without saying it. Above it the connection is
/// cut.
pub const H2_KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long routes wait for clusters that they name and that are not there yet, where a newer set of clusters is on its way.
/// Above it the response is rejected.
pub const HOLD_ROUTES: Duration = Duration::from_secs(1);

/// How long a resource that is subscribed to may take to come before a listener or cluster goes on without it, where its
/// `ConfigSource` does not say (`initial_fetch_timeout`).
pub const INITIAL_FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// How many notes about what has no effect are kept of one resource; the rest is left out.
pub const NOTES_MAX: usize = 100;

/// How many unknown fields of one message are named where it is told of them; the rest is left out.
pub const UNKNOWN_FIELDS_SHOWN_MAX: usize = 100;

/// How many different messages with unknown fields are counted, each once, as Envoy does. Above it they are not any more.
pub const UNKNOWN_FIELDS_COUNTED_MAX: usize = 10_000;

/// How long the server lets listeners and routes wait until the clusters before them were taken, and removals until everything
/// else was. Above it they are sent all the same: a client that never answers must not keep the rest from itself.
pub const ORDER_WAIT: Duration = Duration::from_secs(5);

/// How long the server keeps from a client what it refused, the first time; each further time twice as long. A change of the
/// resource, or of what it names, is tried at once.
pub const NACK_RETRY_MIN: Duration = Duration::from_secs(30);

/// The longest time for which the server keeps from a client what it refused.
pub const NACK_RETRY_MAX: Duration = Duration::from_secs(600);

/// From how many bytes on a resource's body is sent from where it lies, shared by all clients; below it is copied into the
/// message, which costs less than a frame of its own.
pub const SHARED_BYTES_MIN: usize = 4 * 1024;

/// How many connections of clients the xDS server has at once. Above it they wait to be accepted.
pub const SERVER_CONNECTIONS_MAX: usize = 4096;

/// How many streams a client may have on one connection to the xDS server: Envoy has one for each EDS cluster where it does not
/// aggregate. Above it HTTP/2 makes it wait, or open another connection.
pub const SERVER_STREAMS_MAX: u32 = 16 * 1024;

/// How many bytes of requests a connection, and each of its streams, may have under way to the xDS server. HTTP/2 makes a
/// client wait that has more to say.
pub const SERVER_WINDOW_BYTES: u32 = 1024 * 1024;

/// How large a request to the xDS server may be, such as one with the versions of everything that a client has. Above it the
/// stream ends.
pub const SERVER_REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// After how long a silent connection of the xDS server is asked whether its client is still there.
pub const SERVER_KEEPALIVE: Duration = Duration::from_secs(30);

/// How long that answer may take. Above it the connection is cut.
pub const SERVER_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a stream of the xDS server may be open before its first request. Above it the stream ends with `DEADLINE_EXCEEDED`.
pub const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take no further message of what the xDS server sends. Above it the stream ends with `RESOURCE_EXHAUSTED`.
pub const SEND_STALL_MAX: Duration = Duration::from_secs(60);

/// How long the xDS server waits after it could not accept a connection, as when there are no descriptors left.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The longest configuration file. Above it the file is refused.
pub const TEXT_BYTES_MAX: usize = 256 << 20;

/// How deeply values of a configuration file nest, and messages when they are written out. Above it the file is refused, as in
/// Envoy, and what is written out ends.
pub const TEXT_NESTING_MAX: usize = 100;

/// How many values a configuration file has, YAML aliases expanded. Above it the file is refused.
pub const TEXT_NODES_MAX: usize = 4_000_000;

/// How large one response of a control plane may be, in bytes. Above it the stream is ended, and opened again after a pause; what
/// is in force stays. A full push for 10 000 services is 37.5 MB.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Up to how many bytes an accepted resource is copied out of the response that it came in, so that the response can be freed.
/// Above it the resource is kept where it is, and holds its response until it is packed.
pub const RESOURCE_BYTES_COPIED_MAX: usize = 64 * 1024;

/// How long after a change large resources are packed: as long as changes come, they are as they came.
pub const PACKING_DELAY: Duration = Duration::from_millis(200);

/// How hard they are packed, as Zstandard counts it: as fast as it goes, since most of them repeat themselves anyway.
pub const PACKING_LEVEL: i32 = 1;

/// How much is handed to who packs at once, in bytes, before others may have the core. It is packed 128 KiB at a time, which takes some
/// tenths of a millisecond.
pub const PACKING_PIECE_BYTES: usize = 8 * 1024;

/// How many requests a stream may have that its connection has not taken yet. Above it the next ones wait in the session, which
/// needs no more than one for each kind.
pub const REQUESTS_QUEUED_MAX: usize = 16;

/// How many responses of a kind wait to be judged one by one in delta. Above it the newest are judged as one.
pub const RESPONSES_WAITING_MAX: usize = 16;

/// How many answers a stream may owe for one kind. Above it the oldest are not sent: servers wait for the newest.
pub const ANSWERS_OWED_MAX: usize = 64;

/// How many names of resources that came are remembered of one kind on one stream, wanted or not (state of the world). Above it
/// whatever is wanted anew is asked for as if it had come before: without a version, so that all is sent.
pub const NAMES_REMEMBERED_MAX: usize = 256 * 1024;

/// How many requests may go out in a burst, where a rate limit is asked for without a number (`rate_limit_settings.max_tokens`).
pub const REQUEST_TOKENS_MAX: u32 = 100;

/// How many requests may go out each second after that, where the rate limit does not say (`rate_limit_settings.fill_rate`).
pub const REQUEST_TOKENS_PER_SECOND: f64 = 10.0;

/// The time between two NACKs of the same content. Some control planes answer a NACK with what was refused, at once.
pub const EQUAL_NACK_INTERVAL: Duration = Duration::from_millis(100);

/// How long the text of a NACK is, in bytes, as Envoy has it. Above it `...(truncated)` stands for the rest.
pub const NACK_BYTES_MAX: usize = 4096;

/// How many refused contents of a kind are remembered for that. Above it the oldest is forgotten, and may be refused again at once.
pub const REFUSALS_REMEMBERED_MAX: usize = 16;

/// The longest wait after the first failure of a stream (`retry_back_off.base_interval`); it doubles with each further one.
pub const RECONNECT_BACKOFF_BASE: Duration = Duration::from_millis(500);

/// The longest wait between two streams (`retry_back_off.max_interval`).
pub const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The time between two looks at a file that resources come from, where it does not change.
pub const FILE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How large a file that resources come from may be, in bytes. Above it it is not read, and what was read before stays.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long a cluster that was removed still takes requests: routes that do without it may be on their way. Above it they are
/// answered 503.
pub const CLUSTERS_LINGER: Duration = Duration::from_secs(1);

/// How often a cluster that warms by look-ups or health checks is looked at.
pub const WARMING_POLL: Duration = Duration::from_millis(20);

/// For how much longer than it drains the routes of a listener are kept; above it its connections have been cut.
pub const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// How many versions of listeners are kept for connections that drain, of those that need other routes than the listeners that
/// came after them. Above it the oldest is forgotten: requests on its connections find no route.
pub const DRAINING_LISTENERS_MAX: usize = 256;

/// How long the exchange of a route may take that does not say it (`timeout`), from the end of the request to the end of the
/// response. Above it the client gets 504.
pub const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the body of a direct response may be, in bytes, where the route configuration does not say it
/// (`max_direct_response_body_size_bytes`). Above it the route configuration is rejected.
pub const DIRECT_RESPONSE_BODY_BYTES_MAX: u64 = 4096;

/// How long a request of a revision may take, in seconds, where the cluster does not say it (`timeoutSeconds` of
/// `tidegate.activation`), as Knative has it. Above it the client gets 504, or a response that is cut.
pub const REVISION_TIMEOUT_SECONDS: u32 = 300;

/// The largest number that a cluster may give of its revision: seconds, or requests at a time. Above it the cluster is rejected.
pub const REVISION_NUMBER_MAX: u32 = i32::MAX as u32;

/// Which part of what is kept in a tree by name an update may change one by one: one in so many. Above it the tree is made anew,
/// as one by one, and in order, entries leave each of its nodes half empty.
pub const CHANGED_ONE_BY_ONE: usize = 4;

/// How many ways to balance are compared with those of a cluster that comes. One more, and those that were met first are forgotten:
/// clusters that come after have their own.
pub const BALANCES_KNOWN_MAX: usize = 16;
