//! Envoy's resources as configuration of the proxy: pure, each resource by itself.
//!
//! A constructor can fail, with a message worded as Envoy's; what it returns cannot be wrong any more. Nothing here looks
//! another resource up: names of clusters, route configurations and secrets stay names, and [`crate::store`] brings them together.

#![allow(
    deprecated,
    reason = "control planes still send fields that newer ones of Envoy replace, and Envoy still takes them"
)]

pub mod any;
pub mod bootstrap;
pub mod cluster;
pub mod constraint;
pub mod duration;
pub mod endpoints;
pub mod filter;
pub mod fraction;
pub mod headers;
pub mod listener;
mod message;
pub mod metadata;
pub mod notes;
pub mod reject;
pub mod routes;
pub mod runtime;
pub mod secret;
pub mod text_match;
pub mod unknown;

use tidegate_proxy::filter::probe::Readiness;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::normalize::edge::EdgePolicy;

use listener::access_log::Sinks;
use listener::traces::Traces;

pub use reject::{Note, Reject};

/// What a resource does not say and its translation goes by.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Which listeners are internal: what an external one removes from requests, they leave (`--internal-listener`).
    pub internal_listeners: Vec<Box<str>>,
    /// Whether unknown fields of a dynamic resource reject it (`--reject-unknown-dynamic-fields`).
    pub unknown_fields: UnknownFields,
    /// What unknown fields are told by.
    pub descriptors: unknown::Descriptors,
    /// What external listeners remove from requests beside what Envoy removes everywhere.
    pub edge: EdgePolicy,
    /// The files of access logs.
    pub sinks: Sinks,
    /// What health checks of this proxy are told.
    pub readiness: Readiness,
    /// Where spans go.
    pub traces: Traces,
    /// Filters that are refused as if nobody knew them, by category and name, such as
    /// `envoy.filters.http/envoy.filters.http.cors` (`--disable-extensions`).
    pub disabled: Vec<Box<str>>,
    /// What wins over the defaults of shares of requests.
    pub runtime: runtime::Runtime,
    /// What stands before a cluster that is [for a revision](cluster::activation). Without it, such a cluster is as any other.
    pub activator: Option<Layers>,
}

impl Context {
    /// Whether an extension is not to be known.
    pub(crate) fn disables(&self, category: &str, name: &str) -> bool {
        let is = |disabled: &str| disabled.split_once('/') == Some((category, name));
        self.disabled.iter().any(|disabled| is(disabled))
    }
}

/// What an unknown field does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// It is ignored and counted.
    #[default]
    Ignored,
    /// It is ignored without a word (`--ignore-unknown-dynamic-fields`).
    Uncounted,
    /// It rejects the resource.
    Rejected,
}

#[cfg(test)]
mod tests;
