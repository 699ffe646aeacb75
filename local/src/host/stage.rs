//! What surroundings do tests give a replica? A guardian that only listens, and a terminal whose lines the test reads.

use std::io;
use std::time::Duration;

use tidegate_proxy::drain::{self, Drain};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Host;
use crate::guardian::{Guardian, GuardianProgram, GuardianTask};
use crate::instance::Instance;
use crate::output::Terminal;
use crate::ports::Ports;

/// Longer than anything takes that the tests wait for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A host, and what a test sees of it.
pub(crate) struct Stage {
    pub(crate) host: Host,
    lines: mpsc::UnboundedReceiver<String>,
    drain: Drain,
    guardian: GuardianTask,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let (drain, tasks) = Drain::new();
        let instance = Instance::generate();
        let (guardian, task) = listener(&instance, &tasks);
        let (lines, written) = mpsc::unbounded_channel();
        let terminal = Terminal::start(Screen {
            lines,
            unfinished: Vec::new(),
        })
        .expect("a thread");
        let host = Host {
            instance,
            guardian,
            terminal,
            ports: Ports::new(),
            tasks,
        };
        Self {
            host,
            lines: written,
            drain,
            guardian: task,
        }
    }

    /// Waits for a line that ends like this; returns it.
    pub(crate) async fn line(&mut self, end: &str) -> String {
        let found = async {
            loop {
                match self.lines.recv().await {
                    Some(line) if line.ends_with(end) => return line,
                    Some(_) => {}
                    None => panic!("the terminal ended before {end:?} was written"),
                }
            }
        };
        timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("no line ends with {end:?}"))
    }

    /// Ends in order; every task must have ended.
    pub(crate) async fn close(self) {
        self.guardian.finish().await;
        assert_eq!(self.drain.finish(PATIENCE).await, drain::Outcome { forced: 0 });
    }
}

/// In place of a guardian: a shell that reads its pipe to the end.
fn listener(instance: &Instance, tasks: &drain::Watch) -> (Guardian, GuardianTask) {
    let program = GuardianProgram {
        path: "sh".into(),
        arguments: vec!["-c".into(), "while read line; do :; done".into()],
    };
    Guardian::start(instance.clone(), program, tasks).expect("sh starts")
}

struct Screen {
    lines: mpsc::UnboundedSender<String>,
    unfinished: Vec<u8>,
}

impl io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unfinished.extend_from_slice(bytes);
        while let Some(end) = self.unfinished.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unfinished.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.lines.send(line).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
