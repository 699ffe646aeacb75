//! Carries out what the program is told: drains as `/drain_listeners` asks for, failing health checks.

use std::time::Duration;

use tidegate_proxy::drain::{Drain, Fade, Watch};
use tidegate_proxy::process;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::lifecycle::{DrainOrder, End, HealthOrder, Manner, Orders, Scope};
use crate::limits::{END_GRACE, PARTING_TIME};
use crate::listeners::Listeners;

/// Follows the orders until the program is to end; says why, and whether a drain came before.
pub(crate) async fn follow(
    mut orders: watch::Receiver<Orders>,
    listeners: &Listeners,
    traffic: &Drain,
    watch: &Watch,
) -> (End, Before) {
    let (mut begun, mut health) = (0, HealthOrder::Ok);
    loop {
        let told = orders.borrow_and_update().clone();
        if told.health != health {
            health = told.health;
            traffic.fade(match health {
                HealthOrder::Ok => Fade::None,
                HealthOrder::Fail => Fade::Now,
            });
        }
        for order in told.drains.iter().skip(begun) {
            begin(*order, listeners, watch);
        }
        begun = told.drains.len();
        if let Some(end) = told.end {
            let drained = begun > 0 || health == HealthOrder::Fail;
            return (end, if drained { Before::Drained } else { Before::Serving });
        }
        if orders.changed().await.is_err() {
            return (End::Quit, Before::Serving);
        }
    }
}

/// What the program did before it was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// It had been told to drain, or to fail its health checks.
    Drained,
    /// It served.
    Serving,
}

fn begin(order: DrainOrder, listeners: &Listeners, watch: &Watch) {
    let manners = listeners.manners();
    tracing::info!(?order, seconds = manners.drain_time.as_secs(), "listeners drain");
    listeners.fade(order.scope, manners.fade());
    match order.manner {
        Manner::AtOnce => listeners.stop_accepting(order.scope),
        Manner::GracefulWithoutExit => {}
        Manner::Graceful => {
            let (listeners, scope) = (listeners.clone(), order.scope);
            process::spawn("drain-listeners", watch.unguarded(), async move {
                tokio::time::sleep(manners.drain_time).await;
                listeners.stop_accepting(scope);
            });
        }
    }
}

/// Ends all connections: after a drain of `grace` where there is one, else at once, each with a FIN.
pub(crate) async fn end(listeners: &Listeners, traffic: Drain, grace: Duration) {
    listeners.stop_accepting(Scope::All);
    // Whoever has a request under way has the other half at least.
    let parting = (grace / 2).min(PARTING_TIME);
    if !parting.is_zero() {
        // Who has not sent anything yet may be about to: a request that meets a closed connection is lost, and may be one that
        // cannot be sent twice.
        traffic.fade(Fade::Now);
        // Whether all have gone, or not in time, the rest is the same.
        _ = timeout(parting, traffic.idle()).await;
    }
    let outcome = traffic.finish((grace - parting).max(END_GRACE)).await;
    if outcome.forced > 0 {
        tracing::info!(cut = outcome.forced, "connections were cut");
    }
}
