//! Every metric of the data plane: names, labels, and the handles that the request path keeps.
//!
//! ```
//! use http::Request;
//! use metrics_exporter_prometheus::PrometheusBuilder;
//! use tidegate_proxy::config::Handle;
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::observe::metrics;
//! use tidegate_proxy::{Body, Proxy};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A program installs its recorder before it makes its proxies; here it is for this thread alone.
//! let recorder = PrometheusBuilder::new().build_recorder();
//! let _installed = ::metrics::set_default_local_recorder(&recorder);
//! metrics::describe();
//! let (_drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::default(), watch);
//! let _response = proxy.oneshot(Request::get("http://a.example/").body(Body::empty())?).await?;
//! let text = recorder.handle().render();
//! assert!(text.contains(&format!("{} 1\n", metrics::REQUESTS_ACCEPTED)));
//! # Ok(()) }
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, SharedString, Unit, counter, gauge, histogram};
use rustls::ProtocolVersion;

use crate::drain::Watch;
use crate::observe::Moment;
use crate::observe::ledger::{Ending, Ledger};
use crate::overload::Overload;

/// Requests that were taken up, those that were refused before they could be routed included (counter).
///
/// At rest: accepted = answered + failed + aborted. Each ends with the last byte of its response.
pub const REQUESTS_ACCEPTED: &str = "tidegate_requests_accepted_total";
/// Requests that an upstream or a route answered, to the end (counter; label `code_class`: `1xx` to `5xx`).
pub const REQUESTS_ANSWERED: &str = "tidegate_requests_answered_total";
/// Requests that this program answered with an error, or whose response broke off (counter; label `reason`:
/// [`Kind::name`](crate::error::Kind::name)).
pub const REQUESTS_FAILED: &str = "tidegate_requests_failed_total";
/// Requests whose client left before it had the whole response (counter).
pub const REQUESTS_ABORTED: &str = "tidegate_requests_aborted_total";
/// Requests that were turned away since the process holds as much as it may (counter; label `reason`: `requests`,
/// `buffered_bytes`, `parked` or `memory`). They count as failed, too.
pub const REQUESTS_SHED: &str = "tidegate_requests_shed_total";
/// Lines of access logs that were written (counter).
pub const ACCESS_LOG_LINES: &str = "tidegate_access_log_lines_total";
/// Lines of access logs that were dropped: the queue was full, or the file could not be written (counter).
pub const ACCESS_LOG_DROPPED: &str = "tidegate_access_log_dropped_total";
/// Spans that a collector took (counter).
pub const SPANS_EXPORTED: &str = "tidegate_spans_exported_total";
/// Spans that were dropped: the queue was full, or the collector did not take them (counter).
pub const SPANS_DROPPED: &str = "tidegate_spans_dropped_total";
/// Bytes of request bodies that were passed on (counter).
pub const REQUEST_BYTES: &str = "tidegate_request_body_bytes_total";
/// Bytes of response bodies that were passed on (counter).
pub const RESPONSE_BYTES: &str = "tidegate_response_body_bytes_total";
/// Seconds from the head of a request to the head of its response (histogram).
pub const REQUEST_SECONDS: &str = "tidegate_request_head_duration_seconds";
/// Downstream connections that are open now (gauge).
pub const CONNECTIONS: &str = "tidegate_downstream_connections";
/// Tunnels that are open now, such as WebSockets (gauge).
pub const TUNNELS: &str = "tidegate_tunnels";
/// Connections that were refused or could not be accepted (counter; label `reason`).
pub const CONNECTIONS_REFUSED: &str = "tidegate_downstream_connections_refused_total";
/// The `reason` of [`CONNECTIONS_REFUSED`] when as many are open as may be.
pub const REFUSED_TOO_MANY: &str = "too_many";
/// The `reason` of [`CONNECTIONS_REFUSED`] when the system could not accept one.
pub const REFUSED_BY_SYSTEM: &str = "accept";
/// Downstream HTTP/2 connections that were ended for what the client did or did not do (counter; label `reason`: what there
/// was too much of; `h2_calm` and `h2_protocol` where the `h2` crate found fault; `keep_alive` without an answer to PING).
pub const H2_CONNECTIONS_CUT: &str = "tidegate_downstream_h2_connections_cut_total";
/// The `reason` of [`CONNECTIONS_REFUSED`] when as many of one source address are open as may be.
pub const REFUSED_SOURCE: &str = "source";
/// The `reason` of [`CONNECTIONS_REFUSED`] when as many are open as may be under the ceiling of several listeners.
pub const REFUSED_CEILING: &str = "ceiling";
/// The `reason` of [`CONNECTIONS_REFUSED`] when a filter chain holds as many as it may.
pub const REFUSED_CHAIN_FULL: &str = "chain_full";
/// The `reason` of [`CONNECTIONS_REFUSED`] when no filter chain matches.
pub const REFUSED_NO_CHAIN: &str = "no_filter_chain_match";
/// The `reason` of [`CONNECTIONS_REFUSED`] when a PROXY header is malformed, or missing where there has to be one.
pub const REFUSED_PROXY_HEADER: &str = "proxy_header";
/// The `reason` of [`CONNECTIONS_REFUSED`] when a TLS handshake failed, for whichever side's fault.
pub const REFUSED_TLS: &str = "tls";
/// The `reason` of [`CONNECTIONS_REFUSED`] when HTTP could not begin in time.
pub const REFUSED_TIMEOUT: &str = "timeout";
/// Connections that were accepted (counter; label `listener`).
pub const LISTENER_ACCEPTED: &str = "tidegate_listener_connections_accepted_total";
/// How often accepting has paused, since there were as many connections as may be (counter; label `listener`).
pub const LISTENER_PAUSES: &str = "tidegate_listener_pauses_total";
/// TLS handshakes that were completed (counter; labels `listener`, `version`: `1.2` or `1.3`).
pub const TLS_HANDSHAKES: &str = "tidegate_tls_handshakes_total";
/// When the first certificate of a filter chain expires, in seconds since 1970 (gauge; labels `listener`, `chain`).
pub const TLS_CERTIFICATE_EXPIRY: &str = "tidegate_tls_certificate_expiry_timestamp_seconds";
/// Requests sent to a cluster (counter; label `cluster`).
pub const UPSTREAM_REQUESTS: &str = "tidegate_upstream_requests_total";
/// Connections opened to a cluster (counter; label `cluster`).
pub const UPSTREAM_CONNECTS: &str = "tidegate_upstream_connects_total";
/// Connections that a cluster did not accept (counter; label `cluster`).
pub const UPSTREAM_CONNECT_FAILURES: &str = "tidegate_upstream_connect_failures_total";
/// Connections whose TLS handshake failed; counted in [`UPSTREAM_CONNECT_FAILURES`] too (counter; label `cluster`).
pub const UPSTREAM_TLS_FAILURES: &str = "tidegate_upstream_tls_failures_total";
/// Requests sent again, because their reused connection had died or a retry policy says so (counter; label `cluster`).
pub const UPSTREAM_RETRIES: &str = "tidegate_upstream_retries_total";
/// What a circuit breaker turned away (counter; labels `cluster`, `priority`: `default` or `high`, `breaker`: `connections`,
/// `pending`, `requests` or `retries`).
pub const UPSTREAM_OVERFLOWS: &str = "tidegate_upstream_overflows_total";
/// Endpoints that were ejected as outliers (counter; labels `cluster`, `reason`: `consecutive_5xx`,
/// `consecutive_gateway_failure`, `consecutive_local_origin_failure`, `success_rate` or `failure_percentage`).
pub const UPSTREAM_EJECTIONS: &str = "tidegate_upstream_ejections_total";
/// Health checks of endpoints (counter; labels `cluster`, `result`: `healthy`, `degraded`, `unhealthy` or `failed`).
pub const UPSTREAM_CHECKS: &str = "tidegate_upstream_health_checks_total";

