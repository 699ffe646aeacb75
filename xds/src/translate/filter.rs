//! HTTP filters: of a connection manager, and what virtual hosts, routes and clusters say about them.
