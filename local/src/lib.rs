//! Laptop mode: files as the object source, processes as pods.

pub mod limits;
pub mod names;
pub mod output;
pub mod ports;
