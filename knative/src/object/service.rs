//! Knative's three objects that a person writes: Service, Configuration, Route.

use super::metadata::Metadata;
use super::revision::RevisionTemplate;
use super::traffic::TrafficTarget;
use crate::source::Source;

/// `serving.knative.dev/v1` Service: a Configuration and a Route of the same name.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Where it stands.
    pub source: Source,
    /// Name (an RFC 1035 label), namespace, labels, annotations.
    pub metadata: Metadata,
    /// What the next revision looks like.
    pub template: RevisionTemplate,
    /// Where traffic goes; percents sum to 100. Default: everything to the latest ready revision.
    pub traffic: Vec<TrafficTarget>,
}

/// `serving.knative.dev/v1` Configuration: the history of one template.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// Where it stands.
    pub source: Source,
    /// Name (an RFC 1035 label), namespace, labels, annotations.
    pub metadata: Metadata,
    /// What the next revision looks like.
    pub template: RevisionTemplate,
}

/// `serving.knative.dev/v1` Route: hosts that lead to revisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Where it stands.
    pub source: Source,
    /// Name (an RFC 1035 label), namespace, labels, annotations.
    pub metadata: Metadata,
    /// Where traffic goes; percents sum to 100.
    pub traffic: Vec<TrafficTarget>,
}
