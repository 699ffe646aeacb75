//! Knative vocabulary: API objects with defaults and validation, names, headers, annotations.
//!
//! No I/O: text in, objects or problems out.

pub mod autoscaling;
mod defaults;
pub mod go_duration;
pub mod headers;
pub mod limits;
pub mod names;
pub mod object;
mod problem;
mod source;
pub mod stat;
mod suggest;

pub use defaults::Defaults;
pub use object::{Kind, Object};
pub use problem::{Position, Problem};
pub use source::Source;
