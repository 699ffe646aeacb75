//! What went wrong with the container engine, and what can the developer do about it?

/// Why the container engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No engine answers.
    #[error(
        "no container engine answers: start Docker or Podman (or set DOCKER_HOST), or run the image as a process with \
         --run IMAGE=COMMAND (tried {})", .tried.join("; ")
    )]
    NoEngine {
        /// Each address and what came of it.
        tried: Vec<String>,
    },
    /// The engine takes the connection and says nothing.
    #[error("it does not answer: is it hung?")]
    Silent,
    /// The image is neither here nor to be had.
    #[error("image {image} cannot be pulled: {message}: try `docker pull {image}`, or --run {image}=COMMAND")]
    Pull {
        /// The image.
        image: String,
        /// What the engine says.
        message: String,
    },
    /// The image is not here, and the file forbids to pull it.
    #[error("image {0} is not here and imagePullPolicy is Never: build it, or change the policy")]
    ImageMissing(String),
    /// The container runs, and its port is published nowhere.
    #[error(
        "the container engine published no port for {0}: does the container run in a network of its own?"
    )]
    NotPublished(String),
    /// Anything else that the engine refuses.
    #[error("the container engine refused {what}: {message}")]
    Refused {
        /// What it was asked for.
        what: &'static str,
        /// What it says.
        message: String,
    },
}

impl EngineError {
    pub(super) fn refused(what: &'static str, error: bollard::errors::Error) -> Self {
        Self::Refused {
            what,
            message: message(error),
        }
    }
}

/// The engine's own words where there are some.
pub(super) fn message(error: bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message,
        bollard::errors::Error::DockerStreamError { error } => error,
        other => other.to_string(),
    }
}

pub(super) fn is_not_found(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }
    )
}
