//! How does a test run a program? Started in a temporary directory, its output lines awaited, its end in the test's hands.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;

use crate::wait::{eventually, soon};

/// A program under test. Dropping it kills the process alone, not its group: what it leaves behind is its own to end.
/// Its output is printed when the test fails.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Mutex<Vec<String>>>,
    looked: usize,
    readers: JoinSet<()>,
    folder: TempDir,
}

/// A program about to be started.
#[derive(Debug)]
pub struct Start {
    name: String,
    command: Command,
    input: Stdio,
    folder: TempDir,
}

impl Program {
    /// Prepares `path` to run in a fresh temporary directory, which is also its home.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tidegate_testkit::program::Program;
    ///
    /// let mut program = Program::new("sh").args(["-c", "echo listening on 7; exit 3"]).start();
    /// let port = program.line("its port", |line| line.strip_prefix("listening on ").map(str::to_owned)).await;
    /// assert_eq!(port, "7");
    /// assert_eq!(program.exit().await.code(), Some(3));
    /// # }
    /// ```
    ///
    /// # Panics
    /// When no temporary directory can be made.
    #[must_use]
    #[expect(
        clippy::new_ret_no_self,
        reason = "a program starts as its settings, like `std::process::Command`"
    )]
    pub fn new(path: impl AsRef<OsStr>) -> Start {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(path.as_ref());
        command.current_dir(folder.path()).kill_on_drop(true);
        for (name, subfolder) in [
            ("HOME", ""),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
        ] {
            command.env(name, folder.path().join(subfolder));
        }
        command.env_remove("PORT").env_remove("RUST_LOG");
        let name = Path::new(path.as_ref()).file_name().unwrap_or(path.as_ref());
        Start {
            name: name.to_string_lossy().into_owned(),
            command,
            input: Stdio::null(),
            folder,
        }
    }

    /// The directory it runs in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it has been waited for already.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("the program was not waited for yet")
    }

    /// All lines of its standard output and error so far; between the two streams the order may differ from the program's.
    #[must_use]
    pub fn output(&self) -> Vec<String> {
        self.lines().clone()
    }

    /// Waits for the next line that `pick` takes; lines before it are passed over, later ones stay for the next call.
    ///
    /// # Panics
    /// At the deadline, or when the program has ended without that line; with all output.
    pub async fn line<T>(&mut self, what: &str, mut pick: impl FnMut(&str) -> Option<T>) -> T {
        let output = Arc::clone(&self.output);
        let readers = &mut self.readers;
        let looked = &mut self.looked;
        let what = format!("{what} in the output of {}", self.name);
        let found = eventually(&what, async || {
            while readers.try_join_next().is_some() {}
            let has_ended = readers.is_empty();
            let lines = lock(&output);
            while let Some(line) = lines.get(*looked) {
                *looked += 1;
                if let Some(found) = pick(line) {
                    return Ok(Some(found));
                }
            }
            if has_ended {
                Ok(None)
            } else {
                Err(format!("its output was:\n{}", lines.join("\n")))
            }
        })
        .await;
        found.unwrap_or_else(|| {
            panic!(
                "{what}: it ended without; its output was:\n{}",
                self.lines().join("\n")
            )
        })
    }

    /// Waits for the next line that contains `text`, and returns it.
    ///
    /// # Panics
    /// At the deadline, with all output.
    pub async fn line_with(&mut self, text: &str) -> String {
        self.line(&format!("`{text}`"), |line| {
            line.contains(text).then(|| line.to_owned())
        })
        .await
    }

    /// Writes a line to its standard input; it was started with [`Start::listening_to_the_test`].
    ///
    /// # Panics
    /// When it does not listen, or is gone.
    pub async fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it listens to the test");
        let told = soon(
            "the program to read",
            input.write_all(format!("{line}\n").as_bytes()),
        )
        .await;
        told.unwrap_or_else(|error| panic!("tell {} `{line}`: {error}", self.name));
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let id = id.expect("a process id is a positive number");
        kill_process(id, signal).unwrap_or_else(|error| panic!("signal {}: {error}", self.name));
    }

    /// Kills the process at once (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    /// When it does not go.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.exit().await;
    }

    /// Waits for the end and for the last of the output.
    ///
    /// # Panics
    /// At the deadline.
    pub async fn exit(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let status = soon(&what, self.child.wait())
            .await
            .expect("a child can be waited for");
        // The output pipes stay open as long as a grandchild holds them; that is not this program's end.
        let drained = async { while self.readers.join_next().await.is_some() {} };
        drop(tokio::time::timeout(OUTPUT_AFTER_EXIT, drained).await);
        status
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    ///
    /// # Panics
    /// When it is gone already, or does not end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exit().await
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        lock(&self.output)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the failing test shows it")]
            {
                eprintln!(
                    "--- output of {} ---\n{}\n--- end ---",
                    self.name,
                    self.lines().join("\n")
                );
            }
        }
    }
}

