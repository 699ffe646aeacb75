//! Which file is the program that a command names?

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{Launch, LaunchError};

/// Where programs are looked for without a `PATH`, as POSIX systems do.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The file to execute. A name without a slash is looked up here and not left to the system, for two reasons: a
/// program given by its path starts without a copy of tidegate's memory map, and the error can tell what was found.
///
/// # Errors
/// When no file of that name on `PATH` may be executed.
pub(super) fn find(launch: &Launch) -> Result<PathBuf, LaunchError> {
    let name = &launch.command.program;
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = launch
        .environment
        .iter()
        .rev()
        .find(|(variable, _)| variable == "PATH");
    let path = path.map_or(DEFAULT_PATH, |(_, value)| value);
    let places = std::env::split_paths(path).map(|place| place.join(name));
    let files: Vec<PathBuf> = places
        .filter(|file| in_working_dir(launch, file).is_file())
        .collect();
    let executable = files
        .iter()
        .find(|file| access(in_working_dir(launch, file), Access::EXEC_OK).is_ok());
    match (executable, files.first()) {
        (Some(file), _) => Ok(absolute_or_here(file)),
        (None, Some(file)) => Err(LaunchError::NotExecutable(file.display().to_string())),
        (None, None) => Err(LaunchError::NotOnPath(name.clone())),
    }
}

/// A relative path counts from where the replica runs.
pub(super) fn in_working_dir(launch: &Launch, path: &Path) -> PathBuf {
    match &launch.working_dir {
        Some(directory) => directory.join(path),
        None => path.to_owned(),
    }
}

/// An entry of `PATH` may be relative or empty; the path must have a slash, or it would be looked up again.
fn absolute_or_here(file: &Path) -> PathBuf {
    if file.components().count() > 1 {
        file.to_owned()
    } else {
        Path::new(".").join(file)
    }
}
