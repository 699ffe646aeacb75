//! Criterion benches and the load comparison beside the peers.
