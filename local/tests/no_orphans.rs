//! Does anything outlive a tidegate that is killed? The test program plays tidegate and its guardian by starting itself.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in the functions that it is made of"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tidegate_local::guardian::{self, Guardian, GuardianProgram};
use tidegate_local::host::Host;
use tidegate_local::instance::Instance;
use tidegate_local::output::Terminal;
use tidegate_local::ports::Ports;
use tidegate_local::replica::{CommandLine, Launch, Replica, ReplicaName};
use tidegate_proxy::drain::Drain;
#[cfg(target_os = "linux")]
use tidegate_testkit::wait::eventually;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::runtime;

const PATIENCE: Duration = Duration::from_secs(30);
/// Set where this program plays a role instead of testing.
const ROLE: &str = "ROLE_IN_TEST";
/// What the replicas of the played tidegate run.
const SCRIPT: &str = "SCRIPT_IN_TEST";

/// A played tidegate, and a pipe that ends when the last process of its replicas has.
struct Played {
    tidegate: Child,
    instance: Instance,
    alive: mpsc::Receiver<()>,
    /// Kept open, or the played tidegate could not write any more.
    said: BufReader<ChildStdout>,
    _directory: tempfile::TempDir,
}

/// Starts a played tidegate with two replicas, and waits until both have said that they run.
fn play(script: &str) -> Played {
    let directory = tempfile::tempdir().expect("a directory");
    let pipe = directory.path().join("alive");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("a tool")
            .success()
    );
    let mut tidegate = Command::new(std::env::current_exe().expect("this program"))
        .args(["role_of_tidegate", "--exact", "--nocapture"])
        .env(ROLE, "played")
        .env(SCRIPT, format!("exec 9>'{}'; {script}", pipe.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("this program starts");
    let alive = watch(&pipe);
    let mut said = BufReader::new(tidegate.stdout.take().expect("a pipe"));
    let mut lines = said.by_ref().lines().map_while(Result::ok);
    let instance = lines.find_map(|line| line.strip_prefix("instance ")?.parse().ok());
    let instance = instance.expect("an instance");
    assert_eq!(lines.filter(|line| line.ends_with("| up")).take(2).count(), 2);
    Played {
        tidegate,
        instance,
        alive,
        said,
        _directory: directory,
    }
}

/// Reads a named pipe to its end; the receiver is told then.
fn watch(pipe: &Path) -> mpsc::Receiver<()> {
    let (ended, has_ended) = mpsc::channel();
    let pipe = pipe.to_owned();
    std::thread::spawn(move || {
        let mut nothing = Vec::new();
        std::fs::File::open(pipe)
            .expect("a pipe")
            .read_to_end(&mut nothing)
            .expect("its end");
        ended.send(()).expect("the test waits");
    });
    has_ended
}

impl Played {
    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.tidegate.id()).expect("a pid")).expect("a pid")
    }

    /// Waits until tidegate and all that it started has ended; returns how tidegate did.
    fn ended(mut self) -> ExitStatus {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("text");
        let status = self.tidegate.wait().expect("it ended");
        self.alive.recv_timeout(PATIENCE).expect("no replica is left");
        assert_eq!(
            tidegate_local::group::ProcessGroup::of_instance(&self.instance),
            []
        );
        status
    }
}

#[test]
fn a_killed_tidegate_leaves_no_process() {
    let played = play("(trap '' TERM; while :; do sleep 1000; done) & trap 'exit' TERM; echo up; wait");
    kill_process(played.pid(), Signal::KILL).expect("it runs");
    played.ended();
}

#[test]
fn killing_the_whole_job_leaves_no_process() {
    let played = play("echo up; while :; do sleep 1000; done");
    kill_process_group(played.pid(), Signal::KILL).expect("it runs");
    played.ended();
}

#[test]
fn an_orderly_end_leaves_no_process() {
    let mut played = play("trap 'exit' TERM; echo up; while :; do :; done");
    drop(played.tidegate.stdin.take());
    assert!(played.ended().success());
}

