//! Laptop mode: files as the object source, processes as pods.

pub mod engine;
pub mod environment;
pub mod exit;
pub mod group;
pub mod guardian;
pub mod host;
pub mod instance;
pub mod launch;
pub mod limits;
pub mod names;
pub mod output;
pub mod ports;
pub mod replica;
