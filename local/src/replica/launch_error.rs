//! Why can a replica's process not be started, and what can the developer do about it?

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Launch;

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// `workingDir` is missing, or is no directory.
    #[error("workingDir {} is no directory: create it or correct the path", .0.display())]
    WorkingDirMissing(PathBuf),
    /// A program given by its bare name is nowhere on `PATH`.
    #[error("{0} not found: is it installed and on PATH?")]
    NotOnPath(String),
    /// A program given by a path is not there.
    #[error("{} not found: is it built, and is the path right?", .0.display())]
    NotThere(PathBuf),
    /// The program is there; the interpreter of a script, or the loader of a binary, is not.
    #[error(
        "{0} exists, but what it needs to start does not: see its first line (#!) or, for a binary, its loader"
    )]
    InterpreterMissing(String),
    /// The program may not be executed.
    #[error("{0} is not executable: is it a program, and did it get chmod +x?")]
    NotExecutable(String),
    /// The program is made for another kind of machine, or is a script without a first line that says how to run it.
    #[error(
        "{0} is no program for this machine: is it a script without #! line, or built for another system?"
    )]
    WrongFormat(String),
    /// Somebody writes to the program's file.
    #[error("{0} is being written: is a build still running?")]
    BeingWritten(String),
    /// The process ended before its id could be read.
    #[error("the process was gone as soon as it was started: try again")]
    AlreadyGone,
    /// Anything else that the system refuses.
    #[error("{program} cannot be started: {error}")]
    Refused {
        /// The program.
        program: String,
        /// What the system says.
        error: io::Error,
    },
}

impl LaunchError {
    /// Finds out what the system's short answer means.
    pub(super) fn explain(launch: &Launch, error: io::Error) -> Self {
        let program = launch.command.program.clone();
        if let Some(missing) = launch
            .working_dir
            .as_deref()
            .filter(|directory| !directory.is_dir())
        {
            return Self::WorkingDirMissing(missing.to_owned());
        }
        match error.kind() {
            io::ErrorKind::NotFound => match locate(launch) {
                Located::There => Self::InterpreterMissing(program),
                Located::NotThere(path) => Self::NotThere(path),
                Located::NotOnPath => Self::NotOnPath(program),
            },
            io::ErrorKind::PermissionDenied => Self::NotExecutable(program),
            io::ErrorKind::ExecutableFileBusy => Self::BeingWritten(program),
            _ if Errno::from_io_error(&error) == Some(Errno::NOEXEC) => Self::WrongFormat(program),
            _ => Self::Refused { program, error },
        }
    }
}

enum Located {
    There,
    NotThere(PathBuf),
    NotOnPath,
}

fn locate(launch: &Launch) -> Located {
    let program = Path::new(&launch.command.program);
    let in_working_dir = |path: &Path| match &launch.working_dir {
        Some(directory) => directory.join(path),
        None => path.to_owned(),
    };
    if launch.command.program.contains('/') {
        let path = in_working_dir(program);
        return if path.exists() {
            Located::There
        } else {
            Located::NotThere(path)
        };
    }
    let path = launch
        .environment
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value);
    let mut places = path.into_iter().flat_map(std::env::split_paths);
    if places.any(|place| in_working_dir(&place).join(program).is_file()) {
        Located::There
    } else {
        Located::NotOnPath
    }
}
