//! May the kubelet send requests here?
//!
//! Not before the autoscaler can be told of load, and not once the program is to end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

/// Whether the program is healthy. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    stopping: AtomicBool,
    connected: AtomicBool,
}

/// Why not, as the kubelet reads it (Knative `cmd/activator/main.go`).
const STOPPING: &str = "received SIGTERM from kubelet";
/// Knative `pkg:websocket`.
const NOT_CONNECTED: &str = "connection has not yet been established";

impl Health {
    /// Says that the program is to end: it is not healthy from now on.
    pub fn stop(&self) {
        self.state.stopping.store(true, SeqCst);
    }

    /// Says whether there is a connection to the autoscaler.
    pub fn set_connected(&self, connected: bool) {
        self.state.connected.store(connected, SeqCst);
    }

    /// Whether there is a connection to the autoscaler.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state.connected.load(SeqCst)
    }

    /// Whether the program is healthy.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.state.stopping.load(SeqCst) {
            return Err(STOPPING);
        }
        self.is_connected().then_some(()).ok_or(NOT_CONNECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_needs_the_autoscaler_and_ends_with_the_program() {
        let health = Health::default();
        assert_eq!(health.check(), Err(NOT_CONNECTED));
        health.set_connected(true);
        assert_eq!(health.check(), Ok(()));
        health.set_connected(false);
        assert_eq!(health.check(), Err(NOT_CONNECTED));
        health.set_connected(true);
        health.clone().stop();
        assert_eq!(health.check(), Err(STOPPING));
    }
}
