//! Which words do an object's conditions use, and which annotations does the controller read?

/// Of every kind: all other conditions hold.
pub const READY: &str = "Ready";
/// Of a Service: its configuration is ready.
pub const CONFIGURATIONS_READY: &str = "ConfigurationsReady";
/// Of a Service: its route is ready.
pub const ROUTES_READY: &str = "RoutesReady";
/// Of a Route: every target was found and is ready.
pub const ALL_TRAFFIC_ASSIGNED: &str = "AllTrafficAssigned";
/// Of a Route: requests are routed.
pub const INGRESS_READY: &str = "IngressReady";
/// Of a Route: certificates that it needs are there.
pub const CERTIFICATE_PROVISIONED: &str = "CertificateProvisioned";

/// Reason: what has the name belongs to something else.
pub const NOT_OWNED: &str = "NotOwned";
/// Reason: a revision could not be made, or does not come up.
pub const REVISION_FAILED: &str = "RevisionFailed";
/// Reason: the name that the template chose belongs to another template.
pub const REVISION_NAME_TAKEN: &str = "RevisionNameTaken";
/// Reason: a target has no ready revision.
pub const REVISION_MISSING: &str = "RevisionMissing";
/// Reason: a target names a configuration that does not exist.
pub const CONFIGURATION_MISSING: &str = "ConfigurationMissing";
/// Reason: a target names another Service's revision.
pub const REVISION_NOT_OWNED: &str = "RevisionNotOwned";
/// Reason: the hosts of the route cannot be made.
pub const ERROR_CONFIG: &str = "ErrorConfig";
/// Reason: nothing was routed yet.
pub const INGRESS_NOT_CONFIGURED: &str = "IngressNotConfigured";
/// Reason: there are no certificates because there is no TLS.
pub const TLS_NOT_ENABLED: &str = "TLSNotEnabled";

/// Annotation of a template: with [`NO_GC_YES`] its revisions are never collected.
pub const NO_GC: &str = "serving.knative.dev/no-gc";
/// The value of [`NO_GC`] that counts.
pub const NO_GC_YES: &str = "true";
