//! The I/O around a [`Session`](crate::session): streams to control planes, files that are watched, and what they deliver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::resource::{Kind, Update, Verdict};

/// An update on its way to the [`store`](crate::store), which says what became of it; that may take a while, and the stream goes
/// on with other kinds meanwhile. Dropped without an answer it counts as held: neither ACK nor NACK.
#[derive(Debug)]
pub struct Delivery {
    /// What is new.
    pub update: Update,
    /// Takes the verdict.
    pub verdict: oneshot::Sender<Verdict>,
}

/// Which names are subscribed to, the union of all who need them; followed by streams through a
/// [`watch`](tokio::sync::watch). Of wildcard kinds it has the empty set where all are wanted, and no entry where none is.
pub type Wanted = BTreeMap<Kind, BTreeSet<Arc<str>>>;
