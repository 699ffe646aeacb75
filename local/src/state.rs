//! What `up` remembers from one run to the next, and where: a directory that one run has at a time.
//!
//! It holds `state.json` (the controller's state, with a format version and a checksum), `instance` (the id of the
//! last run, to find what it left behind) and `lock`. The directory is made with mode 0700, the files with 0600:
//! templates may hold secrets. A damaged file never stops the services: it is kept aside as
//! `state.json.corrupt-SECONDS`, a line says so, and numbering begins anew.

mod document;
mod place;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_controller::State;

use crate::instance::Instance;
use crate::names::{STATE_FILE, STATE_INSTANCE_FILE, STATE_LOCK_FILE};
use crate::output::Terminal;
use document::Damage;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Neither an option nor the environment says where.
    #[error("no place to keep state: set HOME or XDG_STATE_HOME, or name a directory with --state-dir")]
    NoPlace,
    /// Another run has it.
    #[error(
        "state directory {} is in use by another tidegate{}: end it, or name another directory with --state-dir",
        .directory.display(), process(*.holder)
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The other run's process id, if it can be told.
        holder: Option<u32>,
    },
    /// The system refused something.
    #[error("cannot {action} {}: {source} (--state-dir names another directory)", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The state directory of this run. It is free for another run when this is dropped, or the process ends.
#[derive(Debug)]
pub struct StateDir {
    directory: PathBuf,
    stored: State,
    _lock: File,
}

impl StateDir {
    /// Opens `directory`, or else the one in the user's state directory that belongs to `paths`
    /// (`$XDG_STATE_HOME/tidegate/HASH`, by default `~/.local/state`; on macOS `~/Library/Application Support`).
    /// Makes it where it is not there. The terminal is told if what was stored is damaged.
    ///
    /// # Errors
    /// When another run has the directory, or the system refuses it.
    pub fn open(
        directory: Option<&Path>,
        paths: &[PathBuf],
        terminal: &Terminal,
    ) -> Result<Self, StateError> {
        let directory = match directory {
            Some(directory) => directory.to_owned(),
            None => place::home().ok_or(StateError::NoPlace)?.join(place::key(paths)),
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(refused("make the state directory", &directory))?;
        let lock = lock(&directory)?;
        let stored = load(&directory.join(STATE_FILE), terminal)?;
        Ok(Self {
            directory,
            stored,
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What was stored when the directory was opened; the default where there was nothing.
    #[must_use]
    pub fn stored(&self) -> &State {
        &self.stored
    }

    /// Stores `state` for the next run. A crash leaves either the old or the new one.
    ///
    /// Waits for the disk.
    ///
    /// # Errors
    /// When the system refuses; what was stored before is still there.
    pub fn save(&self, state: &State) -> Result<(), StateError> {
        let path = self.directory.join(STATE_FILE);
        let bytes = document::encode(state)
            .map_err(io::Error::from)
            .map_err(refused("write", &path))?;
        write(&path, &bytes)
    }

    /// Notes the id of this run, and returns that of the run before: what still carries it was left behind.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn begin_instance(&self, instance: &Instance) -> Result<Option<Instance>, StateError> {
        let path = self.directory.join(STATE_INSTANCE_FILE);
        let earlier = read(&path)?.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok());
        write(&path, instance.as_str().as_bytes())?;
        Ok(earlier)
    }
}

fn lock(directory: &Path) -> Result<File, StateError> {
    let path = directory.join(STATE_LOCK_FILE);
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let mut file = opened.map_err(refused("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let holder = file
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(StateError::InUse {
                directory: directory.to_owned(),
                holder,
            });
        }
        Err(TryLockError::Error(error)) => return Err(refused("lock", &path)(error)),
    }
    let noted = file
        .set_len(0)
        .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
    noted.map_err(refused("write", &path))?;
    Ok(file)
}

/// The stored state. One that cannot be used is set aside.
fn load(path: &Path, terminal: &Terminal) -> Result<State, StateError> {
    let Some(bytes) = read(path)? else {
        return Ok(State::default());
    };
    match document::decode(&bytes) {
        Ok(state) => Ok(state),
        Err(damage) => {
            let aside = set_aside(path)?;
            terminal.event(&lost(path, &damage, &aside));
            Ok(State::default())
        }
    }
}

fn set_aside(path: &Path) -> Result<PathBuf, StateError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".corrupt-{}", now.as_secs()));
    let aside = PathBuf::from(aside);
    std::fs::rename(path, &aside).map_err(refused("set aside", path))?;
    Ok(aside)
}

fn lost(path: &Path, damage: &Damage, aside: &Path) -> String {
    let (path, aside) = (path.display(), aside.display());
    format!(
        "the stored state {path} {damage}; it is kept as {aside}, and revisions are numbered from 00001 again"
    )
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused("read", path)(error)),
    }
}

/// Replaces a file at once: beside it first, down to the disk, then over it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let beside = path.with_extension("tmp");
    let written = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        // The new name is as durable as the file only when the directory is on the disk too.
        path.parent()
            .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    written().map_err(refused("write", path))
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io { action, path, source }
}

fn process(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |id| format!(" (process {id})"))
}

#[cfg(test)]
mod tests;
