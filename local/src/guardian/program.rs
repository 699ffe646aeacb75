//! What does the guardian process do? It listens on its pipe until that ends, then ends all that must not remain.

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::ledger::{Ledger, Told};
use crate::engine::Engine;
use crate::group::ProcessGroup;
use crate::instance::Instance;
use crate::limits::{
    GROUP_POLL, GUARDIAN_CONTAINERS, GUARDIAN_GRACE, GUARDIAN_LINE_BYTES_MAX, GUARDIAN_SWEEPS_MAX,
};

/// How many leftovers of an instance were ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Process groups.
    pub groups: usize,
    /// Containers.
    pub containers: usize,
}

impl Swept {
    /// Whether there was nothing left.
    #[must_use]
    pub fn is_clean(self) -> bool {
        self == Self::default()
    }
}

/// The body of the hidden guardian command: reads standard input, a pipe, to its end.
///
/// The exit code is 1 when standard input is no pipe or the system refuses a runtime.
#[must_use]
pub fn main(instance: &Instance) -> ExitCode {
    match runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| {
            runtime.block_on(async {
                let _signals = ignore_signals()?;
                guard(standard_input()?, instance).await;
                Ok(())
            })
        }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_nobody_to_tell) => ExitCode::FAILURE,
    }
}

/// Ends what an earlier instance left running: its guardian may have been killed with it.
///
/// Call it only when that instance is known to be gone: whoever holds the state directory's lock knows.
pub async fn sweep(earlier: &Instance) -> Swept {
    end_all(&Ledger::default(), earlier).await
}

/// Signals to the whole terminal or machine are not for us: tidegate's end is what counts.
fn ignore_signals() -> io::Result<Vec<Signal>> {
    let kinds = [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::terminate(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ];
    kinds.into_iter().map(signal).collect()
}

fn standard_input() -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)
}

/// Listens until tidegate is done or gone, then ends what is left.
async fn guard(input: impl AsyncRead + Unpin, instance: &Instance) {
    let mut ledger = Ledger::default();
    let told = listen(input, &mut ledger).await;
    if told != Some(Told::Done) || !ledger.is_empty() {
        end_all(&ledger, instance).await;
    }
}

/// Reads lines into the ledger; returns `Done`, or `None` at the end of the input.
async fn listen(input: impl AsyncRead + Unpin, ledger: &mut Ledger) -> Option<Told> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = u64::try_from(GUARDIAN_LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let read = (&mut input).take(limit).read_until(b'\n', &mut line).await;
        if matches!(read, Ok(0) | Err(_)) {
            return None;
        }
        // What is no line of the protocol changes nothing; what was told before still holds.
        let text = std::str::from_utf8(&line)
            .unwrap_or_default()
            .trim_end_matches('\n');
        if ledger.hear(text) == Ok(Told::Done) {
            return Some(Told::Done);
        }
    }
}

/// Ends every group of the ledger and of the instance: asks first, then kills, until a look around finds none.
async fn end_all(ledger: &Ledger, instance: &Instance) -> Swept {
    let mut swept = Swept::default();
    // A child in the midst of its exec does not show its environment yet.
    sleep(GROUP_POLL).await;
    for round in 0..GUARDIAN_SWEEPS_MAX {
        let alive = living_groups(ledger, instance);
        if alive.is_empty() {
            break;
        }
        if round == 0 {
            swept.groups = alive.len();
            join_all(alive.iter().map(|group| group.end(GUARDIAN_GRACE))).await;
        } else {
            alive.iter().for_each(ProcessGroup::kill);
        }
        // One that hangs in the kernel must not hold up the next look around.
        let _hung = timeout(GUARDIAN_GRACE, join_all(alive.iter().map(ProcessGroup::ended)))
            .await
            .is_err();
    }
    swept.containers = remove_containers(instance).await;
    swept
}

/// Removes the instance's containers, if a container engine answers.
async fn remove_containers(instance: &Instance) -> usize {
    // Without an engine there are no containers; what it refuses, the next start tries again.
    let Ok(engine) = Engine::connect().await else {
        return 0;
    };
    let removed = timeout(GUARDIAN_CONTAINERS, engine.remove_all(instance)).await;
    removed.map_or(0, Result::unwrap_or_default)
}

fn living_groups(ledger: &Ledger, instance: &Instance) -> Vec<ProcessGroup> {
    let mut groups: Vec<ProcessGroup> = ledger
        .groups()
        .chain(ProcessGroup::of_instance(instance))
        .collect();
    groups.retain(ProcessGroup::is_alive);
    groups.sort_unstable_by_key(ProcessGroup::id);
    groups.dedup_by_key(|group| group.id());
    groups
}

#[cfg(test)]
mod tests;
