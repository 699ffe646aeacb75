//! Which processes form one replica's group, is any of them alive, and how are all of them signalled?

#[cfg(target_os = "linux")]
mod linux;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::time::{sleep, timeout};

use crate::instance::Instance;
use crate::limits::GROUP_POLL;

/// Written for a start time that is not known.
const UNKNOWN: &str = "-";

/// A process group, known by its leader. The leader's start time guards against a reused process id: a group that
/// is another's by now counts as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessGroup {
    leader: Pid,
    /// Clock ticks since boot; only where the system tells.
    started: Option<u64>,
}

impl ProcessGroup {
    /// The group that the process `pid` leads. `None` for ids that are no child's: 0, 1 and what is no process id.
    #[must_use]
    pub fn led_by(pid: u32) -> Option<Self> {
        let leader = Pid::from_raw(i32::try_from(pid).ok()?).filter(|leader| !leader.is_init())?;
        Some(Self {
            leader,
            started: started(leader),
        })
    }

    /// The groups of all processes that carry the instance's id in their environment, except our own group.
    ///
    /// Empty where the system does not show other processes' environment (all but Linux).
    #[must_use]
    pub fn of_instance(instance: &Instance) -> Vec<Self> {
        #[cfg(target_os = "linux")]
        let pids = linux::groups_of(instance);
        #[cfg(not(target_os = "linux"))]
        let pids: Vec<u32> = {
            let _ = instance;
            Vec::new()
        };
        pids.into_iter().filter_map(Self::led_by).collect()
    }

    /// The process id of the leader, which is the id of the group.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.leader.as_raw_pid()
    }

    /// Asks every member to end (SIGTERM). No member left: nothing happens.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends every member (SIGKILL). No member left: nothing happens.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Whether a member is still alive. A process that ended but was not yet waited for is not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        if self.is_reused() {
            return false;
        }
        match test_kill_process_group(self.leader) {
            Ok(()) => self.has_living_member(),
            Err(errno) => is_foreign(errno),
        }
    }

    /// Waits until no member is alive. Safe to drop midway.
    pub async fn ended(&self) {
        while self.is_alive() {
            sleep(GROUP_POLL).await;
        }
    }

    /// Ends all members: asks them, waits at most `grace`, then kills.
    pub async fn end(&self, grace: Duration) {
        self.terminate();
        if timeout(grace, self.ended()).await.is_err() {
            self.kill();
        }
    }

    fn signal(&self, signal: Signal) {
        if self.is_reused() {
            return;
        }
        match kill_process_group(self.leader, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => {
                let group = self.id();
                tracing::warn!(group, %errno, "cannot signal a process group: does it run as another user?");
            }
        }
    }

    /// Whether the leader's id belongs to a process that started later: then the whole group had gone before.
    fn is_reused(&self) -> bool {
        matches!((self.started, started(self.leader)), (Some(then), Some(now)) if then != now)
    }

    #[cfg(target_os = "linux")]
    fn has_living_member(&self) -> bool {
        linux::has_living_member(self.id())
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "the same signature on every system")]
    fn has_living_member(&self) -> bool {
        true
    }
}

/// `ID START`, as the guardian's protocol writes it.
impl fmt::Display for ProcessGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.started {
            Some(started) => write!(formatter, "{} {started}", self.id()),
            None => write!(formatter, "{} {UNKNOWN}", self.id()),
        }
    }
}

/// A text that names no process group.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no process group: expected its id and start time")]
pub struct InvalidGroup(String);

impl FromStr for ProcessGroup {
    type Err = InvalidGroup;

    fn from_str(text: &str) -> Result<Self, InvalidGroup> {
        let parse = || {
            let (id, started) = text.split_once(' ')?;
            let leader = Pid::from_raw(id.parse().ok().filter(|id| *id > 1)?)?;
            let started = if started == UNKNOWN {
                None
            } else {
                Some(started.parse().ok()?)
            };
            Some(Self { leader, started })
        };
        parse().ok_or_else(|| InvalidGroup(text.to_owned()))
    }
}

/// A group that we may not signal still has members, unless the system says so of dead ones too (macOS).
fn is_foreign(errno: Errno) -> bool {
    errno == Errno::PERM && cfg!(target_os = "linux")
}

fn started(leader: Pid) -> Option<u64> {
    #[cfg(target_os = "linux")]
    return linux::started(leader.as_raw_pid());
    #[cfg(not(target_os = "linux"))]
    {
        let _ = leader;
        None
    }
}

#[cfg(test)]
mod tests;
