//! How far the start has got: clusters first, then listeners, each within its time.

use std::time::Instant;

/// How far the start has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Waits for clusters.
    PreInitializing,
    /// Waits for listeners.
    Initializing,
    /// Serves.
    Live,
}

/// The start, as far as it has got.
#[derive(Debug)]
pub(super) struct Init {
    stage: Stage,
    clusters: Awaited,
    listeners: Awaited,
    listener_timeout: Option<std::time::Duration>,
}

/// The first response of a kind that everything waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// Nobody was asked.
    Nobody,
    /// Until then, or for ever.
    Until(Option<Instant>),
    /// It has come, was refused, or its time is over.
    Over,
}

/// How long the first responses may take; `None` where a kind is not fetched at all, `Some(None)` for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fetched {
    /// Clusters (`cds_config`).
    pub clusters: Option<Option<std::time::Duration>>,
    /// Listeners (`lds_config`).
    pub listeners: Option<Option<std::time::Duration>>,
}

impl Init {
    pub(super) fn new(fetched: Fetched, now: Instant) -> Self {
        let listeners = match fetched.listeners {
            Some(_) => Awaited::Until(None),
            None => Awaited::Nobody,
        };
        Self {
            stage: Stage::PreInitializing,
            clusters: Awaited::new(fetched.clusters, now),
            listeners,
            listener_timeout: fetched.listeners.flatten(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether clusters are fetched.
    pub(super) fn wants_clusters(&self) -> bool {
        self.clusters != Awaited::Nobody
    }

    /// Whether it is time to fetch listeners.
    pub(super) fn wants_listeners(&self) -> bool {
        self.listeners != Awaited::Nobody && self.stage >= Stage::Initializing
    }

    /// The first response for clusters has come, whatever became of it.
    pub(super) fn heard_of_clusters(&mut self) {
        self.clusters.hear();
    }

    /// The first response for listeners has come, whatever became of it.
    pub(super) fn heard_of_listeners(&mut self) {
        self.listeners.hear();
    }

    /// Goes on as far as it can; `warming` says whether clusters, and whether listeners, still warm.
    pub(super) fn advance(&mut self, now: Instant, warming: (bool, bool)) {
        let (clusters, listeners) = warming;
        if self.stage == Stage::PreInitializing && !self.clusters.holds(now) && !clusters {
            self.stage = Stage::Initializing;
            if self.listeners == Awaited::Until(None) {
                self.listeners = Awaited::new(Some(self.listener_timeout), now);
            }
        }
        if self.stage == Stage::Initializing && !self.listeners.holds(now) && !listeners {
            self.stage = Stage::Live;
        }
    }

    /// When time alone changes something.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let awaited = match self.stage {
            Stage::PreInitializing => self.clusters,
            Stage::Initializing => self.listeners,
            Stage::Live => return None,
        };
        match awaited {
            Awaited::Until(deadline) => deadline,
            Awaited::Nobody | Awaited::Over => None,
        }
    }
}

impl Awaited {
    fn new(timeout: Option<Option<std::time::Duration>>, now: Instant) -> Self {
        match timeout {
            None => Self::Nobody,
            Some(timeout) => Self::Until(timeout.and_then(|timeout| now.checked_add(timeout))),
        }
    }

    fn hear(&mut self) {
        if matches!(self, Self::Until(_)) {
            *self = Self::Over;
        }
    }

    fn holds(&mut self, now: Instant) -> bool {
        if matches!(self, Self::Until(Some(deadline)) if *deadline <= now) {
            *self = Self::Over;
        }
        matches!(self, Self::Until(_))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(15);

    fn fetched() -> Fetched {
        Fetched {
            clusters: Some(Some(TIMEOUT)),
            listeners: Some(Some(TIMEOUT)),
        }
    }

    #[test]
    fn an_unreachable_control_plane_costs_both_timeouts_one_after_the_other() {
        let begun = Instant::now();
        let mut init = Init::new(fetched(), begun);
        init.advance(begun + TIMEOUT / 2, (false, false));
        assert_eq!(
            (init.stage(), init.wants_listeners()),
            (Stage::PreInitializing, false)
        );
        assert_eq!(init.deadline(), Some(begun + TIMEOUT));
        init.advance(begun + TIMEOUT, (false, false));
        assert_eq!(
            (init.stage(), init.wants_listeners()),
            (Stage::Initializing, true)
        );
        assert_eq!(init.deadline(), Some(begun + 2 * TIMEOUT));
        init.advance(begun + 2 * TIMEOUT, (false, false));
        assert_eq!(init.stage(), Stage::Live);
    }

    #[test]
    fn what_warms_holds_each_stage_up() {
        let begun = Instant::now();
        let mut init = Init::new(fetched(), begun);
        init.heard_of_clusters();
        init.advance(begun, (true, false));
        assert_eq!(init.stage(), Stage::PreInitializing);
        init.advance(begun, (false, true));
        init.heard_of_listeners();
        init.advance(begun, (false, true));
        assert_eq!(init.stage(), Stage::Initializing);
        init.advance(begun, (true, false));
        assert_eq!(init.stage(), Stage::Live);
    }

    #[test]
    fn without_a_control_plane_it_is_live_at_once() {
        let mut init = Init::new(Fetched::default(), Instant::now());
        init.advance(Instant::now(), (false, false));
        assert_eq!((init.stage(), init.wants_listeners()), (Stage::Live, false));
    }
}