/// The upper bounds of [`REQUEST_SECONDS`]'s buckets, in seconds.
pub const REQUEST_SECONDS_BUCKETS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Says what each metric means, to the recorder that is installed.
pub fn describe() {
    let counters = [
        (REQUESTS_ACCEPTED, "Requests whose head was complete"),
        (REQUESTS_ANSWERED, "Requests answered by an upstream or a route"),
        (REQUESTS_FAILED, "Requests answered with an error of the proxy"),
        (REQUESTS_SHED, "Requests turned away by a bound of the process"),
        (ACCESS_LOG_LINES, "Lines of access logs written"),
        (ACCESS_LOG_DROPPED, "Lines of access logs dropped"),
        (SPANS_EXPORTED, "Spans that a collector took"),
        (SPANS_DROPPED, "Spans that were dropped"),
        (REQUEST_BYTES, "Bytes of request bodies passed on"),
        (RESPONSE_BYTES, "Bytes of response bodies passed on"),
        (
            REQUESTS_ABORTED,
            "Requests whose client left before it had the whole response",
        ),
        (CONNECTIONS_REFUSED, "Connections refused or not accepted"),
        (
            H2_CONNECTIONS_CUT,
            "HTTP/2 connections ended for what the client did",
        ),
        (LISTENER_ACCEPTED, "Connections accepted"),
        (LISTENER_PAUSES, "Pauses of accepting at the bound on connections"),
        (TLS_HANDSHAKES, "TLS handshakes completed"),
        (UPSTREAM_REQUESTS, "Requests sent to a cluster"),
        (UPSTREAM_CONNECTS, "Connections opened to a cluster"),
        (
            UPSTREAM_CONNECT_FAILURES,
            "Connections that a cluster did not accept",
        ),
        (
            UPSTREAM_TLS_FAILURES,
            "Connections to a cluster whose TLS handshake failed",
        ),
        (
            UPSTREAM_RETRIES,
            "Requests sent again: their connection had died, or a policy says so",
        ),
        (UPSTREAM_OVERFLOWS, "What a circuit breaker turned away"),
        (UPSTREAM_CHECKS, "Health checks of endpoints"),
        (UPSTREAM_EJECTIONS, "Endpoints that were ejected as outliers"),
    ];
    for (name, help) in counters {
        metrics::describe_counter!(name, Unit::Count, help);
    }
    metrics::describe_gauge!(CONNECTIONS, Unit::Count, "Open downstream connections");
    metrics::describe_gauge!(TUNNELS, Unit::Count, "Open tunnels");
    metrics::describe_gauge!(
        TLS_CERTIFICATE_EXPIRY,
        Unit::Seconds,
        "When the first certificate of a filter chain expires"
    );
    metrics::describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "Request head to response head");
}

