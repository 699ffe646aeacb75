//! Which objects the files hold, now and after each change.
//!
//! A path is a file, or a directory whose `*.yaml`, `*.yml` and `*.json` files count; as with `kubectl apply -f DIR`
//! its sub-directories do not. Hidden files, such as an editor's locks, are passed over. What takes effect when:
//!
//! - Files are read once they were left alone for 200 ms.
//! - A file that is broken changes nothing: what it held before stays, and the problems are told.
//! - An object goes when its file was deleted, or when a second later its file is still without it.
//! - An object that stands in two places stays as it was; both places are told.
//!
//! ```no_run
//! # async fn example() -> Result<(), Vec<tidegate_knative::Problem>> {
//! use tidegate_knative::Defaults;
//!
//! let (mut watcher, objects) = tidegate_local::files::Watcher::open(&["examples".into()], Defaults::default()).await?;
//! # drop(objects);
//! loop {
//!     let change = watcher.next().await;
//!     for problem in &change.problems {
//!         tracing::warn!("{problem}");
//!     }
//!     if let Some(objects) = change.objects {
//!         // Plan anew with all of them.
//! #       drop(objects);
//!     }
//! }
//! # }
//! ```

mod disk;
mod pause;
mod places;
mod reader;
mod source;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tidegate_knative::{Defaults, Object, Problem};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep_until;

use crate::limits::FILES_POLL;
use pause::Pause;
use reader::{Reader, Reading};
use source::ObjectSource;
use watch::{Sight, Watch};

/// Something is different from before.
#[derive(Debug, Default, PartialEq)]
pub struct Change {
    /// All objects that are in effect now; none if they are the same as before.
    pub objects: Option<Vec<Object>>,
    /// What is wrong in the files, as far as it was not told before or its file was touched since.
    pub problems: Vec<Problem>,
}

/// Reads the objects of the files at `paths` once, with `defaults` for what they leave open.
///
/// # Errors
/// Every problem of every file, by file and line. No object at all is a problem too.
pub fn read(paths: &[PathBuf], defaults: Defaults) -> Result<Vec<Object>, Vec<Problem>> {
    begin(&Reader::new(paths, defaults).read()).map(|(_, objects)| objects)
}

/// The source after a first reading, in which nothing may be wrong.
fn begin(reading: &Reading) -> Result<(ObjectSource, Vec<Object>), Vec<Problem>> {
    let mut source = ObjectSource::default();
    let Change {
        objects,
        mut problems,
    } = source.on_read(Instant::now(), reading);
    problems.extend(reading.absent.iter().cloned());
    let objects = objects.unwrap_or_default();
    if problems.is_empty() && objects.is_empty() {
        problems.extend(reading.empty.iter().cloned());
    }
    if problems.is_empty() {
        return Ok((source, objects));
    }
    sort(&mut problems);
    Err(problems)
}

fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
}

/// Follows the files at some paths.
#[derive(Debug)]
pub struct Watcher {
    reader: Arc<Mutex<Reader>>,
    watch: Watch,
    source: ObjectSource,
    pause: Pause,
    /// When to read where the system cannot tell of changes.
    poll_at: Option<Instant>,
    /// The reading that is under way.
    reading: Option<JoinHandle<Reading>>,
}

impl Watcher {
    /// Reads the objects of the files at `paths`, and follows the files from then on; `defaults` stand for what they
    /// leave open.
    ///
    /// # Errors
    /// Every problem of every file, by file and line. No object at all is a problem too.
    pub async fn open(paths: &[PathBuf], defaults: Defaults) -> Result<(Self, Vec<Object>), Vec<Problem>> {
        Self::open_with(Reader::new(paths, defaults), Watch::start()).await
    }

    async fn open_with(mut reader: Reader, mut watch: Watch) -> Result<(Self, Vec<Object>), Vec<Problem>> {
        let first = spawn_blocking(move || {
            // Watched before they are read: whatever changes later is seen.
            watch.follow(reader.places());
            let reading = reader.read();
            (reader, watch, reading)
        });
        let Ok((reader, watch, reading)) = first.await else {
            // Only when the runtime ends: then nothing waits for an answer.
            return Err(Vec::new());
        };
        let (source, objects) = begin(&reading)?;
        let mut watcher = Self {
            reader: Arc::new(Mutex::new(reader)),
            watch,
            source,
            pause: Pause::default(),
            poll_at: None,
            reading: None,
        };
        watcher.look(&reading, Instant::now());
        Ok((watcher, objects))
    }

    /// Waits until something is different from before.
    ///
    /// Cancel-safe: a future that is dropped loses nothing.
    pub async fn next(&mut self) -> Change {
        loop {
            if self.reading.is_none() {
                self.wait().await;
                self.pause = Pause::default();
                let reader = Arc::clone(&self.reader);
                let read = move || reader.lock().unwrap_or_else(PoisonError::into_inner).read();
                self.reading = Some(spawn_blocking(read));
            }
            let Some(reading) = &mut self.reading else {
                continue;
            };
            let read = reading.await;
            self.reading = None;
            let now = Instant::now();
            match read {
                Ok(reading) => {
                    self.look(&reading, now);
                    let change = self.source.on_read(now, &reading);
                    if change != Change::default() {
                        return change;
                    }
                }
                Err(_stopped) => self.poll_at = Some(now + FILES_POLL),
            }
        }
    }

    /// Watches what this reading came from.
    fn look(&mut self, reading: &Reading, now: Instant) {
        let sight = self.watch.follow(reading.places.clone());
        self.poll_at = (sight == Sight::Blind).then(|| now + FILES_POLL);
        if sight == Sight::Widened {
            // What changed before the new places were watched was not seen.
            self.pause.touch(now);
        }
    }

    /// Waits until the files should be read. Cancel-safe: all times are kept.
    async fn wait(&mut self) {
        loop {
            let times = [self.poll_at, self.pause.due(), self.source.recheck_at()];
            let wake = times.into_iter().flatten().min();
            let alarm = async {
                match wake {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.watch.touched() => self.pause.touch(Instant::now()),
                () = alarm => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
