//! How are processes started, pinned and ended: this program's other halves and the peers?

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tidegate_testkit::ports;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::proc;

/// What a program of ours prints before the address that it listens on.
pub const LISTENING: &str = "listening on ";
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How long a program that was asked to end may still write down what it has to.
const END_DEADLINE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A running process; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
}

impl Process {
    /// Starts `program` on `core`, or wherever the system puts it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        let name = program
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy()
            .into_owned();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(core) = core {
            // A process starts on the cores of the thread that starts it; this one has no other work.
            proc::pin_to(core).with_context(|| format!("no core {core} to pin {name} to"))?;
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stdout.take().context("the output is piped")?;
        let input = child.stdin.take().context("the input is piped")?;
        let output = BufReader::new(output).lines();
        Ok(Self {
            name,
            child,
            output,
            input,
        })
    }

    /// Starts another half of this program.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn own<A: AsRef<OsStr>>(
        arguments: impl IntoIterator<Item = A>,
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        Self::start(&std::env::current_exe()?, arguments, core)
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.child
            .id()
            .with_context(|| format!("{} has ended", self.name))
    }

    /// The next line that it prints.
    ///
    /// # Errors
    /// When it ends without one.
    pub async fn line(&mut self) -> anyhow::Result<String> {
        let line = self.output.next_line().await?;
        line.with_context(|| format!("{} has ended; its error output says why", self.name))
    }

    /// Sends it a line.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        use tokio::io::AsyncWriteExt;
        let line = format!("{line}\n");
        self.input
            .write_all(line.as_bytes())
            .await
            .with_context(|| format!("{} has ended", self.name))
    }

    /// The address that a program of ours says it listens on.
    ///
    /// # Errors
    /// When it says something else, or nothing in time.
    pub async fn address(&mut self) -> anyhow::Result<SocketAddr> {
        let line = timeout(START_DEADLINE, self.line()).await??;
        let address = line
            .strip_prefix(LISTENING)
            .context("the first line is the address")?;
        address
            .parse()
            .with_context(|| format!("'{line}' has no address"))
    }

    /// Asks it to end, and waits until it has; one that does not in time is killed when it is dropped.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        ask_to_end(&mut self.child)
            .await
            .with_context(|| format!("cannot end {}", self.name))
    }

    /// Waits until `address` takes connections.
    ///
    /// # Errors
    /// When it does not in time, or the process ends before.
    pub async fn accepts(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let accepts = async {
            while TcpStream::connect(address).await.is_err() {
                if let Some(status) = self.child.try_wait()? {
                    anyhow::bail!("{} ended with {status}; its error output says why", self.name);
                }
                sleep(LOOK_AGAIN).await;
            }
            Ok(())
        };
        let late = || format!("{} does not listen on {address}", self.name);
        timeout(START_DEADLINE, accepts).await.with_context(late)?
    }
}

/// A loopback address that is free, for programs that cannot choose one by themselves.
#[must_use]
pub fn free_address() -> SocketAddr {
    let [port] = ports::free();
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Asks a process to end, and waits until it has or is late.
pub(crate) async fn ask_to_end(child: &mut Child) -> anyhow::Result<()> {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        kill_process(pid, Signal::TERM)?;
        // Who is late is killed all the same.
        let _late = timeout(END_DEADLINE, child.wait()).await;
    }
    Ok(())
}
