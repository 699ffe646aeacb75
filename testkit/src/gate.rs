//! How does a test hold something back until its own event? A gate that scripted servers wait at.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A gate that starts closed. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    passes: Arc<Semaphore>,
}

impl Gate {
    /// A gate that nobody passes yet.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            passes: Arc::new(Semaphore::new(0)),
        }
    }

    /// Lets everybody through, from now on.
    pub fn open(&self) {
        self.passes.close();
    }

    /// Lets `count` more through; those who waited longest go first.
    pub fn admit(&self, count: usize) {
        self.passes.add_permits(count);
    }

    /// Waits until let through.
    pub async fn pass(&self) {
        // An open gate is a closed semaphore: everybody passes, nobody takes a permit.
        if let Ok(pass) = self.passes.acquire().await {
            pass.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn admits_as_many_as_told_and_then_everybody() {
        let gate = Gate::closed();
        assert!(gate.pass().now_or_never().is_none());
        gate.admit(1);
        assert!(gate.pass().now_or_never().is_some());
        assert!(gate.pass().now_or_never().is_none());
        gate.open();
        assert!(gate.pass().now_or_never().is_some());
        assert!(gate.pass().now_or_never().is_some());
    }
}
