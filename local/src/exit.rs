//! How did a replica end?

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Names of the signals that end programs, by their numbers.
const SIGNALS: [(i32, &str); 10] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (15, "SIGTERM"),
];

/// The end of a process or container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The container engine did not bring it to life; its output says why.
    NotCreated,
    /// It is gone, and the system or the container engine does not say how.
    Unknown,
}

impl Exit {
    /// The end of a container, whose engine reports a signal N as code 128 + N.
    #[must_use]
    pub fn of_container(code: i64) -> Self {
        i32::try_from(code).map_or(Self::Unknown, Self::Code)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

/// After "it …": `exited with code 3`, `was ended by SIGKILL`.
impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exited with code {code}"),
            Self::Signal(signal) => match SIGNALS.iter().find(|(number, _)| number == signal) {
                Some((_, name)) => write!(formatter, "was ended by {name}"),
                None => write!(formatter, "was ended by signal {signal}"),
            },
            Self::NotCreated => formatter.write_str("was not created"),
            Self::Unknown => formatter.write_str("ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exit: Exit, expected: &str) {
        assert_eq!(exit.to_string(), expected);
    }

    #[test]
    fn an_end_is_told_in_words() {
        check(ExitStatus::from_raw(3 << 8).into(), "exited with code 3");
        check(ExitStatus::from_raw(9).into(), "was ended by SIGKILL");
        check(ExitStatus::from_raw(60).into(), "was ended by signal 60");
        check(Exit::of_container(137), "exited with code 137");
        check(Exit::of_container(i64::MAX), "ended");
        check(Exit::NotCreated, "was not created");
    }
}
