//! What waits for the terminal, and what is dropped when the terminal is too slow?

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits::{EVENT_QUEUE_LINES_MAX, OUTPUT_QUEUE_BYTES_MAX, OUTPUT_QUEUE_LINES_MAX};

/// Lines between those who produce them and the one thread that writes them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Signalled when there is something to write, and when the queue is closed.
    filled: Condvar,
    /// Signalled when the writer has ended.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<String>,
    lines: usize,
    line_bytes: usize,
    events: usize,
    events_dropped: usize,
    dropped: BTreeMap<Arc<str>, usize>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    Closed,
    Written,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Queues a line of a replica, or counts it as dropped.
    pub(super) fn push_line(&self, prefix: &Arc<str>, line: &str) {
        let mut state = self.lock();
        let bytes = prefix.len() + line.len();
        if state.lines >= OUTPUT_QUEUE_LINES_MAX || state.line_bytes + bytes > OUTPUT_QUEUE_BYTES_MAX {
            *state.dropped.entry(Arc::clone(prefix)).or_default() += 1;
            return;
        }
        state.lines += 1;
        state.line_bytes += bytes;
        state.waiting.push_back(format!("{prefix}{line}"));
        self.filled.notify_one();
    }

    /// Queues a line of tidegate's own, or counts it as dropped.
    pub(super) fn push_event(&self, text: &str) {
        let mut state = self.lock();
        if state.events >= EVENT_QUEUE_LINES_MAX {
            state.events_dropped += 1;
            return;
        }
        state.events += 1;
        state.waiting.push_back(text.to_owned());
        self.filled.notify_one();
    }

    /// Writes until the queue is closed and empty. A sink that fails gets nothing more.
    pub(super) fn drain_into(&self, mut sink: impl Write) {
        let mut works = true;
        while let Some(batch) = self.take() {
            works = works
                && sink
                    .write_all(batch.as_bytes())
                    .and_then(|()| sink.flush())
                    .is_ok();
        }
        self.lock().phase = Phase::Written;
        self.written.notify_all();
    }

    /// Takes no more notice of slowness: closes the queue and waits until it is written. False when time ran out.
    pub(super) fn close(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closed;
        }
        self.filled.notify_all();
        let waited = self
            .written
            .wait_timeout_while(state, patience, |state| state.phase != Phase::Written);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// All that waits, as one text; `None` at the end.
    fn take(&self) -> Option<String> {
        let open_and_empty = |state: &mut State| state.waiting.is_empty() && state.phase == Phase::Open;
        let waited = self.filled.wait_while(self.lock(), open_and_empty);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty() {
            return None;
        }
        let taken = State {
            phase: state.phase,
            ..State::default()
        };
        Some(std::mem::replace(&mut *state, taken).into_text())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn into_text(self) -> String {
        let mut text = String::with_capacity(self.waiting.iter().map(|line| line.len() + 1).sum());
        for line in self.waiting {
            text.push_str(&line);
            text.push('\n');
        }
        for (prefix, count) in self.dropped {
            text.push_str(&format!(
                "{prefix}{}: the terminal is slower than this output\n",
                Dropped(count)
            ));
        }
        if self.events_dropped > 0 {
            text.push_str(&format!(
                "{}: the terminal is too slow\n",
                Dropped(self.events_dropped)
            ));
        }
        text
    }
}

struct Dropped(usize);

impl std::fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.0 == 1 { "line" } else { "lines" };
        write!(formatter, "({} {plural} dropped)", self.0)
    }
}
