//! Knative vocabulary: API objects with defaults and validation, names, headers, annotations.
//!
//! No I/O: text in, objects or problems out.

pub mod autoscaling;
mod decode;
mod defaults;
pub mod go_duration;
pub mod go_words;
pub mod headers;
pub mod limits;
mod load;
pub mod names;
pub mod object;
pub mod observability;
mod problem;
mod report;
pub mod request_log;
mod source;
pub mod stat;
mod suggest;
pub mod template;
mod yaml;

pub use defaults::{Defaults, ImageRule};
pub use load::load;
pub use object::{Kind, Object};
pub use problem::{Position, Problem};
pub use source::Source;
