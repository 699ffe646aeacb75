//! How does a program write lines without holding up who has them to tell?
//!
//! A thread of its own writes them, several at once where they come fast: to wake it costs more than a line. So many may wait for it,
//! and what comes beyond that is lost and counted.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_proxy::observe::lines::Lines;
//!
//! let lines = Lines::to_stdout("example-log", 1000)?;
//! lines.say("hello\n".to_owned());
//! lines.flush(Duration::from_secs(10));
//! assert_eq!(lines.lost(), 0);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::config::limits::{LINES_BATCH_BYTES, LINES_LINGER};
use crate::process;

/// Where lines go. Clones write to the same place.
#[derive(Clone, Debug)]
pub struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// None once the last clone goes.
    waiting: Option<SyncSender<Line>>,
    writer: Thread,
    is_idle: Arc<AtomicBool>,
    lost: AtomicU64,
}

/// What the writing thread is told.
#[derive(Debug)]
enum Line {
    Text(String),
    /// Everything before has to be written.
    Flush(SyncSender<()>),
}

impl Lines {
    /// To standard output, by a thread of this name; at most so many wait.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn to_stdout(name: &str, waiting_max: usize) -> io::Result<Self> {
        let (waiting, lines) = sync_channel(waiting_max);
        let is_idle = Arc::new(AtomicBool::new(false));
        let idle = Arc::clone(&is_idle);
        let thread = process::start_thread(name, move || write(&lines, &idle))?;
        Ok(Self {
            shared: Arc::new(Shared {
                waiting: Some(waiting),
                writer: thread.thread().clone(),
                is_idle,
                lost: AtomicU64::new(0),
            }),
        })
    }

    /// Writes this text soon; it has its own line end, and stays in one piece.
    pub fn say(&self, line: String) {
        if !self.shared.send(Line::Text(line)) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines found no room.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was said is written, for a while. Blocks the thread.
    pub fn flush(&self, at_most: Duration) {
        let (tell, written) = sync_channel(1);
        if self.shared.send(Line::Flush(tell)) {
            // Written or not, nobody waits longer.
            _ = written.recv_timeout(at_most);
        }
    }
}

impl Shared {
    fn send(&self, line: Line) -> bool {
        let is_sent = self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.try_send(line).is_ok());
        // Either the writer sees the line before it rests, or this sees that it rests.
        fence(Ordering::SeqCst);
        if self.is_idle.load(Ordering::Relaxed) && self.is_idle.swap(false, Ordering::Relaxed) {
            self.writer.unpark();
        }
        is_sent
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.waiting = None;
        self.writer.unpark();
    }
}

/// The writing thread: ends with the last clone.
fn write(lines: &Receiver<Line>, is_idle: &AtomicBool) {
    let mut batch = String::new();
    loop {
        match lines.try_recv() {
            Ok(Line::Text(line)) => {
                batch.push_str(&line);
                if batch.len() >= LINES_BATCH_BYTES {
                    put(&mut batch);
                }
            }
            Ok(Line::Flush(written)) => {
                put(&mut batch);
                // Who asked may have left.
                _ = written.try_send(());
            }
            Err(TryRecvError::Disconnected) => return put(&mut batch),
            Err(TryRecvError::Empty) if !batch.is_empty() => {
                put(&mut batch);
                // What comes meanwhile wakes nobody.
                thread::park_timeout(LINES_LINGER);
            }
            Err(TryRecvError::Empty) => {
                if is_idle.swap(true, Ordering::Relaxed) {
                    thread::park();
                    is_idle.store(false, Ordering::Relaxed);
                }
                // What came before that was known is looked for once more.
                fence(Ordering::SeqCst);
            }
        }
    }
}

fn put(batch: &mut String) {
    let mut out = io::stdout();
    // Where nobody reads any more, there is nobody to tell.
    drop(out.write_all(batch.as_bytes()).and_then(|()| out.flush()));
    batch.clear();
}