/// The books of a worker, and the handles that every request uses.
pub(crate) struct ProxyMetrics {
    ledger: Ledger,
    overload: Overload,
    drain: Watch,
    epoch: Instant,
    accepted: Counter,
    aborted: Counter,
    connections: Gauge,
    tunnels: Gauge,
    answered: [Counter; 5],
    request_bytes: Counter,
    response_bytes: Counter,
    seconds: Histogram,
}

impl ProxyMetrics {
    pub(crate) fn new(drain: Watch, overload: Overload) -> Self {
        Self {
            ledger: Ledger::default(),
            overload,
            drain,
            epoch: Instant::now(),
            accepted: counter!(REQUESTS_ACCEPTED),
            aborted: counter!(REQUESTS_ABORTED),
            connections: gauge!(CONNECTIONS),
            tunnels: gauge!(TUNNELS),
            answered: ["1xx", "2xx", "3xx", "4xx", "5xx"]
                .map(|class| counter!(REQUESTS_ANSWERED, "code_class" => class)),
            request_bytes: counter!(REQUEST_BYTES),
            response_bytes: counter!(RESPONSE_BYTES),
            seconds: histogram!(REQUEST_SECONDS),
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn overload(&self) -> &Overload {
        &self.overload
    }

    /// Whether the drain is over, and what still runs is being cut.
    pub(crate) fn is_forced(&self) -> bool {
        self.drain.is_forced()
    }

    pub(crate) fn began(&self) {
        self.ledger.begin();
        self.accepted.increment(1);
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::since(self.epoch)
    }

    /// The response head of a request that came at `started` is ready.
    pub(crate) fn head_sent(&self, started: Moment) {
        self.seconds.record(started.until(self.now()).as_secs_f64());
    }

    /// A request is over; `status` is that of its answer, where it had one that was not an error of ours.
    pub(crate) fn ended(&self, ending: Ending, status: Option<StatusCode>, sent: u64) {
        // Before the ledger, which says when everything is at rest.
        if sent > 0 {
            self.response_bytes.increment(sent);
        }
        match ending {
            Ending::Answered => {
                let class = usize::from(status.map_or(2, |status| status.as_u16() / 100)).saturating_sub(1);
                if let Some(counter) = self.answered.get(class) {
                    counter.increment(1);
                }
            }
            Ending::Aborted => self.aborted.increment(1),
            // Errors are rare enough to look their counter up.
            Ending::Failed(kind) => counter!(REQUESTS_FAILED, "reason" => kind.name()).increment(1),
        }
        self.ledger.end(ending);
    }

    pub(crate) fn received(&self, bytes: u64) {
        if bytes > 0 {
            self.request_bytes.increment(bytes);
        }
    }

    /// Counts one tunnel until it is dropped.
    pub(crate) fn tunnel(&self) -> OpenTunnel {
        self.tunnels.increment(1.0);
        OpenTunnel(self.tunnels.clone())
    }

    /// Counts one downstream connection until it is dropped.
    pub(crate) fn connection(&self) -> OpenConnection {
        self.connections.increment(1.0);
        OpenConnection(self.connections.clone())
    }

    pub(crate) fn connection_cut(reason: &'static str) {
        counter!(H2_CONNECTIONS_CUT, "reason" => reason).increment(1);
    }

    pub(crate) fn connection_refused(reason: &'static str) {
        counter!(CONNECTIONS_REFUSED, "reason" => reason).increment(1);
    }
}

impl fmt::Debug for ProxyMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyMetrics").finish_non_exhaustive()
    }
}

