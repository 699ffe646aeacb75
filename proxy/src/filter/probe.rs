//! Who answers the health checks that others make of this proxy?
//!
//! ```
//! use std::sync::Arc;
//! use tidegate_proxy::filter::probe::{Probe, Readiness};
//! use tidegate_proxy::filter::Filter;
//! use tidegate_proxy::route::{HeaderMatch, Matcher};
//!
//! let readiness = Readiness::default();
//! let headers = vec![HeaderMatch::exact(":path", "/ready")?];
//! let asked = Matcher { headers, ..Matcher::default() };
//! let filter = Filter::Probe(Arc::new(Probe::new(asked, readiness.clone())));
//! readiness.set_failing(true); // from now on 503
//! # drop(filter);
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Request, Response, StatusCode};

use super::{Note, Verdict, Why};
use crate::body::Body;
use crate::route::Matcher;

/// Answers the requests that it matches in the place of an upstream: 200, or 503 while its [`Readiness`] is failing.
#[derive(Clone, Debug)]
pub struct Probe {
    asked: Matcher,
    readiness: Readiness,
}

/// Whether a process wants requests, as its operator says. Clones are the same; default: it does.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Has probes fail from now on, or pass again.
    pub fn set_failing(&self, failing: bool) {
        self.0.store(failing, Ordering::Relaxed);
    }

    /// Whether probes fail.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Probe {
    /// Answers what `asked` matches.
    #[must_use]
    pub fn new(asked: Matcher, readiness: Readiness) -> Self {
        Self { asked, readiness }
    }

    pub(super) fn on_request(&self, request: &Request<Body>) -> Verdict {
        if !self.asked.matches(request) {
            return Verdict::Pass(Note::None);
        }
        let mut response = Response::new(Body::empty());
        let mut why = Why::fine("health_check_ok");
        if self.readiness.is_failing() {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            why = Why::flagged("LH", "health_check_failed");
        }
        Verdict::Answer(Box::new(response), why)
    }
}
