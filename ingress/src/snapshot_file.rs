//! The last good configuration on disk: what outlives a restart without a control plane.
//!
//! It can hold private keys, so the directory belongs to this user alone, and it serves only whom it was made for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tidegate_xds::resource::{Kind, Update};
use tidegate_xds::store::view::{Accepted, View};
use tokio::sync::watch;

mod disk;
pub mod format;

pub use disk::{Directory, DirectoryError};
use format::Owner;

use crate::limits::SNAPSHOT_DELAY;

/// Where and how the configuration is kept (`--snapshot-dir`).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory.
    pub directory: PathBuf,
    /// Whose configuration it is: another's is refused.
    pub owner: Owner,
    /// Whether secrets are kept (`--snapshot-secrets`).
    pub secrets: Secrets,
    /// How old it may be when it is read (`--snapshot-max-age`).
    pub max_age: Duration,
}

/// Whether secrets are written to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// They are.
    #[default]
    Kept,
    /// Those that come by SDS are not; what has a key inline is left out with it.
    Omitted,
}

/// Why a snapshot is not used. None of it keeps the program from starting.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// It is not what was written.
    #[error(transparent)]
    Corrupt(#[from] format::Corrupt),
    /// It was made for somebody else.
    #[error("it is of node '{}' in cluster '{}'", .0.node, .0.cluster)]
    Foreign(Owner),
    /// It is too old: addresses in it may be others' by now.
    #[error("it is {} s old, and --snapshot-max-age is {} s", .age.as_secs(), .max.as_secs())]
    TooOld {
        /// How old it is.
        age: Duration,
        /// How old it may be.
        max: Duration,
    },
    /// It is of a time to come.
    #[error("it is of a time to come: is the clock right?")]
    FromTheFuture,
}

/// Reads what was written last; none where nothing was.
///
/// # Errors
/// When what is there is not to be used.
pub fn load(
    directory: &Directory,
    settings: &Settings,
    now: SystemTime,
) -> Result<Option<Vec<Update>>, Refused> {
    let Some(bytes) = directory.read()? else {
        return Ok(None);
    };
    let saved = format::parse(&bytes)?;
    if saved.owner != settings.owner {
        return Err(Refused::Foreign(saved.owner));
    }
    let age = now.duration_since(saved.written);
    let age = age.or_else(|ahead| {
        (ahead.duration() <= CLOCK_SKEW)
            .then_some(Duration::ZERO)
            .ok_or(ahead)
    });
    let age = age.map_err(|_ahead| Refused::FromTheFuture)?;
    if age > settings.max_age {
        return Err(Refused::TooOld {
            age,
            max: settings.max_age,
        });
    }
    Ok(Some(saved.updates))
}

/// Writes what `view` has accepted, a moment after it changed, until nobody tells of changes any more.
pub async fn keep(
    directory: Directory,
    settings: Settings,
    view: Arc<ArcSwap<View>>,
    mut changes: watch::Receiver<u64>,
) {
    while changes.changed().await.is_ok() {
        tokio::time::sleep(SNAPSHOT_DELAY).await;
        changes.mark_unchanged();
        let mut accepted = view.load().accepted();
        settings.secrets.leave_out(&mut accepted);
        // The thread is this task's own: nobody else waits for the disk.
        let written =
            directory.replace(|file| format::write(file, &settings.owner, SystemTime::now(), &accepted));
        match written {
            Ok(bytes) => tracing::debug!(bytes, "the configuration is on disk"),
            Err(error) => tracing::warn!(%error, "the configuration could not be written to disk"),
        }
    }
}

impl Secrets {
    fn leave_out(self, accepted: &mut Vec<Accepted>) {
        if self == Self::Omitted {
            accepted.retain(|accepted| accepted.kind != Kind::Secret);
            for accepted in accepted {
                // A key in PEM says so, wherever it is.
                accepted.resources.retain(|kept| !holds_key(&kept.body()));
            }
        }
    }
}

fn holds_key(body: &[u8]) -> bool {
    body.windows(PRIVATE_KEY.len())
        .any(|window| window == PRIVATE_KEY)
}

/// How far two clocks of one machine may be apart after a restart.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

#[cfg(test)]
mod tests;
