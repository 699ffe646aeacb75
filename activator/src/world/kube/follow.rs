//! How do the changes of one kind of object become events?

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use ::kube::{
    Api,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use base64::{Engine, prelude::BASE64_STANDARD as STANDARD};
use futures_util::StreamExt;
use serde::Deserialize;
use tidegate_knative::names::keys;
use tokio::sync::mpsc;

use super::{core, read};
use crate::{
    backends::endpoints::Endpoints,
    certificates::Secret,
    world::{ConfigMap, Event, Key, RevisionFacts, revision},
};

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Revisions.
    Revision,
    /// The Endpoints of revisions' pods.
    Private,
    /// The Endpoints of those who send to revisions.
    Public,
    /// The secret with the program's certificate.
    Secret,
    /// ConfigMaps with certificates of authorities.
    Bundle,
    /// The ConfigMap that says what is told of requests.
    Observability,
}

/// As much as is read of a ConfigMap.
#[derive(Debug, Deserialize)]
struct Texts {
    #[serde(default)]
    data: ConfigMap,
}

/// As much as is read of a Secret, whose values are in base64.
#[derive(Debug, Deserialize)]
struct SecretData {
    #[serde(default)]
    data: ConfigMap,
}

impl From<SecretData> for Secret {
    fn from(secret: SecretData) -> Self {
        // What cannot be read is missing, and whoever needs it says so.
        let value = |key: &str| {
            let text = secret.data.get(key);
            text.and_then(|text| STANDARD.decode(text).ok())
                .unwrap_or_default()
        };
        Self {
            authority: value("ca.crt"),
            chain: value("tls.crt"),
            key: value("tls.key"),
        }
    }
}

/// Counts those who have told all that was there.
#[derive(Debug, Clone)]
pub(super) struct Synced(Arc<AtomicUsize>);

/// The namespace and name of an object.
pub(super) type Name = (String, String);

/// What each object is about.
type Told = HashMap<Name, Key>;

impl Synced {
    pub(super) fn of(count: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(count)))
    }

    /// Whether this was the last one.
    pub(super) fn one(&self) -> bool {
        self.0.fetch_sub(1, SeqCst) == 1
    }
}

impl Kind {
    /// What is followed in all namespaces.
    pub(super) const REVISIONS: [Self; 3] = [Self::Revision, Self::Private, Self::Public];
    /// What is followed in one.
    pub(super) const CERTIFICATES: [Self; 2] = [Self::Secret, Self::Bundle];

    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::Revision => {
                let revision = GroupVersionKind::gvk("serving.knative.dev", "v1", "Revision");
                ApiResource::from_gvk_with_plural(&revision, "revisions")
            }
            Self::Private | Self::Public => core("Endpoints", "endpoints"),
            Self::Secret => core("Secret", "secrets"),
            Self::Bundle | Self::Observability => core("ConfigMap", "configmaps"),
        }
    }

    pub(super) fn config(self, observability: &str) -> watcher::Config {
        let config = watcher::Config::default();
        match self {
            Self::Revision => config,
            Self::Private => config.labels(
                "serving.knative.dev/revisionUID,networking.internal.knative.dev/serviceType=Private",
            ),
            Self::Public => config.labels("networking.internal.knative.dev/serviceType=Public"),
            Self::Secret => config.fields("metadata.name=routing-serving-certs"),
            Self::Bundle => config.labels("networking.knative.dev/trust-bundle"),
            Self::Observability => config.fields(&format!("metadata.name={observability}")),
        }
    }

    /// Which revision an object is about, or its own name.
    fn key(self, object: &DynamicObject) -> Option<Key> {
        let metadata = &object.metadata;
        let name = match self {
            Self::Revision | Self::Secret | Self::Bundle | Self::Observability => metadata.name.as_ref(),
            Self::Private | Self::Public => metadata.labels.as_ref()?.get(keys::REVISION),
        };
        Some(Key {
            namespace: metadata.namespace.clone()?,
            name: name?.clone(),
        })
    }

    fn there(self, key: Key, object: DynamicObject) -> Option<Event> {
        Some(match self {
            Self::Revision => {
                let facts: RevisionFacts = read::<revision::Object>(object)?.into();
                Event::Revision(Box::new(facts))
            }
            Self::Private => Event::Private(key, read::<Endpoints>(object)?),
            Self::Public => Event::Public(key, read::<Endpoints>(object)?),
            Self::Secret => Event::Secret(Some(read::<SecretData>(object)?.into())),
            Self::Observability => Event::Observability(read::<Texts>(object)?.data),
            Self::Bundle => Event::Bundle(
                key.name,
                Some(read::<Texts>(object)?.data.into_values().collect()),
            ),
        })
    }

    fn gone(self, key: Key) -> Event {
        match self {
            Self::Revision => Event::RevisionGone(key),
            Self::Private => Event::PrivateGone(key),
            Self::Public => Event::PublicGone(key),
            Self::Secret => Event::Secret(None),
            Self::Bundle => Event::Bundle(key.name, None),
            Self::Observability => Event::Observability(ConfigMap::new()),
        }
    }
}

/// Follows one kind until nobody listens any more. What was deleted while there was no connection is found missing in
/// the next list.
pub(super) async fn follow(
    api: Api<DynamicObject>,
    (kind, config): (Kind, watcher::Config),
    events: mpsc::Sender<Event>,
    synced: Synced,
) {
    let mut changes = pin!(watcher(api, config).default_backoff());
    let mut told = Told::new();
    let mut listed = HashSet::new();
    let mut is_synced = false;
    while let Some(change) = changes.next().await {
        let mut now = Vec::new();
        match change {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                listed.insert(name(&object));
                now.extend(tell(kind, &mut told, object));
            }
            Ok(watcher::Event::InitDone) => {
                now.extend(missing(&mut told, &listed).map(|key| kind.gone(key)));
                listed.clear();
                if !std::mem::replace(&mut is_synced, true) && synced.one() {
                    now.push(Event::Synced);
                }
            }
            Ok(watcher::Event::Apply(object)) => now.extend(tell(kind, &mut told, object)),
            Ok(watcher::Event::Delete(object)) => {
                now.extend(told.remove(&name(&object)).map(|key| kind.gone(key)));
            }
            Err(error) => tracing::warn!(?kind, %error, "watching the cluster was interrupted"),
        }
        for event in now {
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}

fn tell(kind: Kind, told: &mut Told, object: DynamicObject) -> Option<Event> {
    let key = kind.key(&object)?;
    told.insert(name(&object), key.clone());
    kind.there(key, object)
}

fn missing<'a>(told: &'a mut Told, listed: &'a HashSet<Name>) -> impl Iterator<Item = Key> + use<'a> {
    told.extract_if(|name, _| !listed.contains(name))
        .map(|(_, key)| key)
}

pub(super) fn name(object: &DynamicObject) -> Name {
    let metadata = &object.metadata;
    (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}
