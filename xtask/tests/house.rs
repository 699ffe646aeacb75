//! Does the tree keep the rules of the house? Who may depend on whom, what a file may be, what documents name and show.

#![expect(clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod house {
    pub(super) mod dependencies;
    pub(super) mod documents;
    pub(super) mod examples;
    pub(super) mod files;
    pub(super) mod tree;
}
