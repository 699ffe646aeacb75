//! What was accepted, what is warming, and what is in force: brings resources together and publishes snapshots.

pub mod view;
