//! How does the guardian learn of changes, and what if it dies? It is started again and told everything anew.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin};
use tokio::time::{sleep, timeout};

use super::ledger::Ledger;
use super::{GuardianProgram, Wanted};
use crate::instance::Instance;
use crate::limits::{GUARDIAN_ANSWER, GUARDIAN_RESTART_DELAY};

/// Carries what is wanted over to the guardian, until all is finished.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) program: GuardianProgram,
    pub(super) instance: Instance,
    pub(super) wanted: Arc<Wanted>,
}

impl Keeper {
    pub(super) async fn run(self, first: Child) {
        let mut child = first;
        while let Err(error) = self.serve(&mut child).await {
            tracing::warn!(%error, "the guardian process is gone and is started again");
            child = self.restart(child).await;
        }
    }

    /// Speaks to one guardian. Ok once it has gone after all is finished.
    async fn serve(&self, child: &mut Child) -> io::Result<()> {
        let mut pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut told = Ledger::default();
        loop {
            let (wanted, finished) = {
                let state = self.wanted.lock();
                (state.ledger.clone(), state.finished)
            };
            tell(&mut pipe, &wanted.lines_since(&told)).await?;
            told = wanted;
            if finished {
                tell(&mut pipe, "done\n").await?;
                drop(pipe);
                return answer(child.wait()).await.map(drop);
            }
            tokio::select! {
                () = self.wanted.changed.notified() => {}
                status = child.wait() => return Err(io::Error::other(format!("it ended by itself: {}", status?))),
            }
        }
    }

    /// Ends what is left of a guardian and starts another one, however often that takes.
    async fn restart(&self, mut last: Child) -> Child {
        if let Err(error) = last.kill().await {
            tracing::debug!(%error, "the former guardian could not be killed");
        }
        loop {
            sleep(GUARDIAN_RESTART_DELAY).await;
            match self.program.spawn(&self.instance) {
                Ok(child) => return child,
                Err(error) => {
                    tracing::warn!(%error, "no guardian can be started: kill -9 of tidegate would leave replicas");
                }
            }
        }
    }
}

async fn tell(pipe: &mut ChildStdin, lines: &str) -> io::Result<()> {
    answer(pipe.write_all(lines.as_bytes())).await
}

/// The guardian does nothing that takes long; one that does not answer is hung.
async fn answer<T>(action: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(GUARDIAN_ANSWER, action).await.map_err(io::Error::from)?
}
