//! What a person chooses about `up`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_knative::autoscaling::AutoscalerConfig;
use tidegate_knative::{Defaults, ImageRule};

use crate::address::ListenAddress;
use crate::launch::RunMapping;

/// The flags of `tidegate up`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Files and directories with objects.
    pub paths: Vec<PathBuf>,
    /// Where services answer. Default: `localhost:8080`.
    pub http: ListenAddress,
    /// Where the admin endpoints answer. Default: `127.0.0.1:9901`.
    pub admin: SocketAddr,
    /// The domain of the services' URLs. Default: `localhost`.
    pub domain: String,
    /// Where state is kept. Default: in the user's state directory, keyed by `paths`.
    pub state_dir: Option<PathBuf>,
    /// Commands that stand in for images.
    pub run: Vec<RunMapping>,
    /// How long requests may take once it is asked to stop. Default: 10 s.
    pub drain_timeout: Duration,
    /// How many threads carry traffic. Default: one for each core.
    pub workers: NonZeroUsize,
    /// `config-autoscaler`.
    pub autoscaler: AutoscalerConfig,
}

impl Settings {
    /// What objects are read with: Knative's defaults, except that a command can do without an image.
    pub(crate) fn defaults(&self) -> Defaults {
        let autoscaler = self.autoscaler.clone();
        Defaults {
            image: ImageRule::UnlessCommand,
            autoscaler,
            ..Defaults::default()
        }
    }
}
