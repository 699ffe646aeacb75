//! How far the program has got, and how it is told to drain and to end: what admin endpoints and signals call.
//!
//! The orders are carried out by whoever [follows](Lifecycle::orders) them; giving one returns at once.

use std::sync::Arc;

use tidegate_proxy::filter::probe::Readiness;
use tokio::sync::watch;

/// The state of the program and the orders given to it. Clones share both.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stage: watch::Sender<Stage>,
    orders: watch::Sender<Orders>,
    readiness: Readiness,
}

/// How far the start has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Clusters are being fetched and warmed.
    #[default]
    PreInitializing,
    /// Listeners are being fetched and warmed.
    Initializing,
    /// Listeners accept connections.
    Live,
}

/// What `/ready` and `/server_info` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Clusters are being fetched and warmed.
    PreInitializing,
    /// Listeners are being fetched and warmed.
    Initializing,
    /// It serves.
    Live,
    /// `/healthcheck/fail` was called. A drain of listeners alone does not show here.
    Draining,
}

/// What the program was told to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// The drains, in the order in which they were asked for, each once.
    pub drains: Vec<DrainOrder>,
    /// Whether health checks are to fail and every response ends its connection.
    pub health: HealthOrder,
    /// Whether it is to end.
    pub end: Option<End>,
}

/// `/drain_listeners`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainOrder {
    /// How clients are parted with.
    pub manner: Manner,
    /// Which listeners it concerns.
    pub scope: Scope,
}

/// How listeners drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nothing is accepted any more; connections end by and by (without `graceful`).
    AtOnce,
    /// Connections end by and by; once the drain time is over nothing is accepted any more (`graceful`).
    Graceful,
    /// Connections end by and by, and new ones are accepted all the time (`graceful&skip_exit`).
    GracefulWithoutExit,
}

/// Which listeners drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Those whose `traffic_direction` is `INBOUND` (`inboundonly`).
    Inbound,
}

/// `/healthcheck/fail` and `/healthcheck/ok`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthOrder {
    /// Health checks pass.
    #[default]
    Ok,
    /// They fail, and every response ends its connection.
    Fail,
}

/// Why the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `/quitquitquit`: at once.
    Quit,
    /// SIGTERM: at once after a drain or a failed health check, else after the drain that `--drain-on-sigterm` asks for.
    Terminate,
    /// Something without which it cannot go on has panicked: as [`End::Terminate`], and it ends with an error.
    Broken,
}

/// Held by a task that the program cannot do without: its panic ends the program, which would else go on without it in silence.
#[derive(Debug)]
pub struct Vital {
    lifecycle: Lifecycle,
    task: &'static str,
}

impl Vital {
    /// The name of the task.
    #[must_use]
    pub fn task(&self) -> &'static str {
        self.task
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.task, "the program ends, as a part of it has panicked");
            self.lifecycle.end(End::Broken);
        }
    }
}

impl Lifecycle {
    /// A program that has just started.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            stage: watch::Sender::new(Stage::default()),
            orders: watch::Sender::new(Orders::default()),
            readiness: Readiness::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What `/ready` says.
    #[must_use]
    pub fn state(&self) -> ServerState {
        if self.shared.orders.borrow().health == HealthOrder::Fail {
            return ServerState::Draining;
        }
        match *self.shared.stage.borrow() {
            Stage::PreInitializing => ServerState::PreInitializing,
            Stage::Initializing => ServerState::Initializing,
            Stage::Live => ServerState::Live,
        }
    }

    /// How far the start has got; it goes forward only.
    pub fn reached(&self, stage: Stage) {
        self.shared.stage.send_if_modified(|now| {
            let further = stage > *now;
            *now = stage.max(*now);
            further
        });
    }

    /// Begins a drain; one that has begun goes on as it did.
    pub fn drain(&self, order: DrainOrder) {
        self.shared.orders.send_if_modified(|orders| {
            let new = !orders.drains.contains(&order);
            if new {
                orders.drains.push(order);
            }
            new
        });
    }

    /// `/healthcheck/fail`: [`ServerState::Draining`], and every response ends its connection.
    pub fn health_fail(&self) {
        self.shared.readiness.set_failing(true);
        self.shared
            .orders
            .send_modify(|orders| orders.health = HealthOrder::Fail);
    }

    /// `/healthcheck/ok`: takes [`Lifecycle::health_fail`] back.
    pub fn health_ok(&self) {
        self.shared.readiness.set_failing(false);
        self.shared
            .orders
            .send_modify(|orders| orders.health = HealthOrder::Ok);
    }

    /// What answers health checks goes by: the same as `/healthcheck/fail` has said.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness.clone()
    }

    /// `/quitquitquit`: the program ends at once.
    pub fn quit(&self) {
        self.end(End::Quit);
    }

    /// Ends the program; [`End::Quit`] hurries on whatever was said before, and stays.
    pub fn end(&self, end: End) {
        self.shared.orders.send_modify(|orders| {
            if orders.end != Some(End::Quit) {
                orders.end = Some(end);
            }
        });
    }

    /// What a task holds that the program cannot do without.
    #[must_use]
    pub fn vital(&self, task: &'static str) -> Vital {
        Vital {
            lifecycle: self.clone(),
            task,
        }
    }

    /// Follows how far the start has got.
    #[must_use]
    pub fn stages(&self) -> watch::Receiver<Stage> {
        self.shared.stage.subscribe()
    }

    /// Follows what the program is told.
    #[must_use]
    pub fn orders(&self) -> watch::Receiver<Orders> {
        self.shared.orders.subscribe()
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerState {
    /// As Envoy spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PreInitializing => "PRE_INITIALIZING",
            Self::Initializing => "INITIALIZING",
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_draining_while_health_fails_and_only_then() {
        let lifecycle = Lifecycle::new();
        assert_eq!(lifecycle.state().name(), "PRE_INITIALIZING");
        lifecycle.reached(Stage::Live);
        lifecycle.reached(Stage::Initializing);
        lifecycle.drain(DrainOrder {
            manner: Manner::Graceful,
            scope: Scope::All,
        });
        assert_eq!(lifecycle.state(), ServerState::Live);
        lifecycle.health_fail();
        assert_eq!(lifecycle.state(), ServerState::Draining);
        lifecycle.health_ok();
        assert_eq!(lifecycle.state(), ServerState::Live);
    }

    #[test]
    fn the_same_drain_is_ordered_once_and_quitting_wins() {
        let (lifecycle, order) = (
            Lifecycle::new(),
            DrainOrder {
                manner: Manner::AtOnce,
                scope: Scope::Inbound,
            },
        );
        let orders = lifecycle.orders();
        lifecycle.drain(order);
        lifecycle.drain(order);
        lifecycle.quit();
        lifecycle.end(End::Terminate);
        assert_eq!(orders.borrow().drains, [order]);
        assert_eq!(orders.borrow().end, Some(End::Quit));
    }

    #[test]
    fn a_vital_task_ends_the_program_by_its_panic_alone() {
        let lifecycle = Lifecycle::new();
        let orders = lifecycle.orders();
        drop(lifecycle.vital("done"));
        assert_eq!(orders.borrow().end, None);
        let vital = lifecycle.vital("broken");
        let ended = std::thread::spawn(move || {
            let _vital = vital;
            panic!("on purpose");
        });
        assert!(ended.join().is_err());
        assert_eq!(orders.borrow().end, Some(End::Broken));
    }
}
