//! What a replica reports about its load (Knative Serving `pkg/autoscaler/metrics/stat.proto`).

/// One report of one replica about the last second.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stat {
    /// Name of the replica that reports (proto field 1).
    pub pod_name: String,
    /// Mean concurrency, weighted by time; proxied requests and requests that wait included (2).
    pub average_concurrent_requests: f64,
    /// The part of it that came through an activator (3).
    pub average_proxied_concurrent_requests: f64,
    /// Requests that arrived, per second; proxied ones included (4).
    pub request_count: f64,
    /// Requests that arrived through an activator, per second (5).
    pub proxied_request_count: f64,
    /// Seconds since the reporter began (6).
    pub process_uptime: f64,
    /// Seconds since 1970; a replica leaves it 0, the autoscaler sets it when it forwards (7).
    pub timestamp: i64,
}
