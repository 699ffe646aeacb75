//! What does the program learn of the cluster around it?

use std::{collections::BTreeMap, future::Future, pin::Pin};

use crate::{
    backends::endpoints::{Endpoints, Service},
    certificates::Secret,
};

pub mod revision;

#[cfg(feature = "kubernetes")]
pub mod kube;

pub use revision::RevisionFacts;

/// A revision's namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A revision is there, or has changed.
    Revision(Box<RevisionFacts>),
    /// A revision was deleted.
    RevisionGone(Key),
    /// The pods of a revision have changed.
    Private(Key, Endpoints),
    /// The pods of a revision are not listed any more.
    PrivateGone(Key),
    /// Who sends requests to a revision has changed.
    Public(Key, Endpoints),
    /// Who sends requests to a revision is not listed any more.
    PublicGone(Key),
    /// The secret with the program's own certificate is there or has changed, or is not there any more.
    Secret(Option<Secret>),
    /// The ConfigMap of this name holds certificates of authorities, or not any more.
    Bundle(String, Option<Vec<String>>),
    /// What `config-observability` says now; empty where there is none.
    Observability(ConfigMap),
    /// All that was there when the program started has been told.
    Synced,
}

/// A configuration, by its keys.
pub type ConfigMap = BTreeMap<String, String>;

/// The future of an object that may not be there.
pub type Found<'a, T> = Pin<Box<dyn Future<Output = Option<T>> + Send + 'a>>;

/// Looks things up in the cluster.
pub trait World: Send + Sync {
    /// A service.
    fn service<'a>(&'a self, namespace: &'a str, name: &'a str) -> Found<'a, Service>;
}
