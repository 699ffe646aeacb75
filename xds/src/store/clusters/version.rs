//! One version of a cluster: what it waits for, and what of the one before stays.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tidegate_proxy::cluster::Cluster;

use super::Parts;
use crate::limits;
use crate::resource::Kind;
use crate::store::outside::Outside;
use crate::store::view::{Entry, State};
use crate::store::{Now, Tools, record};
use crate::translate::cluster::{ClusterConfig, EndpointSource};
use crate::translate::secret::SecretName;

/// What is known under one name.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) active: Option<Version>,
    pub(super) warming: Option<Box<Version>>,
    pub(super) refused: Option<Arc<Entry>>,
}

/// One version of a cluster.
pub(super) struct Version {
    pub(super) entry: Arc<Entry>,
    pub(super) facts: Facts,
    /// What it is built of; none once it is in force and nothing that may come can have it built again.
    pub(super) config: Option<Arc<ClusterConfig>>,
    /// None while a secret is missing.
    pub(super) cluster: Option<Arc<Cluster>>,
    /// Whether its secrets are there and do not fit: only other secrets, or another version, can help.
    pub(super) unfit: bool,
    /// What its endpoints said about balancing when it was made.
    pub(super) overprovisioning_percent: Option<u32>,
    /// Until when it waits for endpoints; `None` does not wait, `Some(None)` for ever.
    pub(super) awaits_endpoints: Option<Option<Instant>>,
    /// Until when it holds up the start, whatever it waits for.
    pub(super) holds_start: Instant,
}

/// What is asked about a version for as long as it is there.
pub(super) struct Facts {
    fingerprint: u128,
    /// What endpoints say about balancing is no part of the hash.
    overprovisioning_percent: u32,
    inline: bool,
    /// Where its endpoints are, where they come apart from it.
    eds: Option<Box<Eds>>,
}

/// The name of endpoints, and the file that they are in.
struct Eds {
    name: Arc<str>,
    file: Option<Arc<Path>>,
}

impl Facts {
    pub(super) fn of(config: &ClusterConfig) -> Self {
        Self {
            fingerprint: config.fingerprint,
            overprovisioning_percent: config.settings.balance.overprovisioning_percent,
            inline: matches!(config.endpoints, EndpointSource::Inline(_)),
            eds: match &config.endpoints {
                EndpointSource::Eds { name, file, .. } => Some(Box::new(Eds {
                    name: Arc::clone(name),
                    file: file.clone(),
                })),
                EndpointSource::Inline(_) | EndpointSource::Names => None,
            },
        }
    }
}

impl Slot {
    pub(super) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.active.iter().chain(self.warming.as_deref())
    }
}

impl Version {
    /// The cluster of `before`, with the endpoints of this, where nothing else has changed: pools, health and counts stay.
    pub(super) fn takes_over(&self, before: &Self) -> Option<Arc<Cluster>> {
        let EndpointSource::Inline(endpoints) = &self.config.as_ref()?.endpoints else {
            return None;
        };
        let (ours, theirs) = (&self.facts, &before.facts);
        let same = ours.fingerprint == theirs.fingerprint
            && ours.overprovisioning_percent == theirs.overprovisioning_percent
            && theirs.inline;
        if !same {
            return None;
        }
        let cluster = before.cluster.as_ref()?;
        cluster.set_endpoints(endpoints.clone());
        Some(Arc::clone(cluster))
    }

    /// Makes its cluster, as far as its secrets are there.
    pub(super) fn build<O: Outside>(
        &mut self,
        parts: &Parts<'_>,
        tools: &mut Tools<'_, O>,
    ) -> Result<(), String> {
        let Some(config) = self.config.clone() else {
            return Ok(());
        };
        if let Some(tls) = &config.tls {
            tls.check_static(parts.secrets)
                .map_err(|reject| reject.to_string())?;
        }
        let settings = config.settings(parts.secrets);
        let Some(mut settings) = settings.map_err(|reject| reject.to_string())? else {
            return Ok(());
        };
        let endpoints = match &config.endpoints {
            EndpointSource::Inline(endpoints) => Some(endpoints),
            EndpointSource::Names => None,
            EndpointSource::Eds {
                name,
                initial_fetch_timeout,
                ..
            } => {
                let known = parts.endpoints.get(name);
                if let Some(known) = known {
                    known.complete(&mut settings);
                    self.overprovisioning_percent = known.overprovisioning_percent;
                } else {
                    let until = initial_fetch_timeout.map(|timeout| tools.now.at + timeout);
                    self.awaits_endpoints = Some(until);
                }
                known.map(|known| &known.endpoints)
            }
        };
        let cluster = Cluster::new(settings);
        if let Some(endpoints) = endpoints {
            cluster.set_endpoints(endpoints.clone());
        }
        tools.outside.watch(&cluster);
        self.cluster = Some(cluster);
        Ok(())
    }

    /// Notes that its secrets do not fit, until others come.
    pub(super) fn is_unfit<O>(&mut self, why: String, tools: &mut Tools<'_, O>) {
        self.unfit = true;
        let failure = record::failure(self.entry.raw.clone(), why, tools.now);
        record::with_error(&mut self.entry, Some(failure));
        tools.changes.view.insert(Kind::Cluster);
    }

    pub(super) fn is_ready(&self, now: Now) -> bool {
        let waits = match self.awaits_endpoints {
            None => false,
            Some(None) => true,
            Some(Some(until)) => until > now.at,
        };
        !waits && self.cluster.as_ref().is_some_and(|cluster| cluster.is_warm())
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (&self.cluster, &other.cluster) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// The name of its endpoints and the file that they are in, where they come apart from it.
    pub(super) fn eds(&self) -> Option<(&Arc<str>, Option<&Arc<Path>>)> {
        let eds = self.facts.eds.as_ref()?;
        Some((&eds.name, eds.file.as_ref()))
    }

    /// The secrets that it uses.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.config.iter().flat_map(|config| config.secrets())
    }

    /// It is in force. What it was built of is large, and only secrets and endpoints that come apart have it built again.
    pub(super) fn in_force(&mut self) {
        record::in_state(&mut self.entry, State::Active);
        if self.facts.eds.is_none() && self.secrets().next().is_none() {
            self.config = None;
        }
    }

    /// The same, to be built again; none where nothing can have it built again.
    pub(super) fn afresh(&self, now: Now) -> Option<Self> {
        let config = Some(Arc::clone(self.config.as_ref()?));
        let mut entry = Arc::clone(&self.entry);
        record::in_state(&mut entry, State::Warming);
        record::with_error(&mut entry, None);
        Some(Self {
            entry,
            facts: config.as_deref().map(Facts::of)?,
            config,
            cluster: None,
            unfit: false,
            overprovisioning_percent: None,
            awaits_endpoints: None,
            holds_start: now.at + limits::INITIAL_FETCH_TIMEOUT,
        })
    }
}