impl Start {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes a file into the directory it will run in, and returns the file's path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a folder in the temporary directory");
        }
        std::fs::write(&path, text).expect("a file in the temporary directory");
        path
    }

    /// The directory it will run in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes its standard input the test's, for [`Program::tell`]; without, it reads nothing.
    #[must_use]
    pub fn listening_to_the_test(mut self) -> Self {
        self.input = Stdio::piped();
        self
    }

    /// Starts the program.
    ///
    /// # Panics
    /// When it cannot be started, or outside a tokio run-time.
    #[must_use]
    pub fn start(mut self) -> Program {
        self.command
            .stdin(self.input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", self.name));
        let output = Arc::new(Mutex::new(Vec::new()));
        let mut readers = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(read_lines(stdout, Arc::clone(&output)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(read_lines(stderr, Arc::clone(&output)));
        }
        Program {
            name: self.name,
            input: child.stdin.take(),
            child,
            output,
            looked: 0,
            readers,
            folder: self.folder,
        }
    }
}

async fn read_lines(stream: impl AsyncRead + Unpin, output: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(1..) = stream.read_until(b'\n', &mut line).await {
        lock(&output).push(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}

fn lock(output: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the rest of the output is awaited once the process has ended.
const OUTPUT_AFTER_EXIT: std::time::Duration = std::time::Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Start {
        Program::new("sh").args(["-c", script])
    }

    #[tokio::test]
    async fn a_line_is_found_once_and_later_lines_stay() {
        let mut program = shell("echo one; echo two; echo three").start();
        assert_eq!(program.line_with("t").await, "two");
        assert_eq!(program.line_with("t").await, "three");
        assert!(program.exit().await.success());
    }

    #[tokio::test]
    async fn lines_of_both_streams_are_kept() {
        let mut program = shell("echo out; echo err >&2").start();
        program.exit().await;
        let mut output = program.output();
        output.sort();
        assert_eq!(output, ["err", "out"]);
    }

    #[tokio::test]
    async fn it_runs_in_a_folder_of_its_own() {
        let start = shell("cat in/side; echo; echo $HOME; pwd").env("X", "1");
        start.file("in/side", "text");
        let mut program = start.start();
        assert_eq!(program.line("a file", |line| Some(line.to_owned())).await, "text");
        assert!(program.exit().await.success());
        let folder = program
            .folder()
            .canonicalize()
            .expect("the folder stands")
            .display()
            .to_string();
        assert_eq!(program.output().last(), Some(&folder));
    }

    #[tokio::test]
    async fn it_hears_what_it_is_told() {
        let mut program = shell("read word; echo heard $word")
            .listening_to_the_test()
            .start();
        program.tell("hello").await;
        assert_eq!(program.line_with("heard").await, "heard hello");
    }

    #[tokio::test]
    async fn a_signal_reaches_it() {
        let mut program =
            shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done").start();
        program.line_with("ready").await;
        assert_eq!(program.stop().await.code(), Some(7));
        assert_eq!(program.output(), ["ready", "bye"]);
    }

    #[tokio::test]
    #[should_panic(
        expected = "`never` in the output of sh: it ended without; its output was:\nsomething else"
    )]
    async fn a_line_that_can_no_longer_come_fails_with_the_output() {
        let mut program = shell("echo something else").start();
        program.line_with("never").await;
    }
}
