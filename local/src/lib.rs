//! Laptop mode: files as the object source, processes as pods.
//!
//! [`up`] puts the parts together: [`files`] are read and watched, the controller's plan says which revisions there
//! are, each revision has a task that starts and stops its replicas, and a replica is a process (or a container) that the
//! [`guardian`] ends if tidegate is killed.

pub mod up;

pub mod files;
pub mod state;

mod board;
mod revision;

mod launcher;
pub mod launch;
pub mod environment;

pub mod replica;
pub mod group;
pub mod exit;
pub mod engine;
pub mod guardian;
pub mod host;
pub mod instance;

pub mod output;
pub mod ports;
pub mod address;
mod clock;

pub mod limits;
pub mod names;
