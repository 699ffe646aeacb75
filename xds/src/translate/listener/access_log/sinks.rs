//! Which files do access logs write to, so that two of one name share it?

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tidegate_proxy::observe::access_log::{FileSink, Target};

/// The files that access logs write to. A clone shares them. A file that no log writes to any more is closed.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    open: Arc<Mutex<HashMap<PathBuf, Weak<FileSink>>>>,
}

impl Sinks {
    /// The file of this name, opened unless it is open.
    ///
    /// # Errors
    /// As [`FileSink::open`].
    pub fn open(&self, target: &Target) -> io::Result<Arc<FileSink>> {
        let key = match target {
            Target::Stdout => PathBuf::from("/dev/stdout"),
            Target::Stderr => PathBuf::from("/dev/stderr"),
            Target::File(path) => path.clone(),
        };
        let mut open = self.lock();
        if let Some(sink) = open.get(&key).and_then(Weak::upgrade) {
            return Ok(sink);
        }
        let sink = Arc::new(FileSink::open(target.clone())?);
        open.retain(|_, sink| sink.strong_count() > 0);
        open.insert(key, Arc::downgrade(&sink));
        Ok(sink)
    }

    /// All that are open, to be opened anew after their files were renamed, or closed before the process ends.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<FileSink>> {
        self.lock().values().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Weak<FileSink>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
