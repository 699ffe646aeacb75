//! What do the criterion benches, the load comparison, the park and the idle bench share?
//!
//! The programs measure processes by `/proc` and pin them to cores: they exist on Linux alone.

pub mod backend;
pub mod ends;
pub mod fixture;

pub mod serve;

#[cfg(target_os = "linux")]
pub mod abandon;
#[cfg(target_os = "linux")]
pub mod child;
#[cfg(target_os = "linux")]
pub mod compare;
#[cfg(target_os = "linux")]
pub mod idle;
#[cfg(target_os = "linux")]
pub mod load;
#[cfg(target_os = "linux")]
pub mod park;
#[cfg(target_os = "linux")]
pub mod peers;
#[cfg(target_os = "linux")]
pub mod proc;
pub mod relay;

#[cfg(target_os = "linux")]
pub mod scale;
#[cfg(target_os = "linux")]
mod statistics;
pub mod slices;
