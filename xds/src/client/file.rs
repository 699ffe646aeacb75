//! Resources in a file: a `DiscoveryResponse` that somebody else replaces.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{Delivery, Status};
use crate::limits;
use crate::regular_file::{self, Stamp, stamp};
use crate::resource::{Kind, Verdict};
use crate::session::KindStatus;
use crate::session::parse::{self, Content};
use crate::text::{self, Format, Unknown};

/// A file that resources of one kind come from (`path_config_source`). There is nobody to answer: what is refused shows in
/// counters and logs, and what was good stays.
///
/// Envoy reads a file again when another is moved to its place, or when its `watched_directory` changes, by inotify. This one
/// looks every second instead ([`limits::FILE_POLL_INTERVAL`]): it sees the same replacements, those of a Kubernetes volume
/// included, whose file is a link behind a link that is swapped, and also what inotify does not report, as on a network file
/// system, or a directory that was not there at first; and it has no watches to run out of. A file that is written in place is
/// read when it has changed; half of it is no response, and is looked at again a second later.
#[derive(Clone, Debug)]
pub struct FileSource {
    /// Which kind.
    pub kind: Kind,
    /// The file. Its extension says how it is written: see [`Format::of_file`].
    pub path: PathBuf,
    /// A directory whose change means that the file is to be read again.
    pub watched_directory: Option<PathBuf>,
    /// The time between two looks. Default: [`limits::FILE_POLL_INTERVAL`].
    pub interval: Duration,
}

impl FileSource {
    /// A file.
    pub fn new(kind: Kind, path: impl Into<PathBuf>) -> Self {
        Self {
            kind,
            path: path.into(),
            watched_directory: None,
            interval: limits::FILE_POLL_INTERVAL,
        }
    }

    /// Reads the file as often as it changes, until nobody takes its updates any more. Reading blocks: for a runtime that
    /// carries no traffic.
    pub async fn run(self, status: Arc<Status>, deliveries: mpsc::Sender<Delivery>) {
        let counters = status.of(self.kind);
        let (mut seen, mut told) = (None, None);
        while !deliveries.is_closed() {
            let stamps = self.stamps();
            if stamps.is_none() || stamps != seen {
                let outcome = self.load(counters, &deliveries).await;
                // What could not be read is looked at again, whatever it looks like.
                seen = stamps.filter(|_| !matches!(outcome, Err(Fault::Unread(_))));
                let fault = outcome.err().map(Fault::into_message);
                if let Some(why) = &fault
                    && told != fault
                {
                    // Said once, however long it lasts.
                    tracing::warn!(path = %self.path.display(), why, "a file of resources is not in force; what was stays");
                }
                told = fault;
            }
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = deliveries.closed() => {}
            }
        }
    }

    async fn load(&self, counters: &KindStatus, deliveries: &mpsc::Sender<Delivery>) -> Result<(), Fault> {
        counters.update_attempt.increment();
        let content = self.read().inspect_err(|_| counters.update_failure.increment())?;
        let update = content.update.map_err(Fault::Refused);
        let update = update.inspect_err(|_| counters.update_rejected.increment())?;
        let version = Arc::clone(&update.version);
        let (verdict, judged) = oneshot::channel();
        // An error means that the program ends.
        if deliveries.send(Delivery { update, verdict }).await.is_err() {
            return Ok(());
        }
        match judged.await {
            Ok(Verdict::Accepted) => counters.accepted(&version),
            Ok(Verdict::Rejected(rejection)) => {
                counters.update_rejected.increment();
                return Err(Fault::Refused(rejection.message));
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn read(&self) -> Result<Content, Fault> {
        let text = regular_file::read(&self.path, limits::FILE_BYTES_MAX)
            .map_err(|error| Fault::Unread(error.to_string()))?;
        let format = Format::of_file(&self.path.to_string_lossy());
        let read = text::parse(&text, format, RESPONSE, Unknown::Ignored);
        let message = read
            .map_err(|problem| Fault::Unread(problem.to_string()))?
            .encode();
        let parsed = parse::file(self.kind, message);
        let parsed = parsed.map_err(|error| Fault::Unread(error.to_string()))?;
        match parsed.content {
            Some(content) if content.kind == self.kind => Ok(content),
            _ => Err(Fault::Unread(format!(
                "its type_url is '{}', not '{}'",
                parsed.type_url,
                self.kind.type_url()
            ))),
        }
    }

    fn stamps(&self) -> Option<[Option<Stamp>; 2]> {
        let file = stamp(&self.path)?;
        let directory = self.watched_directory.as_deref().and_then(stamp);
        Some([Some(file), directory])
    }
}

/// What a file holds.
const RESPONSE: &str = "envoy.service.discovery.v3.DiscoveryResponse";

/// Why a file is not in force.
enum Fault {
    /// It could not be read as a response; perhaps it is being written.
    Unread(String),
    /// What it says is refused.
    Refused(String),
}

impl Fault {
    fn into_message(self) -> String {
        match self {
            Self::Unread(why) | Self::Refused(why) => why,
        }
    }
}
