//! Why `up` ended otherwise than asked, and with which exit code.

use std::fmt;
use std::io;

use tidegate_knative::Problem;
use tidegate_proxy::listener::BindError;

use crate::state::StateError;

/// The end of `up`, where it was not an orderly stop.
#[derive(Debug)]
pub enum UpError {
    /// The files hold something that is wrong.
    Objects(Vec<Problem>),
    /// An address cannot be listened on; the flag chooses another.
    Port {
        /// The flag that names the address.
        flag: &'static str,
        /// Which address, and why.
        error: BindError,
    },
    /// The domain is none.
    Domain(tidegate_controller::settings::InvalidDomain),
    /// The state directory cannot be used.
    State(StateError),
    /// The system refused something that was needed.
    Run(io::Error),
    /// The user asked a second time to stop.
    StoppedAtOnce,
}

impl UpError {
    /// The exit code of the program (sysexits where there is one).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::State(_) | Self::Run(_) => 1,
            Self::Domain(_) => 2,
            Self::Objects(_) => 65,
            Self::Port { .. } => 69,
            Self::StoppedAtOnce => 130,
        }
    }
}

impl fmt::Display for UpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects(problems) => {
                let (count, plural) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
                write!(f, "{count} problem{plural}, nothing was started")?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
            Self::Port { flag, error } => write!(f, "{error}; choose another with {flag}"),
            Self::Domain(error) => write!(f, "invalid value for '--domain': {error}"),
            Self::State(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
            Self::StoppedAtOnce => f.write_str("stopped at once, requests under way were cut"),
        }
    }
}

impl std::error::Error for UpError {}

impl From<io::Error> for UpError {
    fn from(error: io::Error) -> Self {
        Self::Run(error)
    }
}

impl From<StateError> for UpError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}
