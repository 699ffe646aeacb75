//! What does the cluster tell its programs, and when? Revisions, their pods, and who stands before them.

use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster as EnvoyCluster;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options as options;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{self as structure, Any};
use prost::{Message, Name};
use serde_json::{Value, json};
use tidegate_testkit::control_plane::model::Item;
use tidegate_testkit::knative::api::{Api, ENDPOINTS, REVISIONS};
use tidegate_testkit::knative::autoscaler::Autoscaler;
use tidegate_testkit::kourier::{self, Ports, Service};

use crate::app::Visits;
use crate::programs::{Activator, Ingress, Pod};

/// What a revision's pods speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    H2c,
}

/// Who gets a revision's requests from the ingresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Activators,
    Pods,
    /// Pods as well, for which the ingresses hold requests themselves.
    Ingresses,
}

/// A revision and its pods.
pub(crate) struct Revision {
    number: usize,
    protocol: Protocol,
    pub(crate) path: Path,
    pub(crate) pods: Vec<Pod>,
    /// Pods that a test made itself.
    pub(crate) others: Vec<SocketAddr>,
}

/// How many requests a pod takes at once.
const CONCURRENCY: u32 = 20;

/// The cluster around the programs.
pub(crate) struct Cluster {
    pub(crate) api: Api,
    pub(crate) autoscaler: Autoscaler,
    pub(crate) visits: Arc<Visits>,
    pub(crate) activators: Vec<Activator>,
    pub(crate) ingresses: Vec<Ingress>,
    pub(crate) revisions: Vec<Revision>,
}

impl Cluster {
    /// With revisions of these protocols, which have no pods yet; so the activators are in the path.
    pub(crate) async fn start(protocols: &[Protocol]) -> Self {
        let revisions = protocols.iter().enumerate();
        let mut this = Self {
            api: Api::start().await,
            autoscaler: Autoscaler::start().await,
            visits: Arc::default(),
            activators: Vec::new(),
            ingresses: Vec::new(),
            revisions: revisions
                .map(|(number, protocol)| Revision::new(number, *protocol))
                .collect(),
        };
        for revision in &this.revisions {
            this.api.put(REVISIONS, revision.object()).await;
        }
        for number in 1..=2 {
            this.start_activator(number).await;
        }
        for _ in 0..2 {
            this.start_ingress().await;
        }
        this.tell_activators().await;
        this
    }

    /// Starts one more activator, which is behind the others from when the ingresses are told.
    pub(crate) async fn start_activator(&mut self, number: u8) {
        let autoscaler = self.autoscaler.url().to_string();
        let activator = Activator::start(number, &self.api.kubeconfig(), &autoscaler).await;
        activator.says(200).await;
        self.activators.push(activator);
    }

    /// Starts one more ingress, and waits until it serves.
    pub(crate) async fn start_ingress(&mut self) {
        let ingress = Ingress::start().await;
        ingress.control_plane.set(&self.items(ingress.ports));
        ingress.serves().await;
        self.ingresses.push(ingress);
    }

    /// Starts one more pod of a revision, and waits until it is ready.
    pub(crate) async fn start_pod(&mut self, revision: usize) {
        let revision = &mut self.revisions[revision];
        let pod = Pod::start(&revision.name(), CONCURRENCY, &self.visits).await;
        pod.is_ready().await;
        revision.pods.push(pod);
    }

    /// Kubernetes' Endpoints, for the activators.
    pub(crate) async fn tell_activators(&self) {
        for revision in &self.revisions {
            let [private, public] = revision.endpoints(&self.activators);
            self.api.put(ENDPOINTS, private).await;
            self.api.put(ENDPOINTS, public).await;
        }
    }

    /// What an ingress controller makes of the public Endpoints; waits until all ingresses go by it.
    pub(crate) async fn tell_ingresses(&self) {
        for ingress in &self.ingresses {
            let version = ingress.control_plane.set(&self.items(ingress.ports));
            let clusters = tidegate_testkit::control_plane::model::CLUSTER;
            ingress.control_plane.accepted(clusters, &version).await;
        }
    }

