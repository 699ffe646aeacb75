//! What has come of one kind and is not judged yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_proxy::process::give_way;

use super::parse::Content;
use crate::limits::CHANGED_ONE_BY_ONE;
use crate::resource::{Gone, Kind, Raw, Update};

/// One response, or several that nobody had time for one by one.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) update: Update,
    /// Which responses have to be answered by what becomes of it.
    pub(super) nonces: Vec<Nonce>,
    /// Tells one content from another.
    pub(super) hash: u128,
}

/// The nonce of a response, which means something on its stream only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nonce {
    pub(super) stream: u64,
    pub(super) value: String,
}

impl Batch {
    /// The part of a response that somebody wants; none when all of it is heartbeats. `known` is what was there before.
    pub(super) fn of(
        content: Content,
        nonce: Nonce,
        wanted: Option<&BTreeSet<Arc<str>>>,
        known: &BTreeMap<Arc<str>, Arc<str>>,
    ) -> Result<Self, Settled> {
        let Content {
            update,
            unchanged,
            hash,
            ..
        } = content;
        let mut update = match update {
            Ok(update) => update,
            Err(message) => return Err(Settled::Refused { message, hash }),
        };
        let removes = matches!(&update.gone, Gone::Named(names) if !names.is_empty());
        if !unchanged.is_empty() && update.resources.is_empty() && !removes {
            return Err(Settled::Unchanged {
                version: update.version,
            });
        }
        if update.gone == Gone::Rest && !unchanged.is_empty() {
            // Heartbeats have no content, and are no part of what is gone either.
            let named: BTreeSet<&Arc<str>> = update.resources.iter().map(|raw| &raw.name).collect();
            let gone = known
                .keys()
                .filter(|name| !named.contains(name) && !unchanged.contains(*name));
            update.gone = Gone::Named(gone.cloned().collect());
        }
        if let Some(wanted) = wanted {
            update.resources.retain(|raw| wanted.contains(&raw.name));
            if let Gone::Named(names) = &mut update.gone {
                names.retain(|name| wanted.contains(name));
            }
        }
        Ok(Self {
            update,
            nonces: vec![nonce],
            hash,
        })
    }

    /// Resources whose time is over: no response says so, so there is nothing to answer, and no version of its own.
    pub(super) fn ended(kind: Kind, names: Vec<Arc<str>>) -> Self {
        Self {
            update: Update {
                kind,
                version: "".into(),
                resources: Vec::new(),
                gone: Gone::Named(names),
            },
            nonces: Vec::new(),
            hash: 0,
        }
    }

    /// Whether time alone made it.
    pub(super) fn is_of_time(&self) -> bool {
        self.nonces.is_empty()
    }

    /// Both in one, as if `newer` had said it all.
    pub(super) fn merge(self, mut newer: Self) -> Self {
        if newer.is_of_time() {
            newer.update.version = Arc::clone(&self.update.version);
            newer.hash = self.hash;
        }
        let Self {
            update, mut nonces, ..
        } = self;
        nonces.extend(newer.nonces);
        let (hash, newer) = (newer.hash, newer.update);
        let Gone::Named(newly_gone) = newer.gone else {
            // Whatever was said before is said again, or not true any more.
            return Self {
                update: newer,
                nonces,
                hash,
            };
        };
        let mut resources: BTreeMap<Arc<str>, Raw> = by_name(update.resources);
        resources.retain(|name, _| !newly_gone.contains(name));
        resources.extend(by_name(newer.resources));
        let gone = match update.gone {
            Gone::Rest => Gone::Rest,
            Gone::Named(gone) => {
                let gone: BTreeSet<Arc<str>> = gone.into_iter().chain(newly_gone).collect();
                let still = gone.into_iter().filter(|name| !resources.contains_key(name));
                Gone::Named(still.collect())
            }
        };
        Self {
            update: Update {
                kind: newer.kind,
                version: newer.version,
                resources: resources.into_values().collect(),
                gone,
            },
            nonces,
            hash,
        }
    }

    /// What will be known when it is accepted whole.
    pub(super) fn apply_to(&self, known: &mut BTreeMap<Arc<str>, Arc<str>>) {
        match &self.update.gone {
            Gone::Rest => known.clear(),
            Gone::Named(names) => names.iter().for_each(|name| drop(known.remove(name))),
        }
        let resources = self.update.resources.iter();
        let resources = resources
            .inspect(|_| give_way())
            .map(|raw| (Arc::clone(&raw.name), Arc::clone(&raw.version)));
        if self.update.resources.len() > known.len() / CHANGED_ONE_BY_ONE {
            known.append(&mut resources.collect());
        } else {
            known.extend(resources);
        }
    }
}

/// A response that there is nothing to judge in.
#[derive(Clone, Debug)]
pub(super) enum Settled {
    /// It breaks the protocol.
    Refused {
        /// What the NACK says.
        message: String,
        /// Which content it refuses.
        hash: u128,
    },
    /// It says that all is as it was.
    Unchanged {
        /// The version of what is as it was.
        version: Arc<str>,
    },
}

fn by_name(resources: Vec<Raw>) -> BTreeMap<Arc<str>, Raw> {
    resources
        .into_iter()
        .map(|raw| (Arc::clone(&raw.name), raw))
        .collect()
}
