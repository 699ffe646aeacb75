//! Sidecar: concurrency limit, probes, timeouts, stats.
