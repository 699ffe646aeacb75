//! How does a program write lines without holding up who has them to tell?
//!
//! A thread of its own writes them; so many may wait for it, and what comes beyond that is lost and counted.
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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::process;

/// Where lines go. Clones write to the same place.
#[derive(Clone, Debug)]
pub struct Lines {
    waiting: SyncSender<Line>,
    lost: Arc<AtomicU64>,
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
        process::start_thread(name, move || write(&lines))?;
        Ok(Self {
            waiting,
            lost: Arc::default(),
        })
    }

    /// Writes this text soon, in one piece; it has its own line end.
    pub fn say(&self, line: String) {
        if self.waiting.try_send(Line::Text(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines found no room.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was said is written, for a while. Blocks the thread.
    pub fn flush(&self, at_most: Duration) {
        let (tell, written) = sync_channel(1);
        if self.waiting.try_send(Line::Flush(tell)).is_ok() {
            // Written or not, nobody waits longer.
            _ = written.recv_timeout(at_most);
        }
    }
}

/// The writing thread: ends with the last clone.
fn write(lines: &Receiver<Line>) {
    let mut out = io::stdout();
    while let Ok(line) = lines.recv() {
        match line {
            // Where nobody reads any more, there is nobody to tell.
            Line::Text(line) => drop(out.write_all(line.as_bytes()).and_then(|()| out.flush())),
            Line::Flush(written) => drop(written.send(())),
        }
    }
}