    fn items(&self, ports: Ports) -> Vec<Item> {
        let services: Vec<_> = self
            .revisions
            .iter()
            .map(|revision| revision.service(&self.activators))
            .collect();
        let push = kourier::push(&services, ports);
        let mut items = Vec::new();
        for resource in push.clusters.into_iter().chain(push.listeners).chain(push.routes) {
            let speaks_h2c = self
                .revisions
                .iter()
                .any(|revision| revision.protocol == Protocol::H2c && revision.is_cluster(&resource.name));
            let body = if speaks_h2c {
                over_h2c(&resource.any.value)
            } else {
                resource.any.value
            };
            let mut held = self.revisions.iter().filter(|revision| revision.is_held());
            let body = match held.find(|revision| revision.is_cluster(&resource.name)) {
                None => body,
                Some(revision) => {
                    let pods = revision.cluster_of_pods(&body);
                    items.push(Item::new(&resource.any.type_url, &revision.pods_name(), pods));
                    revision.activated(&body)
                }
            };
            items.push(Item::new(&resource.any.type_url, &resource.name, body));
        }
        items
    }
}

impl Revision {
    fn new(number: usize, protocol: Protocol) -> Self {
        Self {
            number,
            protocol,
            path: Path::Activators,
            pods: Vec::new(),
            others: Vec::new(),
        }
    }

    fn service(&self, activators: &[Activator]) -> Service {
        let addresses = match self.path {
            Path::Pods => self.addresses(),
            // Who did not hold them could send them nowhere.
            Path::Ingresses => Vec::new(),
            Path::Activators => activators.iter().map(|activator| self.door(activator)).collect(),
        };
        Service::numbered(self.number, addresses)
    }

    /// Where its pods are.
    fn addresses(&self) -> Vec<SocketAddr> {
        self.pods
            .iter()
            .map(Pod::address)
            .chain(self.others.iter().copied())
            .collect()
    }

    /// The port of an activator for this revision's protocol.
    fn door(&self, activator: &Activator) -> SocketAddr {
        let [http1, h2c] = activator.addresses;
        match self.protocol {
            Protocol::Http1 => http1,
            Protocol::H2c => h2c,
        }
    }

    fn is_held(&self) -> bool {
        self.path == Path::Ingresses
    }

    fn is_cluster(&self, name: &str) -> bool {
        name.strip_prefix("default/") == Some(&*self.name())
    }

    fn pods_name(&self) -> String {
        format!("default/{}-private", self.name())
    }

    /// Its cluster, which says for whom it is and where its pods are.
    fn activated(&self, cluster: &[u8]) -> Vec<u8> {
        let mut cluster = EnvoyCluster::decode(cluster).expect("what was encoded");
        let protocol = match self.protocol {
            Protocol::Http1 => "http1",
            Protocol::H2c => "h2c",
        };
        let text = |value: String| Some(Kind::StringValue(value));
        let fields = [
            ("namespace", text("default".to_owned())),
            ("revision", text(self.name())),
            ("pods", text(self.pods_name())),
            ("protocol", text(protocol.to_owned())),
            (
                "containerConcurrency",
                Some(Kind::NumberValue(CONCURRENCY.into())),
            ),
            ("timeoutSeconds", Some(Kind::NumberValue(600.0))),
        ];
        let fields = fields.map(|(name, kind)| (name.to_owned(), structure::Value { kind }));
        let said = structure::Struct {
            fields: fields.into_iter().collect(),
        };
        let metadata = cluster.metadata.get_or_insert_default();
        metadata
            .filter_metadata
            .insert("tidegate.activation".to_owned(), said);
        cluster.encode_to_vec()
    }

