//! Who pushes the changes? A control plane on a thread of its own, which steps back for the load on the same core.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use tidegate_proxy::drain::Drain;
use tidegate_xds::server::Server;
use tokio::runtime::Builder;

use super::{OTHER_CORE, Options};
use crate::fixture;
use crate::proc;
use crate::scale::Plane;

/// A running control plane; it goes on until the process ends.
pub(super) struct Control {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_changing: AtomicBool,
    changes: AtomicUsize,
    failed: OnceLock<anyhow::Error>,
}

impl Control {
    /// Starts it; it changes nothing yet.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(super) fn start(
        listener: TcpListener,
        server: Arc<Server>,
        plane: Plane,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let changing = Arc::clone(&shared);
        let every = Duration::from_millis(options.every_ms);
        let work = async move |changing: &Shared| -> anyhow::Result<()> {
            proc::pin_to(OTHER_CORE)?;
            proc::run_when_idle()?;
            let (_drain, watching) = Drain::new();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::select! {
                () = server.serve(listener, watching) => Ok(()),
                failed = change_over_and_over(plane, every, changing) => failed,
            }
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("control-plane".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(work(&changing)) {
                    changing.failed.get_or_init(|| error);
                }
            })
            .context("a thread for the control plane")?;
        Ok(Self { shared })
    }

    /// Changes one service after the other; says how many changes there were before.
    pub(super) fn change_from_now_on(&self) -> usize {
        self.shared.is_changing.store(true, Ordering::Relaxed);
        self.shared.changes.load(Ordering::Relaxed)
    }

    /// Changes nothing more; says how many changes there were.
    ///
    /// # Errors
    /// When it has failed.
    pub(super) fn leave(&self) -> anyhow::Result<usize> {
        self.shared.is_changing.store(false, Ordering::Relaxed);
        match self.shared.failed.get() {
            Some(error) => anyhow::bail!("the control plane failed: {error:#}"),
            None => Ok(self.shared.changes.load(Ordering::Relaxed)),
        }
    }
}

/// Moves the pods of one service after the other, of none that is asked, while it is to.
async fn change_over_and_over(mut plane: Plane, every: Duration, shared: &Shared) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(every);
    let mut service = fixture::ASKED;
    loop {
        ticks.tick().await;
        if !shared.is_changing.load(Ordering::Relaxed) {
            continue;
        }
        service = (service + 1) % plane.services.len();
        if service == fixture::ASKED {
            continue;
        }
        plane.move_pods(service)?;
        shared.changes.fetch_add(1, Ordering::Relaxed);
    }
}
