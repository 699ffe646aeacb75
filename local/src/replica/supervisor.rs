//! Who waits for a replica's end, stops it, and leaves nothing of it behind?

use std::sync::Arc;

use futures_util::future::OptionFuture;
use tokio::process::Child;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::{State, advance};
use crate::exit::Exit;
use crate::group::ProcessGroup;
use crate::guardian::Registration;
use crate::limits::OUTPUT_AFTER_EXIT;
use crate::output::ReplicaOutput;
use crate::ports::PortLease;

/// Owns a replica's processes. Its fields are dropped in this order: the group dies before it is forgotten.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) group: OwnedGroup,
    pub(super) child: Child,
    pub(super) output: ReplicaOutput,
    pub(super) state: Arc<watch::Sender<State>>,
    pub(super) stop_by: watch::Receiver<Option<Instant>>,
    pub(super) _registration: Registration,
    pub(super) _port: PortLease,
}

impl Supervisor {
    /// Runs until the group is gone and its output is read.
    pub(super) async fn run(mut self) {
        let stdout = self.child.stdout.take();
        let stderr = self.child.stderr.take();
        let output = self.output.clone();
        let (ended, has_ended) = oneshot::channel();
        let life = async {
            let exit = self.live().await;
            // Nobody listens if the output ended before.
            let _unheard = ended.send(()).is_err();
            exit
        };
        let read = async {
            let pumps = futures_util::future::join(
                OptionFuture::from(stdout.map(|pipe| output.pump(pipe))),
                OptionFuture::from(stderr.map(|pipe| output.pump(pipe))),
            );
            tokio::select! {
                _ = pumps => {}
                () = left_behind(has_ended) => {}
            }
        };
        let (exit, ()) = tokio::join!(life, read);
        advance(&self.state, State::Exited(exit));
    }

    /// Until the first process ended by itself, or was stopped.
    async fn live(&mut self) -> Exit {
        let group = self.group.0;
        let exit = tokio::select! {
            status = self.child.wait() => status.map_or(Exit::Unknown, Exit::from),
            () = asked(&mut self.stop_by) => self.stop().await,
        };
        // As in a container: what the first process leaves behind ends with it.
        group.kill();
        exit
    }

    /// Gives the whole group, not only its leader, time to finish: a shell that started the app may end at once.
    async fn stop(&mut self) -> Exit {
        let group = self.group.0;
        advance(&self.state, State::Stopping);
        group.terminate();
        let graceful = async {
            let status = self.child.wait().await;
            group.ended().await;
            status
        };
        let in_time = tokio::select! {
            status = graceful => Some(status),
            () = forced(&mut self.stop_by) => None,
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

/// Resolves when a stop is asked for, or the replica was dropped.
async fn asked(stop_by: &mut watch::Receiver<Option<Instant>>) {
    let _dropped = stop_by.wait_for(Option::is_some).await.is_err();
}

/// Resolves when the time to stop is over, or the replica was dropped. The time may be shortened meanwhile.
async fn forced(stop_by: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let deadline = *stop_by.borrow_and_update();
        let over = OptionFuture::from(deadline.map(sleep_until));
        tokio::select! {
            Some(()) = over => return,
            changed = stop_by.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Resolves a while after the end: by then only strangers that inherited the pipes keep them open.
async fn left_behind(has_ended: oneshot::Receiver<()>) {
    let _broke_off = has_ended.await.is_err();
    sleep(OUTPUT_AFTER_EXIT).await;
}