    /// The cluster of its pods, which are connected to as its own cluster says.
    fn cluster_of_pods(&self, cluster: &[u8]) -> Vec<u8> {
        let mut cluster = EnvoyCluster::decode(cluster).expect("what was encoded");
        cluster.name = self.pods_name();
        let service = Service::numbered(self.number, self.addresses());
        let mut pushed = kourier::push(&[service], Ports::default()).clusters.into_iter();
        let pushed = pushed
            .find(|pushed| self.is_cluster(&pushed.name))
            .expect("its own");
        let pushed = EnvoyCluster::decode(&*pushed.any.value).expect("what was encoded");
        cluster.load_assignment = pushed.load_assignment;
        if let Some(assignment) = &mut cluster.load_assignment {
            assignment.cluster_name = cluster.name.clone();
        }
        cluster.encode_to_vec()
    }

    pub(crate) fn name(&self) -> String {
        let Service { revision, .. } = self.service(&[]);
        revision
    }

    pub(crate) fn host(&self) -> String {
        self.service(&[]).external_host()
    }

    /// What clients inside the cluster call it.
    pub(crate) fn internal_host(&self) -> String {
        let Service { namespace, name, .. } = self.service(&[]);
        format!("{name}.{namespace}.svc.cluster.local")
    }

    fn port_name(&self) -> &'static str {
        match self.protocol {
            Protocol::Http1 => "http",
            Protocol::H2c => "http2",
        }
    }

    fn object(&self) -> Value {
        let port = match self.protocol {
            Protocol::Http1 => json!({"containerPort": 8080}),
            Protocol::H2c => json!({"name": "h2c", "containerPort": 8080}),
        };
        revision_object(&self.name(), &port)
    }

    /// The private ones, of its pods, and the public ones.
    fn endpoints(&self, activators: &[Activator]) -> [Value; 2] {
        let of_pod = |address: SocketAddr| self.subset("127.0.0.1", address.port());
        let of_activator = |activator: &Activator| self.subset(&activator.ip, self.door(activator).port());
        let pods: Vec<_> = self.addresses().into_iter().map(of_pod).collect();
        let public = match self.path {
            Path::Pods => pods.clone(),
            Path::Activators | Path::Ingresses => activators.iter().map(of_activator).collect(),
        };
        let (private, name) = (format!("{}-private", self.name()), self.name());
        [
            endpoints_object(&name, (&private, "Private"), &pods),
            endpoints_object(&name, (&name, "Public"), &public),
        ]
    }

    fn subset(&self, ip: &str, port: u16) -> Value {
        json!({"addresses": [{"ip": ip}],
            "ports": [{"name": self.port_name(), "port": port, "protocol": "TCP"}]})
    }
}

/// A revision with a container on this port.
pub(crate) fn revision_object(name: &str, port: &Value) -> Value {
    json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
        "metadata": {"namespace": "default", "name": name, "uid": name, "labels": {
            "serving.knative.dev/configuration": "hello", "serving.knative.dev/service": "hello"}},
        "spec": {"containerConcurrency": CONCURRENCY, "timeoutSeconds": 600,
            "containers": [{"image": "hello", "ports": [port], "readinessProbe": {"tcpSocket": {"port": 0}}}]},
    })
}

/// The Endpoints of this name and type of a revision.
pub(crate) fn endpoints_object(revision: &str, (name, of_type): (&str, &str), subsets: &[Value]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints", "subsets": subsets,
        "metadata": {"namespace": "default", "name": name, "labels": {
            "serving.knative.dev/revision": revision, "serving.knative.dev/revisionUID": revision,
            "networking.internal.knative.dev/serviceType": of_type}},
    })
}

/// The cluster of a revision that speaks HTTP/2, as Kourier sends it.
fn over_h2c(cluster: &[u8]) -> Vec<u8> {
    let mut cluster = EnvoyCluster::decode(cluster).expect("what was encoded");
    let explicit = options::ExplicitHttpConfig {
        protocol_config: Some(
            options::explicit_http_config::ProtocolConfig::Http2ProtocolOptions(Default::default()),
        ),
    };
    let http2 = HttpProtocolOptions {
        upstream_protocol_options: Some(options::UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
        ..HttpProtocolOptions::default()
    };
    let any = Any {
        type_url: HttpProtocolOptions::type_url(),
        value: http2.encode_to_vec(),
    };
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    cluster
        .typed_extension_protocol_options
        .insert(name.to_owned(), any);
    cluster.encode_to_vec()
}
