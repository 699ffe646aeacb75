//! Which addresses of a revision take requests now? What is found out about them, pod by pod.
//!
//! Kubernetes says which pods there are, and late which of them are ready; so the activator asks them itself. A mesh may
//! be between: then pods cannot be asked one by one, and the address of their service stands for all.
//!
//! [`endpoints`] reads what Kubernetes says, [`state`] decides without I/O whom to ask and what to make of the
//! answers, and the other modules ask.

pub mod endpoints;

pub mod state;

pub mod ask;

pub mod watch;

pub(crate) mod turns;

pub use endpoints::Sets;
pub use state::{Asked, Mesh, Rules, State, Step};