/// The handles that every connection of one listener uses.
pub(crate) struct ListenerMetrics {
    name: Arc<str>,
    accepted: Counter,
    pauses: Counter,
    handshakes: [Counter; 2],
}

impl ListenerMetrics {
    pub(crate) fn new(name: &Arc<str>) -> Self {
        let label = || SharedString::from(Arc::clone(name));
        Self {
            name: Arc::clone(name),
            accepted: counter!(LISTENER_ACCEPTED, "listener" => label()),
            pauses: counter!(LISTENER_PAUSES, "listener" => label()),
            handshakes: ["1.2", "1.3"]
                .map(|version| counter!(TLS_HANDSHAKES, "listener" => label(), "version" => version)),
        }
    }

    pub(crate) fn accepted(&self) {
        self.accepted.increment(1);
    }

    pub(crate) fn paused(&self) {
        self.pauses.increment(1);
    }

    pub(crate) fn handshake(&self, version: Option<ProtocolVersion>) {
        let [tls12, tls13] = &self.handshakes;
        match version {
            Some(ProtocolVersion::TLSv1_3) => tls13.increment(1),
            _ => tls12.increment(1),
        }
    }

    pub(crate) fn certificate_expires(&self, chain: &Arc<str>, at: SystemTime) {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (listener, chain) = (
            SharedString::from(Arc::clone(&self.name)),
            SharedString::from(Arc::clone(chain)),
        );
        gauge!(TLS_CERTIFICATE_EXPIRY, "listener" => listener, "chain" => chain).set(seconds.as_secs_f64());
    }
}

impl fmt::Debug for ListenerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerMetrics").finish_non_exhaustive()
    }
}

/// One open downstream connection, however it ends.
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// One open tunnel, however it ends.
pub(crate) struct OpenTunnel(Gauge);

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// The handles that every request to one cluster uses.
#[derive(Debug)]
pub(crate) struct ClusterMetrics {
    pub(crate) requests: Counter,
    pub(crate) connects: Counter,
    pub(crate) connect_failures: Counter,
    pub(crate) tls_failures: Counter,
    pub(crate) retries: Counter,
}

impl ClusterMetrics {
    pub(crate) fn new(cluster: &str) -> Self {
        let label = cluster.to_owned();
        Self {
            requests: counter!(UPSTREAM_REQUESTS, "cluster" => label.clone()),
            connects: counter!(UPSTREAM_CONNECTS, "cluster" => label.clone()),
            connect_failures: counter!(UPSTREAM_CONNECT_FAILURES, "cluster" => label.clone()),
            tls_failures: counter!(UPSTREAM_TLS_FAILURES, "cluster" => label.clone()),
            retries: counter!(UPSTREAM_RETRIES, "cluster" => label),
        }
    }
}

/// The counter of what one circuit breaker turns away.
pub(crate) fn breaker_overflow(cluster: &str, priority: &'static str, breaker: &'static str) -> Counter {
    let cluster = cluster.to_owned();
    counter!(UPSTREAM_OVERFLOWS, "cluster" => cluster, "priority" => priority, "breaker" => breaker)
}

/// Counts one ejection; they are rare enough to look their counter up.
pub(crate) fn ejected(cluster: &str, reason: &'static str) {
    counter!(UPSTREAM_EJECTIONS, "cluster" => cluster.to_owned(), "reason" => reason).increment(1);
}

/// Counts one health check; they are rare enough to look their counter up.
pub(crate) fn checked(cluster: &str, result: &'static str) {
    counter!(UPSTREAM_CHECKS, "cluster" => cluster.to_owned(), "result" => result).increment(1);
}
