//! Which bounds and default times does laptop mode keep?

use std::time::Duration;

/// The longest line of a replica's output that is shown as one; a longer one is split.
pub const OUTPUT_LINE_BYTES_MAX: usize = 16 * 1024;
/// How many of its last lines of output are kept for each replica, to be shown when it fails.
pub const OUTPUT_TAIL_LINES: usize = 20;
/// How many lines of replicas may wait for a slow terminal; what comes on top is dropped and counted.
pub const OUTPUT_QUEUE_LINES_MAX: usize = 4096;
/// How many bytes of replicas' lines may wait for a slow terminal.
pub const OUTPUT_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many of tidegate's own lines may wait on top of those: few and more important, so they have a queue of their own.
pub const EVENT_QUEUE_LINES_MAX: usize = 1024;
/// How much is read at once from a replica's output.
pub const OUTPUT_READ_BYTES: usize = 8 * 1024;
/// How long the end of the output is awaited once a replica exited: a stray grandchild may keep the pipe open.
pub const OUTPUT_AFTER_EXIT: Duration = Duration::from_millis(250);
/// How long the terminal may take for its last lines before tidegate exits without them.
pub const TERMINAL_FLUSH: Duration = Duration::from_secs(1);

/// How often a process group is looked at while it is expected to end; the kernel reports only its leader's end.
pub const GROUP_POLL: Duration = Duration::from_millis(10);
/// How many ports are tried before none counts as free.
pub const PORT_ATTEMPTS: usize = 64;

/// How long the guardian lets what it found end by itself, before it kills.
pub const GUARDIAN_GRACE: Duration = Duration::from_secs(2);
/// How often the guardian looks for processes of the instance again: a process may start others until it is dead.
pub const GUARDIAN_SWEEPS_MAX: usize = 5;
/// How long the guardian lets the container engine take to remove what is left.
pub const GUARDIAN_CONTAINERS: Duration = Duration::from_secs(30);
/// The longest line of the guardian's protocol.
pub const GUARDIAN_LINE_BYTES_MAX: usize = 512;
/// How long the guardian may take to accept a line, or to exit when it is told that all is done.
pub const GUARDIAN_ANSWER: Duration = Duration::from_secs(2);
/// How long to wait before a guardian that died is started again.
pub const GUARDIAN_RESTART_DELAY: Duration = Duration::from_millis(500);

/// How many starts of a revision may fail in a row before its waiting requests are answered 503.
pub const START_FAILURES_MAX: u32 = 3;
/// How long after the first failed start the next one comes; it doubles with each further failure.
pub const START_BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// The longest pause between two starts.
pub const START_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long a replica may listen on other ports alone before its start counts as failed. Some programs open a port for
/// a debugger long before their own.
pub const WRONG_PORT_PATIENCE: Duration = Duration::from_secs(20);
/// How long a replica may be silent about its port before a line says so.
pub const SLOW_START_NOTICE: Duration = Duration::from_secs(5);
/// How often a starting replica's ports are looked at.
pub const PORT_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the load is reported to the autoscaler, also when there is none (Knative's activator: 1 s).
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long replicas may take to stop once their requests are done, at the end of `up`.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// How many messages may wait for one revision's task.
pub const REVISION_MAILBOX: usize = 256;
/// How long a readiness progress may take in all: Knative's `progress-deadline`.
pub const PROGRESS_DEADLINE: Duration = Duration::from_secs(600);
/// A replica that served for this long and then ended counts as a crash of its own, not as a failed start.
pub const CRASH_FORGIVEN_AFTER: Duration = Duration::from_secs(10);

/// How long the container engine may take to answer a ping.
pub const ENGINE_ANSWER: Duration = Duration::from_secs(2);
/// How long to wait before the container engine is asked again for what it failed to tell.
pub const ENGINE_RETRY: Duration = Duration::from_millis(500);

/// How long object files have to be left alone before they are read again.
pub const FILES_QUIET: Duration = Duration::from_millis(200);
/// After how long they are read again though something still writes.
pub const FILES_QUIET_MAX: Duration = Duration::from_secs(2);
/// How long after a file lost an object the object counts as removed, if it is still lacking then.
pub const FILES_RECHECK: Duration = Duration::from_secs(1);
/// How often object files are read where the system cannot tell of changes.
pub const FILES_POLL: Duration = Duration::from_secs(2);
/// Object files that one run reads.
pub const FILES_MAX: usize = 10_000;
/// Symbolic links that are followed to one file, as Linux does.
pub const SYMLINKS_MAX: usize = 40;
/// The most replicas that one revision has on this machine, whatever its load asks for and its maximum scale allows.
pub const REPLICAS_MAX: u32 = 100;
/// How often measurements are folded into their sums.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(5);