#[test]
#[cfg(target_os = "linux")]
fn a_guardian_that_dies_is_replaced() {
    let played = play("echo up; while :; do sleep 1000; done");
    let first = guardian_of(&played, None);
    kill_process(first, Signal::KILL).expect("it runs");
    let second = guardian_of(&played, Some(first));
    assert_ne!(first, second);
    kill_process(played.pid(), Signal::KILL).expect("it runs");
    played.ended();
}

#[test]
#[cfg(target_os = "linux")]
fn the_next_start_sweeps_when_the_guardian_died_too() {
    let played = play("echo up; while :; do sleep 1000; done");
    // Stopped, it cannot start another guardian before it is killed itself.
    kill_process(played.pid(), Signal::STOP).expect("it runs");
    kill_process(guardian_of(&played, None), Signal::KILL).expect("it runs");
    kill_process(played.pid(), Signal::KILL).expect("it runs");
    let runtime = runtime();
    let swept = runtime.block_on(guardian::sweep(&played.instance));
    assert_eq!(swept.groups, 2);
    assert!(runtime.block_on(guardian::sweep(&played.instance)).is_clean());
    played.ended();
}

/// The guardian's process id, once it is another than `former`.
#[cfg(target_os = "linux")]
fn guardian_of(played: &Played, former: Option<Pid>) -> Pid {
    let is_guardian = |process: &procfs::process::Process| {
        let is_child = process
            .stat()
            .is_ok_and(|stat| stat.ppid == played.pid().as_raw_pid());
        let arguments = process.cmdline().unwrap_or_default();
        is_child
            && arguments
                .last()
                .is_some_and(|last| *last == played.instance.as_str())
    };
    runtime().block_on(eventually("another guardian", async || {
        let mut all = procfs::process::all_processes()
            .expect("/proc")
            .filter_map(Result::ok);
        let pid = all
            .find(is_guardian)
            .and_then(|process| Pid::from_raw(process.pid()));
        pid.filter(|pid| Some(*pid) != former)
    }))
}

fn runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Not a test by itself: what the played tidegate does.
#[test]
fn role_of_tidegate() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    runtime().block_on(async {
        let (drain, tasks) = Drain::new();
        let instance = Instance::generate();
        let terminal = Terminal::start(std::io::stdout()).expect("a thread");
        terminal.event(&format!("instance {instance}"));
        let program = GuardianProgram {
            arguments: ["role_of_guardian", "--exact", "--nocapture"]
                .map(Into::into)
                .to_vec(),
            ..GuardianProgram::current().expect("this program")
        };
        let (guardian, task) = Guardian::start(instance.clone(), program, &tasks).expect("a guardian");
        let host = Host {
            instance,
            guardian,
            terminal,
            ports: Ports::new(),
            tasks,
        };
        let replicas = [1, 2].map(|index| launch(&host, index));
        let input = std::io::stdin().as_fd().try_clone_to_owned().expect("a pipe");
        let mut input = pipe::Receiver::from_owned_fd(input).expect("a pipe");
        assert_eq!(input.read(&mut [0]).await.expect("the end of the input"), 0);
        for replica in replicas {
            replica.stop(PATIENCE).await;
        }
        task.finish().await;
        assert_eq!(drain.finish(PATIENCE).await.forced, 0);
    });
}

fn launch(host: &Host, index: u32) -> Replica {
    let script = std::env::var(SCRIPT).expect("a script");
    let launch = Launch {
        name: ReplicaName {
            service: "s".into(),
            revision: "s-00001".into(),
            index,
        },
        command: CommandLine::new(["sh".into(), "-c".into(), script]).expect("a program"),
        environment: std::env::vars().collect(),
        working_dir: None,
        port: host.ports.lease().expect("a free port"),
    };
    Replica::launch(launch, host).expect("sh starts")
}

/// Not a test by itself: what the played guardian does.
#[test]
fn role_of_guardian() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let instance = std::env::args()
        .next_back()
        .expect("an argument")
        .parse()
        .expect("an instance");
    assert_eq!(guardian::main(&instance), std::process::ExitCode::SUCCESS);
    std::io::stdout().flush().expect("a silent output");
}
