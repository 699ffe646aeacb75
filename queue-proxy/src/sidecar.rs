//! What does the sidecar know about its one replica?

use std::sync::Arc;

use tidegate_proxy::error::{Error, Kind};
use tidegate_proxy::limit::{Limit, Permit};

use crate::Timeouts;
use crate::limits::QUEUE_DEPTH_PER_PERMIT;

/// The sidecar of one replica. Put an `Arc` of it into the metadata of the replica's endpoint, where
/// [`QueueProxyLayer`](crate::QueueProxyLayer) finds it.
#[derive(Debug)]
pub struct Sidecar {
    /// None: the replica takes as many requests at a time as come.
    breaker: Option<Arc<Limit>>,
    timeouts: Timeouts,
}

impl Sidecar {
    /// The sidecar of a replica that takes `container_concurrency` requests at a time, and lets ten times as many
    /// wait; 0 means no limit (Knative `RevisionSpec.containerConcurrency`).
    #[must_use]
    pub fn new(container_concurrency: u32, timeouts: Timeouts) -> Self {
        let permits = container_concurrency as usize;
        let breaker =
            (permits > 0).then(|| Limit::new(permits, permits.saturating_mul(QUEUE_DEPTH_PER_PERMIT)));
        Self { breaker, timeouts }
    }

    /// The timeouts of its revision.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Whether it takes so many requests at a time and no more.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.breaker.is_some()
    }

    /// Requests that hold or wait for one of the replica's places; 0 where there is no limit.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.breaker
            .as_ref()
            .map_or(0, |breaker| breaker.in_flight() + breaker.waiting())
    }

    /// Waits for one of the replica's places; none is needed where there is no limit.
    ///
    /// Cancel-safe: dropping the future leaves the line.
    ///
    /// # Errors
    /// [`Kind::QueueFull`] at once if the line is full.
    pub(crate) async fn admit(&self) -> Result<Option<Permit>, Error> {
        let Some(breaker) = &self.breaker else {
            return Ok(None);
        };
        match breaker.acquire().await {
            Ok(permit) => Ok(Some(permit)),
            Err(full) => Err(Error::new(Kind::QueueFull).with_source(full)),
        }
    }
}
