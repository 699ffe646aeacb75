//! Every bound of the controller and its default, in one place.

use std::time::Duration;

/// A revision younger than this is not collected (`config-gc`, `retain-since-create-time`).
pub const RETAIN_SINCE_CREATE: Duration = Duration::from_secs(48 * 60 * 60);
/// A revision that a route named less than this ago is not collected (`config-gc`,
/// `retain-since-last-active-time`).
pub const RETAIN_SINCE_ACTIVE: Duration = Duration::from_secs(15 * 60 * 60);
/// So many revisions that no route names are kept however old they are (`config-gc`,
/// `min-non-active-revisions`).
pub const NON_ACTIVE_REVISIONS_MIN: usize = 20;
/// No more revisions that no route names are kept than this, however young (`config-gc`,
/// `max-non-active-revisions`).
pub const NON_ACTIVE_REVISIONS_MAX: usize = 1000;

/// How many known revisions a message lists; the newest come first.
pub const KNOWN_REVISIONS_LISTED_MAX: usize = 10;

/// The domain inside a cluster, whose hosts lead to the same routes.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
