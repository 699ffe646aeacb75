//! Secrets: those of the bootstrap, of control planes and of files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use tidegate_proxy::process::give_way;

use super::view::{Entry, Origin, State};
use super::wording::Failed;
use super::{Changes, Now, record};
use crate::limits;
use crate::regular_file::{Stamp, stamp};
use crate::resource::{Kind, Raw, Update};
use crate::translate::secret::{SecretConfig, Secrets};
use crate::translate::{Context, Reject, secret as translate};

/// All secrets by name.
#[derive(Default)]
pub(super) struct SecretBook {
    secrets: Secrets,
    entries: BTreeMap<Arc<str>, Arc<Entry>>,
    /// Those that were read from files.
    looks: BTreeMap<Arc<str>, Look>,
    /// When their files are looked at.
    look_at: Option<Instant>,
}

/// What the files of a secret looked like when it was last read.
#[derive(Default)]
struct Look {
    /// None before the first look: whoever read it first did not see what they looked like, so it is read once more.
    seen: Option<Vec<Option<Stamp>>>,
    /// Why they cannot be used, as it was said.
    told: Option<String>,
}

impl SecretBook {
    /// Takes what is wanted of an update; says which secrets have changed, and which were refused.
    ///
    /// # Errors
    /// When the whole response is refused; then nothing has changed.
    pub(super) fn apply(
        &mut self,
        update: &Update,
        wanted: &BTreeSet<Arc<str>>,
        context: &Context,
        (changes, now): (&mut Changes, Now),
    ) -> Result<(BTreeSet<Arc<str>>, Vec<Failed>), String> {
        let (mut read, mut failed) = (Vec::new(), Vec::new());
        let wanted = update.resources.iter().filter(|raw| wanted.contains(&raw.name));
        for raw in wanted {
            if self.is_static(&raw.name) {
                continue;
            }
            if self.is_as_before(raw) {
                let entry = self.entries.get_mut(&raw.name);
                if let Some(entry) = entry.filter(|entry| entry.error.is_some()) {
                    record::with_error(entry, None);
                    changes.view.insert(Kind::Secret);
                }
                continue;
            }
            match translate::secret(&raw.body, context) {
                Ok(secret) => read.push((raw, secret)),
                Err(Reject::Message(why)) => return Err(why),
                Err(Reject::Resource(why)) => failed.push((raw, why)),
            }
        }
        let mut changed = BTreeSet::new();
        for (raw, secret) in read {
            changed.insert(Arc::clone(&raw.name));
            self.put(raw.clone(), secret, Origin::Dynamic, (changes, now));
        }
        let failed = failed.into_iter().map(|(raw, why)| {
            changes.view.insert(Kind::Secret);
            let failure = record::failure(raw.clone(), why.clone(), now);
            self.entries
                .entry(Arc::clone(&raw.name))
                .and_modify(|entry| record::with_error(entry, Some(failure)))
                .or_insert_with(|| record::refused(raw.clone(), why.clone(), now));
            (Arc::clone(&raw.name), why)
        });
        let failed = failed.collect();
        Ok((changed, failed))
    }

    /// Takes a secret of the bootstrap.
    pub(super) fn put(
        &mut self,
        raw: Raw,
        secret: SecretConfig,
        origin: Origin,
        (changes, now): (&mut Changes, Now),
    ) {
        changes.view.insert(Kind::Secret);
        let name = Arc::clone(&raw.name);
        let notes = secret.notes.clone();
        if origin == Origin::Dynamic {
            changes.counts.noted(&notes);
        }
        if secret.files.is_empty() {
            self.looks.remove(&name);
        } else {
            self.looks.insert(Arc::clone(&name), Look::default());
            let at = now.at + limits::FILE_POLL_INTERVAL;
            self.look_at.get_or_insert(at);
        }
        self.secrets.insert(Arc::clone(&name), Arc::new(secret));
        let entry = record::accepted(raw, origin, State::Active, notes, now);
        self.entries.insert(name, entry);
    }

    /// When the files of secrets are looked at.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// Reads those again whose files have changed, once it is time to look; says which are others now. What cannot be used, such
    /// as half a file or a key of another certificate, changes nothing, and is read again when the files change again.
    pub(super) fn read_again(
        &mut self,
        context: &Context,
        changes: &Changes,
        now: Instant,
    ) -> BTreeSet<Arc<str>> {
        let mut changed = BTreeSet::new();
        if self.look_at.is_none_or(|at| at > now) {
            return changed;
        }
        for (name, look) in &mut self.looks {
            give_way();
            let (Some(secret), Some(entry)) = (self.secrets.get_mut(name), self.entries.get(name)) else {
                continue;
            };
            // Before they are read: what is written meanwhile is seen the next time.
            let stamps = Some(stamps(secret));
            if look.seen == stamps {
                continue;
            }
            look.seen = stamps;
            match translate::secret(&entry.raw.body(), context) {
                Ok(read) => {
                    look.told = None;
                    if read.files != secret.files {
                        *secret = Arc::new(read);
                        changed.insert(Arc::clone(name));
                    }
                }
                Err(reject) => {
                    changes.counts.secrets.rotation_failed(name);
                    look.tell(name, reject.to_string());
                }
            }
        }
        self.look_at = (!self.looks.is_empty()).then(|| now + limits::FILE_POLL_INTERVAL);
        changed
    }

    fn is_static(&self, name: &str) -> bool {
        self.entries
            .get(name)
            .is_some_and(|entry| entry.origin == Origin::Static)
    }

    fn is_as_before(&self, raw: &Raw) -> bool {
        let entry = self.entries.get(&raw.name);
        entry.is_some_and(|entry| entry.raw.hash == raw.hash && self.secrets.contains_key(&raw.name))
    }

    /// All that are usable.
    pub(super) fn all(&self) -> &Secrets {
        &self.secrets
    }

    /// Forgets what nobody wants any more, static ones apart.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<Arc<str>>, changes: &mut Changes) {
        let before = self.entries.len();
        self.entries
            .retain(|name, entry| entry.origin == Origin::Static || wanted.contains(name));
        if self.entries.len() < before {
            let entries = &self.entries;
            self.secrets.retain(|name, _| entries.contains_key(name));
            self.looks.retain(|name, _| entries.contains_key(name));
            changes.view.insert(Kind::Secret);
        }
    }

    /// What is told of all.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }
}

impl Look {
    /// Said once, however often it is tried.
    fn tell(&mut self, secret: &str, why: String) {
        if self.told.as_ref() != Some(&why) {
            tracing::warn!(
                secret,
                why,
                "the changed files of a secret cannot be used; what was read before stays"
            );
        }
        self.told = Some(why);
    }
}

fn stamps(secret: &SecretConfig) -> Vec<Option<Stamp>> {
    let files = secret.files.iter().map(|file| &file.path);
    files
        .chain(&secret.watched_directory)
        .map(|path| stamp(path))
        .collect()
}
