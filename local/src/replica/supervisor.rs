//! Who waits for a replica's end, stops it, and leaves nothing of it behind?

use futures_util::future::{OptionFuture, join};
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::Life;
use crate::exit::Exit;
use crate::group::ProcessGroup;
use crate::guardian::Registration;
use crate::limits::OUTPUT_AFTER_EXIT;
use crate::ports::PortLease;

/// Owns a replica's processes. Its fields are dropped in this order: the group dies before it is forgotten.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) group: OwnedGroup,
    pub(super) child: Child,
    pub(super) life: Life,
    pub(super) _registration: Registration,
    pub(super) _port: PortLease,
}

impl Supervisor {
    /// Runs until the group is gone and its output is read.
    pub(super) async fn run(mut self) {
        let stdout = self.child.stdout.take();
        let stderr = self.child.stderr.take();
        let output = self.life.output.clone();
        let read = join(
            OptionFuture::from(stdout.map(|pipe| output.pump(pipe))),
            OptionFuture::from(stderr.map(|pipe| output.pump(pipe))),
        );
        let exit = with_output(self.live(), read).await;
        self.life.exited(exit);
    }

    /// Until the first process ended by itself, or was stopped.
    async fn live(&mut self) -> Exit {
        let group = self.group.0;
        let exit = tokio::select! {
            status = self.child.wait() => status.map_or(Exit::Unknown, Exit::from),
            _grace = self.life.stop_order.asked() => self.stop().await,
        };
        // As in a container: what the first process leaves behind ends with it.
        group.kill();
        exit
    }

    /// Gives the whole group, not only its leader, time to finish: a shell that started the app may end at once.
    async fn stop(&mut self) -> Exit {
        let group = self.group.0;
        self.life.stopping();
        group.terminate();
        let graceful = async {
            let status = self.child.wait().await;
            group.ended().await;
            status
        };
        let in_time = tokio::select! {
            status = graceful => Some(status),
            () = self.life.stop_order.forced() => None,
        };
        let status = match in_time {
            Some(status) => status,
            None => {
                group.kill();
                self.child.wait().await
            }
        };
        status.map_or(Exit::Unknown, Exit::from)
    }
}

/// Kills the group when it is dropped. If the group ended before, that does nothing.
#[derive(Debug)]
pub(super) struct OwnedGroup(ProcessGroup);

impl From<ProcessGroup> for OwnedGroup {
    fn from(group: ProcessGroup) -> Self {
        Self(group)
    }
}

impl Drop for OwnedGroup {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// Runs a life and reads its output side by side. After the end, the output has a moment to end too: by then only
/// strangers that inherited it keep it open.
pub(crate) async fn with_output<O>(live: impl Future<Output = Exit>, read: impl Future<Output = O>) -> Exit {
    let (ended, has_ended) = oneshot::channel();
    let live = async {
        let exit = live.await;
        // Nobody listens if the output ended before.
        let _unheard = ended.send(()).is_err();
        exit
    };
    let read = async {
        tokio::select! {
            _ = read => {}
            () = left_behind(has_ended) => {}
        }
    };
    tokio::join!(live, read).0
}

async fn left_behind(has_ended: oneshot::Receiver<()>) {
    let _broke_off = has_ended.await.is_err();
    sleep(OUTPUT_AFTER_EXIT).await;
}
