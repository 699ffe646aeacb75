//! How does a program write lines without holding up who has them to tell?
//!
//! A thread of its own writes them, several at once where they come fast: to wake it costs more than a line. So many may wait for it,
//! of at most [`LINES_WAITING_BYTES_MAX`] together, and what comes beyond that is lost and counted.
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
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::config::limits::{LINES_BATCH_BYTES, LINES_LINGER, LINES_WAITING_BYTES_MAX};
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
    state: Arc<State>,
    lost: AtomicU64,
}

/// What both sides know.
#[derive(Debug, Default)]
struct State {
    /// The writer rests.
    is_idle: AtomicBool,
    /// Of the lines that wait.
    bytes: AtomicUsize,
}

/// What the writing thread is told.
enum Line {
    Text(String),
    /// Everything before has to be written; then this is called.
    Flush(Box<dyn FnOnce() + Send>),
}

impl Lines {
    /// To standard output, by a thread of this name; at most so many wait.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn to_stdout(name: &str, waiting_max: usize) -> io::Result<Self> {
        Self::to(name, waiting_max, |batch| {
            let mut out = io::stdout();
            // Where nobody reads any more, there is nobody to tell.
            drop(out.write_all(batch.as_bytes()).and_then(|()| out.flush()));
        })
    }

    fn to(name: &str, waiting_max: usize, put: impl FnMut(&str) + Send + 'static) -> io::Result<Self> {
        let (waiting, lines) = sync_channel(waiting_max);
        let state = Arc::<State>::default();
        let of_writer = Arc::clone(&state);
        let thread = process::start_thread(name, move || write(&lines, &of_writer, put))?;
        Ok(Self {
            shared: Arc::new(Shared {
                waiting: Some(waiting),
                writer: thread.thread().clone(),
                state,
                lost: AtomicU64::new(0),
            }),
        })
    }

    /// Writes this text soon; it has its own line end, and stays in one piece.
    pub fn say(&self, line: String) {
        let (bytes, waiting) = (line.len(), &self.shared.state.bytes);
        let before = waiting.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= LINES_WAITING_BYTES_MAX;
        if !fits || self.shared.send(Line::Text(line)).is_err() {
            waiting.fetch_sub(bytes, Ordering::Relaxed);
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
        let deadline = Instant::now() + at_most;
        let left = || deadline.saturating_duration_since(Instant::now());
        let (tell, written) = sync_channel(1);
        // Who asked may have left.
        let mut flush = Line::Flush(Box::new(move || {
            _ = tell.try_send(());
        }));
        while let Err(full) = self.shared.send(flush) {
            if left().is_zero() {
                return;
            }
            flush = full;
            thread::park_timeout(LINES_LINGER);
        }
        // Written or not, nobody waits longer.
        _ = written.recv_timeout(left());
    }

    /// [`Lines::flush`] that holds up no thread.
    pub(crate) async fn flushed(&self, at_most: Duration) {
        let (tell, written) = oneshot::channel();
        let mut flush = Line::Flush(Box::new(move || {
            _ = tell.send(());
        }));
        let waiting = async {
            while let Err(full) = self.shared.send(flush) {
                flush = full;
                tokio::time::sleep(LINES_LINGER).await;
            }
            _ = written.await;
        };
        _ = tokio::time::timeout(at_most, waiting).await;
    }
}

impl Shared {
    /// Gives the line back where too many wait.
    fn send(&self, line: Line) -> Result<(), Line> {
        let sent = match &self.waiting {
            Some(waiting) => waiting.try_send(line).map_err(|error| match error {
                TrySendError::Full(line) | TrySendError::Disconnected(line) => line,
            }),
            None => Err(line),
        };
        // Either the writer sees the line before it rests, or this sees that it rests.
        fence(Ordering::SeqCst);
        let is_idle = &self.state.is_idle;
        if is_idle.load(Ordering::Relaxed) && is_idle.swap(false, Ordering::Relaxed) {
            self.writer.unpark();
        }
        sent
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.waiting = None;
        self.writer.unpark();
    }
}

/// The writing thread: ends with the last clone.
fn write(lines: &Receiver<Line>, state: &State, mut put: impl FnMut(&str)) {
    let is_idle = &state.is_idle;
    let mut batch = String::new();
    let mut empty = |batch: &mut String| {
        put(batch);
        batch.clear();
    };
    loop {
        match lines.try_recv() {
            Ok(Line::Text(line)) => {
                state.bytes.fetch_sub(line.len(), Ordering::Relaxed);
                batch.push_str(&line);
                if batch.len() >= LINES_BATCH_BYTES {
                    empty(&mut batch);
                }
            }
            Ok(Line::Flush(written)) => {
                empty(&mut batch);
                written();
            }
            Err(TryRecvError::Disconnected) => return empty(&mut batch),
            Err(TryRecvError::Empty) if !batch.is_empty() => {
                empty(&mut batch);
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// Lines whose writer says that it writes, and goes on when it is let.
    fn held(waiting_max: usize) -> (Lines, Receiver<String>, mpsc::Sender<()>) {
        let (put, written) = mpsc::channel();
        let (let_go, go) = mpsc::channel();
        let lines = Lines::to("held", waiting_max, move |batch| {
            if !batch.is_empty() {
                put.send(batch.to_owned()).unwrap();
                _ = go.recv();
            }
        });
        (lines.unwrap(), written, let_go)
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let (lines, written, let_go) = held(100);
        lines.say("first\n".to_owned());
        assert_eq!(written.recv_timeout(LONG).unwrap(), "first\n");
        lines.say("a".repeat(LINES_WAITING_BYTES_MAX));
        lines.say("b".to_owned());
        assert_eq!(lines.lost(), 1);
        drop(let_go);
        assert_eq!(written.recv_timeout(LONG).unwrap().len(), LINES_WAITING_BYTES_MAX);
        lines.say("c".to_owned());
        lines.flush(LONG);
        assert_eq!(
            (written.recv_timeout(LONG).unwrap().as_str(), lines.lost()),
            ("c", 1)
        );
    }

    #[test]
    fn a_flush_waits_for_a_place_too() {
        let (lines, written, let_go) = held(1);
        lines.say("first\n".to_owned());
        written.recv_timeout(LONG).unwrap();
        lines.say("second\n".to_owned());
        let flushing = lines.clone();
        let flush = thread::spawn(move || flushing.flush(LONG));
        drop(let_go);
        flush.join().unwrap();
        assert_eq!(written.try_recv().unwrap(), "second\n");
    }
}
