//! The data plane as a library: from listeners to upstreams.
