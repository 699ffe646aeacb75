//! How much of one cluster may be busy at once, and what is turned away above that?
//!
//! The counts are process-wide: all workers share them. A bound that is not set costs nothing, one that is set costs
//! two read-modify-writes of a shared counter for each thing it counts.
//!
//! ```
//! use tidegate_proxy::cluster::breaker::{BreakerSettings, Breakers, RequestPriority, Thresholds};
//!
//! let one = Thresholds { connections: Some(1), ..Thresholds::default() };
//! let settings = BreakerSettings { default: one, ..BreakerSettings::default() };
//! let breakers = Breakers::new("app".into(), settings.into());
//! let permit = breakers.connection(RequestPriority::Default);
//! assert!(permit.is_some());
//! assert!(breakers.connection(RequestPriority::Default).is_none());
//! assert!(breakers.connection(RequestPriority::High).is_some());
//! ```

use std::fmt;
use std::sync::{Arc, OnceLock};

use metrics::Counter;

use crate::config::limits;
use crate::error::{Error, Kind};
use crate::limit::{self, Limit};
use crate::observe::metrics::breaker_overflow;
use crate::route::Shared;

/// Which of a cluster's two sets of bounds a request counts against (Envoy's routing priority).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RequestPriority {
    /// What most routes have.
    #[default]
    Default,
    /// For routes that must still come through when the others are at their bound.
    High,
}

/// The bounds of one priority; `None` is no bound of its own, which is the default of each: what comes in is bounded by
/// [`limits::CONNECTIONS_MAX`] and the streams of a connection already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Thresholds {
    /// Open connections to all endpoints together; above it none is dialled, but the first of a worker to an endpoint, and
    /// requests wait for one of HTTP/1.1 to be free, or are answered 503.
    pub connections: Option<usize>,
    /// Requests that wait for a connection or a stream; above it they are answered 503.
    pub pending: Option<usize>,
    /// Requests under way, from the pick of an endpoint to the end of the response; above it they are answered 503.
    pub requests: Option<usize>,
    /// Requests under way that are retries; above it a failure stands.
    pub retries: Option<usize>,
}

/// The bounds of both priorities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BreakerSettings {
    /// For requests of [`RequestPriority::Default`]. Default: no bound.
    pub default: Thresholds,
    /// For requests of [`RequestPriority::High`]. Default: no bound.
    pub high: Thresholds,
}

/// The counts of one cluster. Those of a priority are made when its first request comes: most clusters of many are idle, and
/// few requests have the high one.
#[derive(Debug)]
pub struct Breakers {
    cluster: Arc<str>,
    settings: Shared<BreakerSettings>,
    levels: OnceLock<Box<Levels>>,
}

/// How much of the bounds of one priority is used; none where there is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Open connections.
    pub connections: Option<Used>,
    /// Requests that wait for a connection or a stream.
    pub pending: Option<Used>,
    /// Requests under way.
    pub requests: Option<Used>,
    /// Retries under way.
    pub retries: Option<Used>,
}

/// How much of one bound is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// How many there are.
    pub now: usize,
    /// How many there may be.
    pub max: usize,
}

impl Used {
    fn of(breaker: &Breaker) -> Self {
        Self {
            now: breaker.limit.in_flight(),
            max: breaker.limit.permits(),
        }
    }

    /// Whether the next one will be turned away.
    #[must_use]
    pub fn is_full(self) -> bool {
        self.now >= self.max
    }
}

/// The right to be one of those that a breaker counts; dropping it gives it back.
#[derive(Debug)]
#[must_use = "a permit that is dropped is given back"]
pub struct Permit(Option<limit::Permit>);

#[derive(Debug, Default)]
struct Levels {
    default: OnceLock<Level>,
    high: OnceLock<Box<Level>>,
}

#[derive(Debug)]
struct Level {
    connections: Option<Breaker>,
    pending: Option<Breaker>,
    requests: Option<Breaker>,
    retries: Option<Breaker>,
}

struct Breaker {
    limit: Arc<Limit>,
    overflows: Counter,
}

impl Thresholds {
    /// Envoy's defaults: 1024 connections, pending requests and requests, 3 retries.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            connections: Some(limits::BREAKER_CONNECTIONS_USUAL),
            pending: Some(limits::BREAKER_PENDING_USUAL),
            requests: Some(limits::BREAKER_REQUESTS_USUAL),
            retries: Some(limits::BREAKER_RETRIES_USUAL),
        }
    }
}

impl Breakers {
    /// Closed breakers for the cluster of this name, which their metrics carry.
    #[must_use]
    pub fn new(cluster: Arc<str>, settings: Shared<BreakerSettings>) -> Self {
        Self {
            cluster,
            settings,
            levels: OnceLock::new(),
        }
    }

    /// The right to open one connection and have it until it is closed, or none where as many are open as may be.
    #[must_use]
    pub fn connection(&self, priority: RequestPriority) -> Option<Permit> {
        admit(self.level(priority).connections.as_ref())
    }

