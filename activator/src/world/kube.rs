//! How is a real cluster watched? Through its API server, by the `kube` crate.
//!
//! Objects are read into what this package reads of them; whatever else they hold is dropped at once.

mod follow;
mod services;

use std::collections::BTreeMap;

use ::kube::{
    Api, Client, Config,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
};
use serde::de::DeserializeOwned;
use tidegate_proxy::{drain::Watch, process};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::{
    backends::endpoints::Service,
    limits::{API_RETRY_INTERVAL, API_START_TIMEOUT, EVENTS_WAITING_MAX},
    world::{ConfigMap, Event, Found, World},
};

use follow::{Kind, Synced};
use services::Services;

/// A cluster.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    services: Services,
}

/// Why the cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// Nothing says where the API server is.
    #[error("where the Kubernetes API server is: {0}")]
    Config(#[from] ::kube::config::InferConfigError),
    /// It does not answer.
    #[error("the Kubernetes API server: {0}")]
    Client(#[from] ::kube::Error),
}

impl Kubernetes {
    /// Finds the API server as its clients do (the service account of the pod, else `KUBECONFIG`), and waits until it
    /// answers.
    ///
    /// # Errors
    /// When it does not for [`API_START_TIMEOUT`].
    pub async fn connect() -> Result<Self, KubernetesError> {
        let client = Client::try_from(Config::infer().await?)?;
        let end = Instant::now() + API_START_TIMEOUT;
        loop {
            match client.apiserver_version().await {
                Ok(version) => {
                    tracing::info!(
                        version = version.git_version,
                        "connected to the Kubernetes API server"
                    );
                    return Ok(Self {
                        client,
                        services: Services::default(),
                    });
                }
                Err(error) if Instant::now() >= end => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "the Kubernetes API server does not answer yet");
                    sleep(API_RETRY_INTERVAL).await;
                }
            }
        }
    }

    /// A ConfigMap; empty if there is none.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn config_map(&self, namespace: &str, name: &str) -> Result<ConfigMap, KubernetesError> {
        #[derive(serde::Deserialize)]
        struct Object {
            #[serde(default)]
            data: BTreeMap<String, String>,
        }
        let api = self.namespaced(&core("ConfigMap", "configmaps"), namespace);
        let object = api.get_opt(name).await?;
        let object = object.and_then(read::<Object>);
        Ok(object.map(|object| object.data).unwrap_or_default())
    }

    /// Tells what happens from now on: first all that is there, then [`Event::Synced`], then each change. Of certificates
    /// only where TLS is spoken; they are in `namespace`, as is the ConfigMap `observability`.
    #[must_use]
    pub fn watch(
        &self,
        (namespace, observability): (&str, &str),
        is_encrypted: bool,
        watch: &Watch,
    ) -> mpsc::Receiver<Event> {
        let (events, receiver) = mpsc::channel(EVENTS_WAITING_MAX);
        let everywhere = Kind::REVISIONS.map(|kind| (kind, None));
        let there = Kind::CERTIFICATES.map(|kind| (kind, Some(namespace)));
        let there = there.into_iter().filter(|_| is_encrypted);
        let kinds = everywhere.into_iter().chain(there);
        let kinds: Vec<_> = kinds.chain([(Kind::Observability, Some(namespace))]).collect();
        let synced = Synced::of(kinds.len() + 1);
        self.watch_services(&events, synced.clone(), watch);
        for (kind, namespace) in kinds {
            let api = match namespace {
                None => Api::all_with(self.client.clone(), &kind.resource()),
                Some(namespace) => self.namespaced(&kind.resource(), namespace),
            };
            let following = follow::follow(
                api,
                (kind, kind.config(observability)),
                events.clone(),
                synced.clone(),
            );
            let forced = watch.forced();
            process::spawn("informer", watch.unguarded(), async move {
                tokio::select! {
                    () = forced => {}
                    () = following => {}
                }
            });
        }
        receiver
    }

    fn watch_services(&self, events: &mpsc::Sender<Event>, synced: Synced, watch: &Watch) {
        let api = Api::all_with(self.client.clone(), &core("Service", "services"));
        let (services, events, forced) = (self.services.clone(), events.clone(), watch.forced());
        process::spawn("informer", watch.unguarded(), async move {
            tokio::select! {
                () = forced => {}
                () = services.follow(api, synced, events) => {}
            }
        });
    }

    fn namespaced(&self, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }
}

impl World for Kubernetes {
    fn service<'a>(&'a self, namespace: &'a str, name: &'a str) -> Found<'a, Service> {
        Box::pin(async { self.services.get(namespace, name) })
    }
}

fn core(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", kind), plural)
}

/// What this package reads of an object; none if that is not as it should be.
fn read<T: DeserializeOwned>(object: DynamicObject) -> Option<T> {
    let (name, namespace) = (object.metadata.name.clone(), object.metadata.namespace.clone());
    let mut value = object.data;
    if let (Some(fields), Ok(metadata)) = (value.as_object_mut(), serde_json::to_value(&object.metadata)) {
        fields.insert("metadata".to_owned(), metadata);
    }
    serde_json::from_value(value)
        .inspect_err(|error| tracing::error!(?namespace, ?name, %error, "an object cannot be read"))
        .ok()
}
