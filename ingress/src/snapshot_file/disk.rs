//! The directory of the snapshot: ours alone, replaced whole, never half written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::format::too_large;
use crate::limits::SNAPSHOT_BYTES_MAX;

/// A directory that only this user can look into.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

/// A directory that is not used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be made or looked at.
    #[error("--snapshot-dir {}: {error}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others can look into it, and it can hold private keys.
    #[error("--snapshot-dir {}: its mode is {mode:o}, and it has to be 700: others could read private keys", .path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is somebody else's.
    #[error("--snapshot-dir {}: it belongs to user {owner}, and this is user {ours}", .path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
        /// Whose.
        owner: u32,
        /// Ours.
        ours: u32,
    },
    /// It is not a directory.
    #[error("--snapshot-dir {}: it is not a directory", .0.display())]
    NoDirectory(PathBuf),
}

impl Directory {
    /// Makes the directory if need be, and looks whether it can be trusted. One that others can look into or own, as a volume of
    /// Kubernetes is, is only where ours is made: `tidegate` in it.
    ///
    /// # Errors
    /// When there is none that is ours alone.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        match Self::ours(path) {
            Err(DirectoryError::Open { .. } | DirectoryError::Foreign { .. }) => Self::ours(&path.join(OURS)),
            opened => opened,
        }
    }

    /// This one, if it is ours alone.
    fn ours(path: &Path) -> Result<Self, DirectoryError> {
        let io = |error| DirectoryError::Io {
            path: path.to_owned(),
            error,
        };
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
        // Of the thing itself: what a link points to could change.
        let found = fs::symlink_metadata(path).map_err(io)?;
        if !found.is_dir() {
            return Err(DirectoryError::NoDirectory(path.to_owned()));
        }
        let ours = rustix::process::geteuid().as_raw();
        if found.uid() != ours {
            return Err(DirectoryError::Foreign {
                path: path.to_owned(),
                owner: found.uid(),
                ours,
            });
        }
        let mode = found.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(DirectoryError::Open {
                path: path.to_owned(),
                mode,
            });
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// What is there.
    ///
    /// # Errors
    /// When it cannot be read, or is too large.
    pub fn read(&self) -> io::Result<Option<Bytes>> {
        let file = match File::open(self.path.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(SNAPSHOT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > SNAPSHOT_BYTES_MAX) {
            return Err(too_large());
        }
        Ok(Some(bytes.into()))
    }

    /// Replaces what is there by what `write` writes, and says how long that is; after a crash either the old or the new is
    /// there.
    ///
    /// # Errors
    /// When the disk does not take it; then the old is there, or the new where only its name may not be on the disk yet.
    pub fn replace(&self, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<u64> {
        let (new, name) = (self.path.join(NEW), self.path.join(NAME));
        // What a crash has left, with whatever permissions.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        let written = write(&file).and_then(|()| {
            file.sync_all()?;
            fs::rename(&new, &name)?;
            file.metadata()
        });
        if written.is_err() {
            // It takes room and is of no use; what keeps it from going is told by the error before.
            _ = fs::remove_file(&new);
        }
        let length = written?.len();
        File::open(&self.path)?.sync_all()?;
        Ok(length)
    }
}

/// Our own directory in one that is not ours alone.
const OURS: &str = "tidegate";
const NAME: &str = "snapshot";
const NEW: &str = "snapshot.new";