    /// Whether there is a bound on open connections.
    pub(crate) fn bounds_connections(&self, priority: RequestPriority) -> bool {
        self.level(priority).connections.is_some()
    }

    /// The right to wait for a connection.
    #[must_use]
    pub fn pending(&self, priority: RequestPriority) -> Option<Permit> {
        admit(self.level(priority).pending.as_ref())
    }

    /// The right to be under way.
    #[must_use]
    pub fn request(&self, priority: RequestPriority) -> Option<Permit> {
        admit(self.level(priority).requests.as_ref())
    }

    /// The right to be a retry.
    #[must_use]
    pub fn retry(&self, priority: RequestPriority) -> Option<Permit> {
        admit(self.level(priority).retries.as_ref())
    }

    /// How much of each bound is used now.
    #[must_use]
    pub fn usage(&self, priority: RequestPriority) -> Usage {
        let levels = self.levels.get();
        let level = levels.and_then(|levels| match priority {
            RequestPriority::Default => levels.default.get(),
            RequestPriority::High => levels.high.get().map(|level| &**level),
        });
        let thresholds = self.thresholds(priority);
        let used = |bound: Option<usize>, breaker: fn(&Level) -> &Option<Breaker>| {
            let counted = level.and_then(|level| breaker(level).as_ref()).map(Used::of);
            counted.or(bound.map(|max| Used { now: 0, max }))
        };
        Usage {
            connections: used(thresholds.connections, |level| &level.connections),
            pending: used(thresholds.pending, |level| &level.pending),
            requests: used(thresholds.requests, |level| &level.requests),
            retries: used(thresholds.retries, |level| &level.retries),
        }
    }

    fn level(&self, priority: RequestPriority) -> &Level {
        let levels = self.levels.get_or_init(Box::default);
        let level = |name| Level::new(&self.cluster, name, *self.thresholds(priority));
        match priority {
            RequestPriority::Default => levels.default.get_or_init(|| level("default")),
            RequestPriority::High => levels.high.get_or_init(|| Box::new(level("high"))),
        }
    }

    fn thresholds(&self, priority: RequestPriority) -> &Thresholds {
        match priority {
            RequestPriority::Default => &self.settings.default,
            RequestPriority::High => &self.settings.high,
        }
    }
}

impl Permit {
    /// One that counts nowhere.
    pub(crate) fn uncounted() -> Self {
        Self(None)
    }

    /// Whether it counts: a breaker without a bound gives permits that cost nothing and need not be kept.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.0.is_some()
    }
}

/// The error of a request that a breaker turned away; `what` it had too many of is in its text.
pub(crate) fn overflow(what: &'static str) -> Error {
    Error::new(Kind::BreakerOpen).with_detail(what)
}

fn admit(breaker: Option<&Breaker>) -> Option<Permit> {
    let Some(breaker) = breaker else {
        return Some(Permit(None));
    };
    let permit = breaker.limit.try_reserve();
    if permit.is_none() {
        breaker.overflows.increment(1);
    }
    permit.map(|permit| Permit(Some(permit)))
}

impl Level {
    fn new(cluster: &str, priority: &'static str, thresholds: Thresholds) -> Self {
        let breaker = |name, bound: Option<usize>| {
            bound.map(|bound| Breaker {
                limit: Limit::new(bound, 0),
                overflows: breaker_overflow(cluster, priority, name),
            })
        };
        Self {
            connections: breaker("connections", thresholds.connections),
            pending: breaker("pending", thresholds.pending),
            requests: breaker("requests", thresholds.requests),
            retries: breaker("retries", thresholds.retries),
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limit.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_and_each_priority_counts_on_its_own() {
        let one = Thresholds {
            requests: Some(1),
            retries: Some(0),
            ..Thresholds::default()
        };
        let settings = BreakerSettings {
            default: one,
            high: one,
        };
        let breakers = Breakers::new("app".into(), settings.into());
        let unused = breakers.usage(RequestPriority::High).requests;
        assert_eq!(unused, Some(Used { now: 0, max: 1 }));
        let first = breakers.request(RequestPriority::Default);
        assert!(first.is_some());
        assert!(breakers.request(RequestPriority::Default).is_none());
        assert!(breakers.request(RequestPriority::High).is_some());
        assert!(breakers.retry(RequestPriority::Default).is_none());
        assert!(breakers.pending(RequestPriority::Default).is_some());
        let usage = |priority| breakers.usage(priority).requests;
        assert_eq!(usage(RequestPriority::Default), Some(Used { now: 1, max: 1 }));
        drop(first);
        assert!(breakers.request(RequestPriority::Default).is_some());
    }

    #[test]
    fn without_a_bound_nothing_is_counted() {
        let breakers = Breakers::new("app".into(), Shared::default());
        assert!(!breakers.connection(RequestPriority::Default).unwrap().counts());
    }
}
