//! Is the application ready, whoever asks and however many do?
//!
//! One execution answers all who ask while it runs, and goes on when they have gone: an activator waits 300 ms, a poll may take
//! ten seconds (Knative `pkg/queue/readiness`).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use tidegate_proxy::drain::Watch;
use tidegate_proxy::process;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::limits::{AGGRESSIVE_POLL_LIMIT, POLL};
use crate::probe::{ReadinessProbe, Replica};
use crate::program::log::Log;

mod declared;

pub use declared::{Declared, InvalidProbes, Reading};

/// The probes of a pod, run one execution at a time.
#[derive(Debug)]
pub struct Readiness {
    app: SocketAddr,
    probes: Vec<Probe>,
    running: Mutex<Option<watch::Receiver<Option<bool>>>>,
    drain: Watch,
    log: Log,
}

/// One probe, and how far it has got.
#[derive(Debug)]
struct Probe {
    declared: Declared,
    /// Successes in a row; they count on in the next execution.
    successes: AtomicU32,
}

impl Readiness {
    /// These probes of the application at `app`; without any it is always ready.
    #[must_use]
    pub fn new(app: SocketAddr, probes: Vec<Declared>, drain: Watch, log: Log) -> Arc<Self> {
        let probes = probes.into_iter().map(|declared| Probe {
            declared,
            successes: AtomicU32::new(0),
        });
        Arc::new(Self {
            app,
            probes: probes.collect(),
            running: Mutex::default(),
            drain,
            log,
        })
    }

    /// Joins the execution that runs, or starts one. Cancel-safe: that goes on.
    pub async fn ask(self: &Arc<Self>) -> bool {
        if self.probes.is_empty() {
            return true;
        }
        let mut outcome = self.join();
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => *outcome == Some(true),
            // Its worker has ended.
            Err(_gone) => false,
        }
    }

    fn join(self: &Arc<Self>) -> watch::Receiver<Option<bool>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = running.as_ref().filter(|outcome| {
            // Neither over nor given up.
            outcome.borrow().is_none() && outcome.has_changed().is_ok()
        });
        if let Some(outcome) = under_way {
            return outcome.clone();
        }
        let (tell, outcome) = watch::channel(None);
        *running = Some(outcome.clone());
        let this = Arc::clone(self);
        process::spawn("readiness", self.drain.unguarded(), async move {
            let is_ready = this.execute().await;
            tell.send_replace(Some(is_ready));
        });
        outcome
    }

    /// All probes at once; each has to succeed.
    async fn execute(&self) -> bool {
        let outcomes = join_all(self.probes.iter().map(|probe| probe.execute(self.app))).await;
        let mut is_ready = true;
        for failure in outcomes.into_iter().filter_map(Result::err) {
            is_ready = false;
            self.log.plain(&failure);
        }
        is_ready
    }
}

impl Probe {
    async fn execute(&self, app: SocketAddr) -> Result<(), String> {
        let replica = Replica::at(app);
        match &self.declared {
            Declared::Never(reason) => Err(reason.clone()),
            Declared::Standard(probe) => match probe.attempt(&replica).await {
                Ok(()) => Ok(()),
                Err(failure) => Err(format!("probe error: {failure}")),
            },
            Declared::Aggressive(probe) => self.poll(probe, &replica).await,
        }
    }

    /// Attempts until enough in a row have succeeded, or the time is over.
    async fn poll(&self, probe: &ReadinessProbe, replica: &Replica<'_>) -> Result<(), String> {
        let deadline = Instant::now() + AGGRESSIVE_POLL_LIMIT;
        let (mut failed, mut last) = (0_u32, None);
        let polling = async {
            loop {
                match probe.attempt(replica).await {
                    Ok(()) if self.succeeded() >= probe.success_threshold() => return,
                    Ok(()) => {}
                    Err(failure) => {
                        self.successes.store(0, Ordering::Relaxed);
                        failed += 1;
                        last = Some(failure);
                    }
                }
                sleep(POLL).await;
            }
        };
        if timeout_at(deadline, polling).await.is_ok() {
            return Ok(());
        }
        let last = last.map_or_else(|| "not enough successes".to_owned(), |last| last.to_string());
        Err(format!("aggressive probe error (failed {failed} times): {last}"))
    }

    fn succeeded(&self) -> u32 {
        self.successes.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

#[cfg(test)]
mod tests;
