//! Every bound of the data plane and its default, in one place.
//!
//! ```
//! use tidegate_proxy::cluster::TransportSettings;
//! use tidegate_proxy::config::http::DownstreamTimeouts;
//! use tidegate_proxy::config::limits;
//!
//! assert_eq!(DownstreamTimeouts::default().request_head, limits::REQUEST_HEAD_TIMEOUT);
//! assert_eq!(TransportSettings::default().connect_timeout, limits::CONNECT_TIMEOUT);
//! ```

use std::time::Duration;

/// The longest a connection may take to send a complete request head, counted from its first byte (slowloris); then 408
/// and the connection is closed.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a downstream connection may be without a request; then it is closed.
pub const DOWNSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long a request may be under way without a byte moving in either direction; then it ends with 408 or 504, or its
/// started response is cut.
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a connection that is being closed gracefully waits for what is under way on it; then it is cut.
pub const CONNECTION_DRAIN_TIMEOUT: Duration = Duration::from_secs(600);
/// How long what is left of a listener or filter chain that has faded out has for its last words; then it is cut.
pub const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest request target that is read, in bytes; above it 414.
pub const REQUEST_TARGET_BYTES_MAX: usize = 32 * 1024;
/// The most interim (1xx) responses that are passed on for one request; further ones are dropped.
pub const INTERIM_RESPONSES_MAX: usize = 16;
/// The most interim (1xx) responses that are read for one request from an upstream; above it 502.
pub const INTERIM_RESPONSES_READ_MAX: usize = 256;
/// How long a client that expects `100 Continue` is left waiting for the upstream's, once the upstream has the head of the
/// request; then it gets one of ours (RFC 9110 §10.1.1).
pub const EXPECT_CONTINUE_WAIT: Duration = Duration::from_secs(1);
/// The first pause before another try under a retry policy (Envoy's 25 ms).
pub const RETRY_BACKOFF_BASE: Duration = Duration::from_millis(25);
/// How many bytes of a request's body are kept so that it can be sent again under a retry policy; a request whose body is
/// longer is sent once.
pub const RETRY_BODY_BYTES_MAX: usize = 64 * 1024;
/// The most bytes that a copy of a request's body may lag behind the request; above it the copy is broken off.
pub const MIRROR_BODY_BYTES_MAX: usize = 1024 * 1024;
/// The most parts of a body that wait for a copy to be sent; above it the copy is broken off.
pub const MIRROR_PARTS_MAX: usize = 256;
/// The most copies of requests that one worker has under way; above it requests are not mirrored.
pub const MIRRORS_PER_WORKER_MAX: usize = 1024;
/// How long the copy of a request may take, where its route has no deadline; then it is broken off.
pub const MIRROR_TIMEOUT: Duration = Duration::from_secs(15);
/// How often another endpoint is asked for before a retry goes to one that has failed already.
pub const HOST_RESELECTIONS_MAX: u32 = 3;
/// Envoy's usual bound of open connections to one cluster and priority; above it none is dialled. Only where a cluster asks
/// for it ([`Thresholds::usual`](crate::cluster::breaker::Thresholds::usual)): by default a cluster has no bound of its own,
/// since [`CONNECTIONS_MAX`] bounds what comes in.
pub const BREAKER_CONNECTIONS_USUAL: usize = 1024;
/// Envoy's usual bound of requests that wait for a connection to one cluster; above it 503. Only where a cluster asks for it.
pub const BREAKER_PENDING_USUAL: usize = 1024;
/// Envoy's usual bound of requests under way to one cluster; above it 503. Only where a cluster asks for it.
pub const BREAKER_REQUESTS_USUAL: usize = 1024;
/// Envoy's usual bound of retries under way to one cluster; above it a failure stands. Only where a cluster asks for it.
pub const BREAKER_RETRIES_USUAL: usize = 3;
/// Below this percentage of available endpoints of a priority their health is ignored (Envoy's panic threshold).
pub const PANIC_PERCENT: u8 = 50;
/// How many percent of its share a healthy endpoint is taken to bear before another priority or locality has to help: down
/// to 71 % health a priority takes everything (Envoy's overprovisioning factor).
pub const OVERPROVISIONING_PERCENT: u32 = 140;
/// The fewest points on the ring of a cluster that balances by ring hash; 16 bytes each.
pub const RING_POINTS_MIN: usize = 1024;
/// The most points on such a ring: with more endpoints each has fewer points (Envoy's 8 Mi).
pub const RING_POINTS_MAX: usize = 8 * 1024 * 1024;
/// The slots in the table of a cluster that balances by Maglev; a prime, 4 bytes each (Envoy's).
pub const MAGLEV_SLOTS: u32 = 65_537;
/// The most slots that such a table may have; above it the configuration is refused (Envoy's).
pub const MAGLEV_SLOTS_MAX: u32 = 5_000_011;
/// How many failures in a row make an endpoint an outlier, where a cluster detects them (Envoy's default).
pub const CONSECUTIVE_FAILURES: u32 = 5;
/// How often success rates are compared and ejections ended (Envoy's default).
pub const OUTLIER_INTERVAL: Duration = Duration::from_secs(10);
/// How long an endpoint's first ejection lasts; each further one in a row that much longer (Envoy's default).
pub const EJECTION_BASE: Duration = Duration::from_secs(30);
/// The longest ejection (Envoy's default).
pub const EJECTION_MAX: Duration = Duration::from_secs(300);
/// The most of a cluster's endpoints that are ejected at once, in percent; further ones stay (Envoy's default).
pub const EJECTED_PERCENT_MAX: u8 = 10;
/// How long the answer to a health check may take, the connection included; then the check has failed.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// The time between two health checks of an endpoint, where its cluster does not say otherwise.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The most health checks of one cluster that are under way at once; further ones wait for their turn.
pub const CHECKS_AT_ONCE_MAX: usize = 64;
/// The longest answer to a health check that is read, in bytes; a longer one is a failure.
pub const CHECK_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How often a cluster's names are looked up again, where no record says for how long it is good (Envoy's default).
pub const DNS_REFRESH: Duration = Duration::from_secs(5);
/// The shortest time between two look-ups of a name, whatever its record or a cluster says.
pub const DNS_REFRESH_MIN: Duration = Duration::from_secs(1);
/// The longest time that a record is believed.
pub const DNS_TTL_MAX: Duration = Duration::from_secs(3600);
/// How many times its refresh interval a name that is not found waits at most until it is looked up again.
pub const DNS_BACKOFF_MAX: u32 = 10;
/// How long a look-up may take; then it has failed, and the last addresses stay.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(10);
/// The most addresses of one name that become endpoints; further ones are left out.
pub const DNS_ADDRESSES_MAX: usize = 1024;
/// The longest cookie or field that is read as the address of a client's endpoint, in bytes; a longer one says nothing.
pub const AFFINITY_TOKEN_BYTES_MAX: usize = 512;
/// The largest request head (request line and fields) that is read, in bytes; above it 431.
pub const REQUEST_HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most header fields in one HTTP/1.1 request or response; above it 431, or 502.
pub const HEADER_FIELDS_MAX: usize = 100;
/// How much of a request head is read at once, on the stack, in bytes; twice as much as the time before, up to
/// [`BODY_READ_BYTES`], where the last request on its connection was longer. The same holds for the head of a response, up to
/// [`UPSTREAM_FIRST_READ_BYTES`].
pub const HEAD_READ_BYTES: usize = 8 * 1024;
/// How many messages in a row that would fit in half of what is read at first make that half as much.
pub const SMALL_READS_MAX: u8 = 4;
/// How much of an HTTP/1.1 request body is read at once, in bytes.
pub const BODY_READ_BYTES: usize = 32 * 1024;
/// The most bytes of chunk extensions in one request body; above it 400, or the request is cut.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 16 * 1024;
/// The largest trailer section of an HTTP/1.1 request, in bytes; above it 400, or the request is cut.
pub const TRAILER_BYTES_MAX: usize = 16 * 1024;
/// How much of a request body must come in [`STALL_TIMEOUT`] of waiting for it, in bytes, before the response
/// begins; else 408.
pub const BODY_PROGRESS_BYTES_MIN: usize = 1024;
/// How much input that nobody wants is read and dropped after a response, in bytes; above it the connection is closed, [`LINGER_TIME`]
/// after the response.
pub const UNREAD_BYTES_MAX: usize = 256 * 1024;
/// How much of what a client has sent is dropped when its connection is cut at the end of a drain, in bytes; on more the connection
/// is reset.
pub const PARTED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long input that nobody wants is read and dropped after a response, or left unread; then the connection is closed.
pub const LINGER_TIME: Duration = Duration::from_secs(2);
/// How much of an HTTP/1.1 response is put together before it is written, in bytes.
pub const WRITE_BATCH_BYTES: usize = 16 * 1024;
/// How much of a body is collected before it is written, in bytes, as long as more is at hand and its recipient takes what is
/// written: more than this goes out at once only by the last piece that was added.
pub const WRITE_GATHER_BYTES: usize = 128 * 1024;
/// The most large pieces of a body that are written at once; further ones wait for the next write.
pub const WRITE_PIECES_MAX: usize = 8;
/// Up to which size a piece of a response is copied to what is written with it, in bytes; a larger one is written from
/// where it is.
pub const WRITE_COPY_BYTES_MAX: usize = 4 * 1024;
/// How long a connection may take for its PROXY header and its TLS handshake, from the moment it is accepted; then it is
/// closed.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most TLS handshakes that are under way at once for all listeners that share a bound on connections, each counted
/// from its complete ClientHello; further ones wait for their turn, inside their own deadline.
pub const TLS_HANDSHAKES_MAX: usize = 4096;
/// The largest ClientHello that is passed on as it came, records and all, in bytes; on a larger one the connection is closed.
pub const CLIENT_HELLO_BYTES_MAX: usize = 64 * 1024;
/// The most bytes that wait in memory to be encrypted or sent on one TLS connection; above it writing waits.
pub const TLS_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How often files of certificates are looked at.
pub const CERTIFICATE_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The largest file of certificates or keys that is read, in bytes; above it is an error.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The largest PROXY header of version 2 that is read, in bytes; above it the connection is closed. One of version 1 has
/// at most 107.
pub const PROXY_HEADER_BYTES_MAX: usize = 4 * 1024;
/// The most combinations of criteria that the filter chains of one listener may have together; above it they are refused.
pub const CHAIN_MATCHES_MAX: usize = 100_000;
/// File descriptors that connections leave to the admin listener and files.
pub const DESCRIPTORS_RESERVED: usize = 64;
/// The most file descriptors that connections from clients leave to connections to upstreams; up to this number, one half.
pub const DESCRIPTORS_UPSTREAM_MAX: usize = 8192;
/// The most connections that all listeners of a process hold at once; above it nothing is accepted until one ends.
pub const CONNECTIONS_MAX: usize = 100_000;
/// The most requests that a process has under way at once, tunnels and parked ones included; above it new ones get 503 with
/// `Retry-After`, before they are routed.
pub const REQUESTS_MAX: usize = 100_000;
/// The most bytes that a process keeps in memory for requests. Above it a body is not kept for another try, but sent once; what a
/// layer cannot do without it refuses with 503 and `Retry-After`.
pub const BUFFERED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The most requests of a process that wait for something other than their upstream's answer; above it 503 with
/// `Retry-After`.
pub const PARKED_REQUESTS_MAX: usize = 50_000;
/// What `Retry-After` says to a request that was shed.
pub const OVERLOAD_RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often the memory of the process is looked at, where it has a bound.
pub const MEMORY_SAMPLE_INTERVAL: Duration = Duration::from_millis(250);
/// From how much of its memory bound on, in percent, new requests get 503 and connections are not kept alive.
pub const MEMORY_SHED_PERCENT: u32 = 95;
/// From how much of its memory bound on, in percent, no connection is accepted.
pub const MEMORY_STOP_PERCENT: u32 = 98;
/// The most lines of an access log that wait for its file; further ones are dropped and counted.
pub const ACCESS_LOG_QUEUE_LINES: usize = 16 * 1024;
/// The most bytes of lines that wait for an access log's file; further ones are dropped and counted.
pub const ACCESS_LOG_QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// The most spans that wait to be exported; further ones are dropped and counted.
pub const SPAN_QUEUE: usize = 8 * 1024;
/// The most spans in one export.
pub const SPAN_BATCH: usize = 512;
/// How long a span waits for others to be exported with.
pub const SPAN_BATCH_DELAY: Duration = Duration::from_secs(1);
/// How long one export may take, from the connection to the answer; then it is tried again.
pub const SPAN_SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a collector's answer; a longer one counts as none.
pub const SPAN_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How often an export is tried; then its spans are dropped and counted.
pub const SPAN_TRIES: u32 = 4;
/// The pause before an export is tried again, doubled each time, unless the collector names another.
pub const SPAN_RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long the end of a process waits for its last spans to be exported; then they are dropped and counted.
pub const SPAN_FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// From how many bytes on lines of a log are written without waiting for more of them.
pub const LINES_BATCH_BYTES: usize = 64 * 1024;
/// How long a thread that has written lines of a log lets further ones gather before it looks for them.
pub const LINES_LINGER: Duration = Duration::from_millis(1);
/// The most bytes of lines of a log that wait for the thread that writes them; further ones are lost and counted.
pub const LINES_WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest text by which requests are counted, in bytes: a DNS name fits. What has a longer one is counted without its attributes.
pub const ATTRIBUTE_BYTES_MAX: usize = 256;
/// How often metrics are sent to a collector, unless another interval is set (OpenTelemetry's default).
pub const METRICS_PUSH_INTERVAL: Duration = Duration::from_secs(60);
/// The shortest interval at which metrics are sent to a collector; a shorter one that is set counts as this.
pub const METRICS_PUSH_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The most concurrent streams on one downstream HTTP/2 connection (`SETTINGS_MAX_CONCURRENT_STREAMS`).
pub const H2_STREAMS_MAX: u32 = 250;
/// The receive window of one HTTP/2 stream, in bytes.
pub const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The receive window of a whole HTTP/2 connection, in bytes.
pub const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// The most bytes of response body that wait in memory for one HTTP/2 stream's window.
pub const H2_SEND_BUFFER_BYTES: usize = 256 * 1024;
/// Streams reset before they were answered, waiting to be forgotten, on one connection (rapid reset).
pub const H2_PENDING_RESETS_MAX: usize = 50;
/// Streams that this side resets for the client's faults, over the life of one HTTP/2 connection; above it the connection ends
/// with `ENHANCE_YOUR_CALM`, as it does for each of the bounds below (MadeYouReset, CVE-2025-8671).
pub const H2_FAULTY_STREAMS_MAX: u32 = 500;
/// Streams of one HTTP/2 connection that were refused as more were open than may be, over its life.
pub const H2_REFUSED_STREAMS_MAX: u32 = 1000;
/// The time within which the frames below are counted.
pub const H2_METER_WINDOW: Duration = Duration::from_secs(1);
/// PING from a client within [`H2_METER_WINDOW`], answers to ours included.
pub const H2_PINGS_MAX: u32 = 100;
/// SETTINGS from a client within [`H2_METER_WINDOW`], acknowledgements included.
pub const H2_SETTINGS_MAX: u32 = 50;
/// PRIORITY from a client within [`H2_METER_WINDOW`].
pub const H2_PRIORITIES_MAX: u32 = 100;
/// WINDOW_UPDATE from a client within [`H2_METER_WINDOW`] that no DATA of ours has earned: those of the connection, and those
/// of its streams, for which it is enough that each of them opens its window once.
pub const H2_WINDOW_UPDATES_MAX: u32 = 300;
/// WINDOW_UPDATE that DATA of ours earns at most; more than the frames that a full connection window holds.
pub const H2_WINDOW_UPDATES_EARNED_MAX: u32 = 150_000;
/// DATA from a client within [`H2_METER_WINDOW`] that has no byte and ends nothing. The `h2` crate's own bound is 100 over a
/// connection's life.
pub const H2_EMPTY_DATA_MAX: u32 = 100;
/// CONTINUATION in one block of fields from a client; the `h2` crate takes fewer, if heads are small (CVE-2024-27316).
pub const H2_CONTINUATIONS_MAX: u32 = 20;
/// RST_STREAM from a client within [`H2_METER_WINDOW`]: all that can be open may be given up at once.
pub const H2_RESETS_MAX: u32 = H2_STREAMS_MAX;
/// RST_STREAM from a client over the life of a connection, where it gives up more than half of its streams.
pub const H2_LIFETIME_RESETS_MAX: u32 = 10_000;
/// RST_STREAM from a client before the response began, over the life of a connection, where it gives up more than half of
/// its streams so early (rapid reset, CVE-2023-44487).
pub const H2_PREMATURE_RESETS_MAX: u32 = 100;
/// Frames of unknown types from a client within [`H2_METER_WINDOW`], and GOAWAY.
pub const H2_ODD_FRAMES_MAX: u32 = 100;
/// Streams that are remembered as unanswered by the count of frames; of more the oldest are forgotten.
pub const H2_UNANSWERED_MAX: usize = 1024;
/// How long a stream of HTTP/2 is young: it sets no timer for a deadline that is more than four times as far away, and above it
/// does. What it is given for its deadlines stays the same.
pub const H2_STREAM_YOUTH: Duration = Duration::from_secs(2);
/// How long a client is left to take the end of an HTTP/2 connection: the GOAWAY, and what it had sent by then.
pub const H2_FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of what a client still sends after its connection was ended is read and dropped, in bytes: unread it would
/// make the kernel reset the connection, and the client would never learn why.
pub const H2_FAREWELL_BYTES_MAX: usize = 1024 * 1024;
/// How much of a response a client must take within [`STALL_TIMEOUT`] while some of it waits for the client's window,
/// in bytes; otherwise the stream is cut (a window that opens byte by byte).
pub const H2_PROGRESS_BYTES_MIN: usize = 16 * 1024;
/// How long a client may leave a response that is under way without reading a byte of it; then its stream or
/// connection is cut, and whatever it occupied is free (slow read).
pub const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an upstream may take to accept a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an upstream connection may lie idle in a pool: shorter than the 5 s after which many
/// application servers close theirs.
pub const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Of how many servers a cluster keeps TLS sessions to resume; the oldest is forgotten then.
pub const UPSTREAM_TLS_SESSIONS: usize = 256;
/// The largest head, or trailers, of a response that is read from an upstream, in bytes; above it 502, or the response is
/// cut.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most idle HTTP/1.1 connections that one worker keeps for one endpoint.
pub const UPSTREAM_IDLE_MAX: usize = 1024;
/// The most streams that one worker opens on one upstream HTTP/2 connection before it dials another.
pub const UPSTREAM_H2_STREAMS_MAX: usize = 100;
/// How long a connection that carries no HTTP may be without a byte moving in either direction; then it is closed (Envoy's 1 h).
pub const RELAY_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// How many endpoints that did not accept a connection are passed over for it; further ones may be asked again.
pub const RELAY_ENDPOINTS_AVOIDED_MAX: usize = 16;
/// How much of a tunnel's bytes is in memory per direction.
pub const TUNNEL_BUFFER_BYTES: usize = 16 * 1024;
/// How much of a response is read at once from an HTTP/1.1 upstream, in bytes: what is in memory of one whose client is slow,
/// beside what [`WRITE_GATHER_BYTES`] has collected of it until that showed.
pub const UPSTREAM_BUFFER_BYTES: usize = 64 * 1024;
/// As [`UPSTREAM_BUFFER_BYTES`], for the first read of a response on a connection whose last responses were as large as that.
pub const UPSTREAM_FIRST_READ_BYTES: usize = 128 * 1024;
/// How often idle upstream connections are looked over.
pub const POOL_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long accepting pauses after the process ran out of file descriptors.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// How many connections may be on their way from other workers to one that has fewer. Above it they stay where they came to.
pub const HANDED_ON_MAX: usize = 64;
/// Of how many connections a worker may have one more than another, where they are spread roughly.
pub const BALANCE_SLACK_PART: usize = 8;
/// The length of the kernel's queue of connections that wait to be accepted.
pub const LISTEN_BACKLOG: u32 = 4096;
/// The longest request head that the admin listener reads, in bytes.
pub const ADMIN_HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long one admin exchange may take, from the connection to its end.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The most connections that the admin listener holds at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// The longest regular expression of a configuration, in bytes; above it the configuration is refused.
pub const REGEX_TEXT_BYTES_MAX: usize = 4 * 1024;
/// How large one compiled regular expression may be, in bytes; above it the configuration is refused.
pub const REGEX_PROGRAM_BYTES_MAX: usize = 512 * 1024;
/// The cache that matching one regular expression may use on one thread, in bytes; above it matching gets slower, not
/// larger.
pub const REGEX_CACHE_BYTES_MAX: usize = 128 * 1024;
/// The longest header value that a template makes for one request, in bytes; a longer one is not written.
pub const HEADER_VALUE_BYTES_MAX: usize = 16 * 1024;
/// The most header mutations of one level in one direction; above it the configuration is refused.
pub const HEADER_MUTATIONS_MAX: usize = 1024;
/// How long an external authorization service may take to say whether a request may pass.
pub const AUTHORIZATION_TIMEOUT: Duration = Duration::from_millis(200);
/// The most bytes of an answer of an external authorization service that is read whole; a longer one is a failure of the service, and a longer refusal one without its body.
pub const AUTHORIZATION_ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// How often the filters of a route may lead a request to another route, whose filters it has to pass then; it is refused at the next time.
pub const ROUTE_REMATCHES_MAX: usize = 4;
/// The shortest response that is compressed by default, in bytes.
pub const COMPRESSION_BYTES_MIN: u64 = 30;

/// How much a thread that can wait steps back for those that carry traffic, as nice(1) counts it: a tenth of a core where
/// both want it.
pub const CONTROL_NICENESS: i32 = 10;

/// How long work that can wait keeps a core before it lets others have it.
pub const GIVE_WAY_EVERY: Duration = Duration::from_micros(50);

/// Where others keep the core, work that can wait goes on for one part in so many of the time that it waited.
pub const GIVE_WAY_SHARE: u32 = 8;

/// How many steps of work that can wait pass before the clock is looked at again: some are shorter than a look.
pub const GIVE_WAY_STEPS: u32 = 8;

/// Up to how many bytes of a virtual host's name and domains it is looked whether they say a further domain already, so that it is in
/// memory once. Above it each domain has bytes of its own.
pub const HOST_TEXT_SEARCHED_BYTES_MAX: usize = 4 * 1024;
