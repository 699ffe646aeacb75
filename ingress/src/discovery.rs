//! How the program asks its control planes: the streams that the bootstrap says, through its static clusters, and files.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Discovery, Protocol};
use tidegate_proxy::config::Handle;
use tidegate_proxy::drain::Watch;
use tidegate_proxy::error::BoxError;
use tidegate_proxy::upstream::Direct;
use tidegate_proxy::{Body, Proxy, process};
use tidegate_xds::client::file::FileSource;
use tidegate_xds::client::{Client, Delivery, Status, Streams};
use tidegate_xds::resource::Kind;
use tidegate_xds::session::{self, Backoff, NodeOn, RateLimit};
use tidegate_xds::translate::bootstrap::{ApiSource, Bootstrap, LayerSource, Source, Target, Variant};
use tidegate_xds::wire::Node;
use tokio::sync::{mpsc, oneshot, watch};
use tower::Service;

use crate::lifecycle::{Lifecycle, Vital};
use crate::limits::{CONTROL_PLANE_POLL, CONTROL_PLANE_WAIT};
use crate::serve::Program;

/// Who is asked for what.
#[derive(Clone, Debug)]
pub struct Plan {
    node: Node,
    clients: Vec<Planned>,
    files: Vec<FileSource>,
    fetch_timeouts: BTreeMap<Kind, Option<Duration>>,
}

#[derive(Clone, Debug)]
struct Planned {
    api: ApiSource,
    streams: Streams,
    kinds: BTreeSet<Kind>,
}

impl Plan {
    /// What the bootstrap says.
    #[must_use]
    pub fn of(bootstrap: &Bootstrap) -> Self {
        let mut plan = Self {
            node: named(bootstrap.node.clone()),
            clients: Vec::new(),
            files: Vec::new(),
            fetch_timeouts: BTreeMap::new(),
        };
        if let Some(ads) = &bootstrap.ads {
            plan.add(ads, Streams::Aggregated, None);
        }
        let fetched = [
            (Kind::Cluster, &bootstrap.clusters),
            (Kind::Listener, &bootstrap.listeners),
        ];
        for (kind, source) in fetched {
            let Some(config) = source else {
                continue;
            };
            plan.fetch_timeouts.insert(kind, config.initial_fetch_timeout);
            plan.take(kind, &config.source);
        }
        for layer in &bootstrap.runtime {
            if let LayerSource::Rtds { source, .. } = &layer.source {
                plan.take(Kind::Runtime, &source.source);
            }
        }
        // What resources name without a stream of its own comes from the first control plane.
        let taken: BTreeSet<Kind> = plan
            .clients
            .iter()
            .flat_map(|client| client.kinds.clone())
            .collect();
        if let Some(first) = plan.clients.first_mut() {
            let rest = [Kind::Endpoints, Kind::Secret, Kind::Routes];
            first
                .kinds
                .extend(rest.into_iter().filter(|kind| !taken.contains(kind)));
        }
        plan
    }

    fn take(&mut self, kind: Kind, source: &Source) {
        match source {
            Source::Ads => {
                if let Some(ads) = self.clients.first_mut() {
                    ads.kinds.insert(kind);
                }
            }
            Source::Api(api) => self.add(api, Streams::PerKind, Some(kind)),
            Source::Path {
                path,
                watched_directory,
                poll_interval,
            } => {
                let mut file = FileSource::new(kind, path);
                file.watched_directory.clone_from(watched_directory);
                file.interval = poll_interval.unwrap_or(file.interval);
                self.files.push(file);
            }
        }
    }

    fn add(&mut self, api: &ApiSource, streams: Streams, kind: Option<Kind>) {
        let same = |client: &&mut Planned| client.api == *api && client.streams == streams;
        match self.clients.iter_mut().find(same) {
            Some(client) => client.kinds.extend(kind),
            None => self.clients.push(Planned {
                api: api.clone(),
                streams,
                kinds: kind.into_iter().collect(),
            }),
        }
    }

    /// Starts all of it in the runtime that this is called in.
    pub fn start(self, program: &Program, status: &Arc<Status>) {
        let proxy = Proxy::new(program.config.clone(), program.watch.clone());
        for planned in &self.clients {
            let settings = self.settings(planned);
            let (service, name) = service(&planned.api, &proxy, program);
            let authority = match planned.api.authority.as_str() {
                "" => name,
                authority => authority.to_owned(),
            };
            let mut client = Client::new(service, &authority, settings, Arc::clone(status));
            client.metadata = planned.api.initial_metadata.iter().cloned().collect();
            let running = client.run(
                planned.streams,
                program.wanted.clone(),
                program.deliveries.clone(),
            );
            until_forced(program.lifecycle.vital("control-plane"), &program.watch, running);
        }
        for file in self.files {
            follow(file, program, status);
        }
        let (files, over) = (program.files.clone(), program.watch.clone());
        let (deliveries, status) = (program.deliveries.clone(), Arc::clone(status));
        let (vital, lifecycle) = (
            program.lifecycle.vital("resource-files"),
            program.lifecycle.clone(),
        );
        until_forced(vital, &program.watch, async move {
            follow_named(files, deliveries, status, lifecycle, over).await;
        });
    }

