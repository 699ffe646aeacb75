//! How do the lines of replicas and tidegate's own events share one terminal?
//!
//! Each replica's lines get the prefix `service/revision/replica | `. Whole lines only, through one bounded queue and
//! one writing thread: a slow terminal costs lines (counted, and said so), never the time of a replica or a request.

mod lines;
mod queue;
mod text;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::{OUTPUT_READ_BYTES, OUTPUT_TAIL_LINES};
use lines::Splitter;
use queue::Queue;

/// The one writer of a terminal, log file or pipe. Clones write to the same one.
#[derive(Clone, Debug)]
pub struct Terminal {
    queue: Arc<Queue>,
}

impl Terminal {
    /// Starts the thread that writes to `sink`, usually standard output.
    ///
    /// A sink that fails (a closed pipe) swallows everything from then on.
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub fn start(sink: impl io::Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue::new());
        let drained = Arc::clone(&queue);
        // Detached: it ends once the queue is closed and written, which `close` waits for.
        thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || drained.drain_into(sink))?;
        Ok(Self { queue })
    }

    /// Writes a line of tidegate's own. More than one line of text is kept together.
    pub fn event(&self, text: &str) {
        self.queue.push_event(text);
    }

    /// A writer for log libraries: what is written until it is dropped is one event.
    #[must_use]
    pub fn writer(&self) -> EventWriter {
        EventWriter {
            terminal: self.clone(),
            written: Vec::new(),
        }
    }

    /// The output of one replica; `name` stands before each of its lines.
    #[must_use]
    pub fn replica(&self, name: &impl fmt::Display) -> ReplicaOutput {
        ReplicaOutput {
            queue: Arc::clone(&self.queue),
            prefix: Arc::from(format!("{name} | ")),
            tail: Arc::default(),
        }
    }

    /// Ends the terminal: waits at most `patience` until all that was queued is written. False when time ran out.
    ///
    /// Blocks; call it as the last thing, when nothing else runs on this thread.
    #[must_use]
    pub fn close(&self, patience: Duration) -> bool {
        self.queue.close(patience)
    }
}

/// Collects what a log library writes, and hands it to the terminal as whole lines when dropped.
#[derive(Debug)]
pub struct EventWriter {
    terminal: Terminal,
    written: Vec<u8>,
}

impl io::Write for EventWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for EventWriter {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.written);
        let text = text.trim_end_matches('\n');
        if !text.is_empty() {
            self.terminal.event(text);
        }
    }
}

/// Where one replica's lines go: to the terminal, and the last of them into its memory for a message about a crash.
#[derive(Clone, Debug)]
pub struct ReplicaOutput {
    queue: Arc<Queue>,
    prefix: Arc<str>,
    tail: Arc<Mutex<VecDeque<String>>>,
}

impl ReplicaOutput {
    /// Takes one line, without its end. Control characters other than tabs and colours are left out.
    pub fn line(&self, line: &str) {
        let line = text::clean(line);
        self.queue.push_line(&self.prefix, &line);
        let mut tail = self.lock_tail();
        if tail.len() == OUTPUT_TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(text::without_colours(&line).into_owned());
    }

    /// The last lines, oldest first, at most [`OUTPUT_TAIL_LINES`], without colours.
    #[must_use]
    pub fn tail(&self) -> Vec<String> {
        self.lock_tail().iter().cloned().collect()
    }

    /// Reads lines until the end of `reader`. A line longer than
    /// [`OUTPUT_LINE_BYTES_MAX`](crate::limits::OUTPUT_LINE_BYTES_MAX) becomes several.
    ///
    /// Dropped midway, it loses the line that is not yet complete.
    pub async fn pump(&self, mut reader: impl AsyncRead + Unpin) {
        let mut lines = self.lines();
        let mut bytes = vec![0; OUTPUT_READ_BYTES];
        loop {
            // A pipe that fails has ended: the process behind it is gone.
            let count = reader.read(&mut bytes).await.unwrap_or(0);
            let Some(read @ [_, ..]) = bytes.get(..count) else {
                break;
            };
            lines.feed(read);
        }
        lines.finish();
    }

    /// A stream of this replica's bytes that become its lines.
    pub(crate) fn lines(&self) -> Lines<'_> {
        Lines {
            output: self,
            splitter: Splitter::default(),
        }
    }

    fn lock_tail(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the streams of a replica's output.
pub(crate) struct Lines<'a> {
    output: &'a ReplicaOutput,
    splitter: Splitter,
}

impl Lines<'_> {
    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.splitter.feed(bytes, |line| self.output.line(line));
    }

    /// Takes the end: what has no line feed is the last line.
    pub(crate) fn finish(self) {
        self.splitter.finish(|line| self.output.line(line));
    }
}

#[cfg(test)]
mod tests;
