//! How do lines reach a file, without traffic ever waiting for the disk?

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use metrics::counter;

use super::Sink;
use crate::config::limits;
use crate::observe::metrics::{ACCESS_LOG_DROPPED, ACCESS_LOG_LINES};
use crate::process;

/// Where a [`FileSink`] writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The standard output of the process.
    Stdout,
    /// The standard error output of the process.
    Stderr,
    /// A file, which is made if it is not there and appended to if it is.
    File(PathBuf),
}

/// Lines go through a bounded queue to a thread that writes them. What the queue has no room for is dropped and counted; so is
/// what cannot be written.
///
/// Dropping it waits for nothing: the thread writes what is in the queue and ends, if the process lasts that long.
/// [`FileSink::close`] waits for that.
pub struct FileSink {
    lines: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    queued_bytes: AtomicUsize,
    dropped: AtomicU64,
    reopen: AtomicBool,
    closed: AtomicBool,
}

impl FileSink {
    /// Opens `target` and starts its thread.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or the system refuses a thread.
    pub fn open(target: Target) -> io::Result<Self> {
        let output = open(&target)?;
        let (lines, queue) = sync_channel(limits::ACCESS_LOG_QUEUE_LINES);
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            output,
            target,
            shared: Arc::clone(&shared),
        };
        let writer = process::start_thread("access-log", move || writer.run(&queue))?;
        Ok(Self {
            lines,
            shared,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Opens the file anew before the next line: to be called after it was renamed (logrotate). Where that fails, the old one
    /// is written on.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
    }

    /// Waits until every line so far is written; later ones are dropped. To be called before the process ends. It blocks for as
    /// long as the disk takes, so never on a thread that carries traffic.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        // Behind all others. Where nobody takes it, the thread has ended already.
        _ = self.lines.send(END.to_vec());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::warn!("the writer of an access log has panicked");
        }
    }

    /// How many lines were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Sink for FileSink {
    fn write(&self, line: Vec<u8>) {
        if line == END {
            return;
        }
        let bytes = line.len();
        let queued = self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = queued.saturating_add(bytes) <= limits::ACCESS_LOG_QUEUE_BYTES;
        let open = fits && !self.shared.closed.load(Ordering::Acquire);
        let sent = open && self.lines.try_send(line).is_ok();
        if !sent {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.drop_lines(1);
        }
    }
}

impl Shared {
    fn drop_lines(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
        counter!(ACCESS_LOG_DROPPED).increment(count);
    }
}

impl fmt::Debug for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSink")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// What the thread takes for the end: there is nothing of it to write.
const END: &[u8] = b"";

/// The thread's side.
struct Writer {
    output: Box<dyn Write + Send>,
    target: Target,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Vec<u8>>) {
        while let Ok(first) = queue.recv() {
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            // Whatever has come meanwhile goes out in one write.
            let (mut lines, mut last) = (0, false);
            let mut written = Ok(());
            for line in std::iter::once(first).chain(queue.try_iter().take(limits::ACCESS_LOG_QUEUE_LINES)) {
                self.shared.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                written = written.and_then(|()| self.output.write_all(&line));
                last |= line == END;
                lines += u64::from(line != END);
            }
            match written.and_then(|()| self.output.flush()) {
                Ok(()) => counter!(ACCESS_LOG_LINES).increment(lines),
                Err(error) => {
                    tracing::debug!(%error, target = ?self.target, "access log lines could not be written");
                    self.shared.drop_lines(lines);
                }
            }
            if last {
                return;
            }
        }
    }

    fn reopen(&mut self) {
        match open(&self.target) {
            Ok(output) => self.output = output,
            Err(error) => tracing::warn!(%error, target = ?self.target, "an access log cannot be reopened"),
        }
    }
}

fn open(target: &Target) -> io::Result<Box<dyn Write + Send>> {
    Ok(match target {
        Target::Stdout => Box::new(BufWriter::new(io::stdout())),
        Target::Stderr => Box::new(BufWriter::new(io::stderr())),
        Target::File(path) => Box::new(BufWriter::new(append(path)?)),
    })
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