    fn settings(&self, planned: &Planned) -> session::Settings {
        let api = &planned.api;
        session::Settings {
            variant: match api.variant {
                Variant::StateOfTheWorld => session::Variant::StateOfTheWorld,
                Variant::Delta => session::Variant::Delta,
            },
            kinds: planned.kinds.clone(),
            node_on: if api.node_on_first_message_only {
                NodeOn::First
            } else {
                NodeOn::default()
            },
            rate_limit: api.rate_limit.map(|(tokens_max, per_second)| RateLimit {
                tokens_max,
                per_second,
            }),
            backoff: api
                .backoff
                .map_or_else(Backoff::default, |(base, max)| Backoff { base, max }),
            fetch_timeouts: self.fetch_timeouts.clone(),
            ..session::Settings::new(self.node.clone())
        }
    }
}

/// The node with the program's name, where the bootstrap has not given another.
fn named(mut node: Node) -> Node {
    if node.user_agent_name.is_empty() {
        "tidegate".clone_into(&mut node.user_agent_name);
        env!("CARGO_PKG_VERSION").clone_into(&mut node.user_agent_version);
    }
    node
}

/// Sends requests to a control plane; and what it is called.
fn service(api: &ApiSource, proxy: &Proxy, program: &Program) -> (ControlPlane, String) {
    let (place, name) = match &api.target {
        Target::Cluster(name) => {
            let place = Place::Named(program.config.clone(), name.as_str().into());
            (place, name.clone())
        }
        Target::Uri(uri) => {
            let cluster = of_uri(uri);
            cluster.watch(&program.watch);
            (Place::Known(cluster), uri.clone())
        }
    };
    let service = ControlPlane {
        proxy: proxy.clone(),
        place,
    };
    (service, name)
}

/// A cluster for `google_grpc`: a host and a port in clear text.
fn of_uri(uri: &str) -> Arc<Cluster> {
    let place = uri.rsplit_once("//").map_or(uri, |(_, place)| place);
    let place = place.trim_start_matches("dns:");
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "443"));
    let name = tidegate_proxy::cluster::discovery::DnsName::new(
        host.trim_start_matches('[').trim_end_matches(']'),
        port.parse().unwrap_or(443),
    );
    let mut settings = ClusterSettings::new(uri);
    settings.transport.protocol = Protocol::Http2;
    settings.discovery = Some(Discovery::of([name]).into());
    Cluster::new(settings)
}

/// A control plane, as gRPC sees it.
#[derive(Clone, Debug)]
struct ControlPlane {
    proxy: Proxy,
    place: Place,
}

/// Where a control plane is.
#[derive(Clone, Debug)]
enum Place {
    /// A static cluster, in whichever version is in force.
    Named(Handle, Arc<str>),
    Known(Arc<Cluster>),
}

impl Place {
    /// The cluster, once it has warmed: it may need names to be looked up and certificates to be read.
    async fn find(&self) -> Result<Arc<Cluster>, BoxError> {
        let (config, name) = match self {
            Self::Known(cluster) => return Ok(Arc::clone(cluster)),
            Self::Named(config, name) => (config, name),
        };
        let found = async {
            loop {
                if let Some(cluster) = config.load().cluster(name).cloned() {
                    return cluster;
                }
                tokio::time::sleep(CONTROL_PLANE_POLL).await;
            }
        };
        let found = tokio::time::timeout(CONTROL_PLANE_WAIT, found).await;
        found.map_err(|_elapsed| format!("cluster '{name}' of the control plane is not there yet").into())
    }
}

impl<B> Service<Request<B>> for ControlPlane
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let cluster = this.place.find().await?;
            Ok(Direct::new(&this.proxy, cluster).call(request).await?)
        })
    }
}

/// Follows the files that resources name, for as long as they name them.
async fn follow_named(
    mut files: watch::Receiver<BTreeSet<(Kind, Arc<Path>)>>,
    deliveries: mpsc::Sender<Delivery>,
    status: Arc<Status>,
    lifecycle: Lifecycle,
    watch: Watch,
) {
    let mut followed = BTreeMap::new();
    loop {
        let named = files.borrow_and_update().clone();
        followed.retain(|file, _| named.contains(file));
        for (kind, path) in named {
            followed.entry((kind, Arc::clone(&path))).or_insert_with(|| {
                let running = FileSource::new(kind, &*path).run(Arc::clone(&status), deliveries.clone());
                let (named, mut unnamed) = oneshot::channel::<Infallible>();
                until_forced(lifecycle.vital("resource-file"), &watch, async move {
                    tokio::select! {
                        () = running => {}
                        // Its other end is dropped.
                        _ = &mut unnamed => {}
                    }
                });
                named
            });
        }
        if files.changed().await.is_err() {
            return;
        }
    }
}

fn follow(file: FileSource, program: &Program, status: &Arc<Status>) {
    let running = file.run(Arc::clone(status), program.deliveries.clone());
    until_forced(program.lifecycle.vital("resource-file"), &program.watch, running);
}

fn until_forced(vital: Vital, watch: &Watch, task: impl Future<Output = ()> + Send + 'static) {
    let forced = watch.forced();
    process::spawn(vital.task(), watch.unguarded(), async move {
        let _vital = vital;
        tokio::select! {
            () = task => {}
            () = forced => {}
        }
    });
}
