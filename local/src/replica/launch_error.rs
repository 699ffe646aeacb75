//! Why can a replica's process not be started, and what can the developer do about it?

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Launch;
use super::program::in_working_dir;

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
    pub(super) fn explain(launch: &Launch, program: &Path, error: io::Error) -> Self {
        let name = launch.command.program.clone();
        match error.kind() {
            io::ErrorKind::NotFound => {
                let file = in_working_dir(launch, program);
                if file.exists() {
                    Self::InterpreterMissing(name)
                } else {
                    Self::NotThere(file)
                }
            }
            io::ErrorKind::PermissionDenied => Self::NotExecutable(name),
            io::ErrorKind::ExecutableFileBusy => Self::BeingWritten(name),
            _ if Errno::from_io_error(&error) == Some(Errno::NOEXEC) => Self::WrongFormat(name),
            _ => Self::Refused { program: name, error },
        }
    }
}
