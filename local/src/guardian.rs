//! Who ends the replicas when tidegate itself is killed? A small process of its own, told over a pipe what runs.
//!
//! A parent-death signal would follow the thread that spawned, and needs unsafe code. So tidegate starts itself once
//! more as guardian and keeps the writing end of a pipe to it: however tidegate ends, the pipe ends too, and the guardian
//! ends every process group it was told of. What was started but not yet told is found by the instance's id in its
//! environment (on Linux), and containers by the instance's label.
//!
//! Out of reach, except on Linux after a kill: a grandchild that calls `setsid` leaves its group.

mod keeper;
mod ledger;
mod program;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_proxy::{drain, process};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::group::ProcessGroup;
use crate::instance::Instance;
use crate::names::{GUARDIAN_COMMAND, INSTANCE_VARIABLE};
use ledger::Ledger;

pub use program::{Swept, main, sweep};

/// How to start the guardian.
#[derive(Clone, Debug)]
pub struct GuardianProgram {
    /// The program.
    pub path: PathBuf,
    /// Its arguments; the instance's id comes after them.
    pub arguments: Vec<OsString>,
}

impl GuardianProgram {
    /// This very program with the hidden guardian command.
    ///
    /// # Errors
    /// When the system does not tell which program this is.
    pub fn current() -> io::Result<Self> {
        // The link stays right when the file behind it is replaced by a new build. It also keeps the guardian out of
        // a `pkill tidegate`, which would otherwise end it before it can do its work.
        let path = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()?
        };
        Ok(Self {
            path,
            arguments: vec![GUARDIAN_COMMAND.into()],
        })
    }

    /// In a group of its own, so that Ctrl-C and the end of the terminal do not reach it; and silent, so that it
    /// needs no terminal.
    fn spawn(&self, instance: &Instance) -> io::Result<Child> {
        Command::new(&self.path)
            .args(&self.arguments)
            .arg(instance.as_str())
            .env_remove(INSTANCE_VARIABLE)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// Tells the guardian what runs. Clones speak to the same guardian.
#[derive(Clone, Debug)]
pub struct Guardian {
    wanted: Arc<Wanted>,
}

/// What the guardian has to know. The keeper task carries it over, again in full to a guardian that was restarted.
#[derive(Debug, Default)]
struct Wanted {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    finished: bool,
}

impl Guardian {
    /// Starts the guardian of an instance, and the task that keeps it running until [`GuardianTask::finish`].
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(
        instance: Instance,
        program: GuardianProgram,
        tasks: &drain::Watch,
    ) -> io::Result<(Self, GuardianTask)> {
        let wanted = Arc::new(Wanted::default());
        let first = program.spawn(&instance)?;
        let keeper = keeper::Keeper {
            program,
            instance,
            wanted: Arc::clone(&wanted),
        };
        let task = process::spawn("guardian", tasks.guard(), keeper.run(first));
        let guardian = Self { wanted };
        Ok((guardian.clone(), GuardianTask { guardian, task }))
    }

    /// Has a process group ended with tidegate, until the registration is dropped.
    #[must_use = "the group counts as ended when the registration is dropped"]
    pub fn register(&self, group: ProcessGroup) -> Registration {
        self.change(|ledger| ledger.add_group(group));
        Registration {
            guardian: self.clone(),
            group: group.id(),
        }
    }

    fn change(&self, edit: impl FnOnce(&mut Ledger)) {
        edit(&mut self.wanted.lock().ledger);
        self.wanted.changed.notify_one();
    }
}

impl Wanted {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a group on the guardian's list; dropped, it is taken off.
#[derive(Debug)]
pub struct Registration {
    guardian: Guardian,
    group: i32,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.guardian.change(|ledger| ledger.remove_group(self.group));
    }
}

/// The task that keeps the guardian running. Dropped without [`finish`](Self::finish), the guardian stays until
/// tidegate ends.
#[derive(Debug)]
pub struct GuardianTask {
    guardian: Guardian,
    task: JoinHandle<()>,
}

impl GuardianTask {
    /// Tells the guardian that all is done, and waits until it is gone: at most
    /// [`GUARDIAN_ANSWER`](crate::limits::GUARDIAN_ANSWER). What is still registered, it ends before it goes.
    pub async fn finish(self) {
        self.guardian.wanted.lock().finished = true;
        self.guardian.wanted.changed.notify_one();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the task that keeps the guardian broke off");
        }
    }
}
