//! Every bound on what a file of objects may cost.

/// Longest file that is read at all: 4 MiB.
pub const FILE_BYTES_MAX: usize = 4 << 20;
/// Documents in one file.
pub const DOCUMENTS_MAX: usize = 1000;
/// Nested lists and maps in one document; Knative's own objects stay below 20.
pub const NESTING_MAX: usize = 100;
/// Values of all documents of one file, aliases expanded: what keeps a "billion laughs" file small.
///
/// Every 64 bytes of text count as one more value.
pub const NODES_MAX: usize = 200_000;
/// Problems that are kept of one file; one more says that there are others.
pub const PROBLEMS_MAX: usize = 100;
