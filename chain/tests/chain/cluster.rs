//! What does the cluster tell its programs, and when? Revisions, their pods, and who stands before them.

use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster as EnvoyCluster;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options as options;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{self as structure, Any};
use prost::{Message, Name};
use serde_json::{Value, json};
use tidegate_testkit::control_plane::model::{Item, LISTENER};
use tidegate_testkit::knative::api::{Api, CONFIG_MAPS, ENDPOINTS, REVISIONS, SECRETS};
use tidegate_testkit::knative::autoscaler::Autoscaler;
use tidegate_testkit::kourier::{self, Ports, Service};
use tidegate_testkit::tls;
use tidegate_testkit::wait::eventually;

use crate::access_log;
use crate::app::Visits;
use crate::certificates::{self, Certificates};
use crate::pods::{Pod, TLS_PORT};
use crate::programs::{Activator, Ingress};

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
    /// Where the programs speak TLS to each other.
    certificates: Option<Certificates>,
}

impl Cluster {
    /// With revisions of these protocols, which have no pods yet; so the activators are in the path.
    pub(crate) async fn start(protocols: &[Protocol]) -> Self {
        Self::with(protocols, None).await
    }

    /// The same, with TLS between its programs.
    pub(crate) async fn encrypted(protocols: &[Protocol]) -> Self {
        Self::with(protocols, Some(Certificates::new())).await
    }

    async fn with(protocols: &[Protocol], certificates: Option<Certificates>) -> Self {
        let revisions = protocols.iter().enumerate();
        let mut this = Self {
            api: Api::start().await,
            autoscaler: Autoscaler::start().await,
            visits: Arc::new(Visits::new()),
            activators: Vec::new(),
            ingresses: Vec::new(),
            revisions: revisions
                .map(|(number, protocol)| Revision::new(number, *protocol))
                .collect(),
            certificates,
        };
        if this.certificates.is_some() {
            this.api.put(CONFIG_MAPS, certificates::network()).await;
            this.tell_whom_to_believe().await;
            this.tell_what_to_show().await;
        }
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
        let ports = if self.certificates.is_some() { 3 } else { 2 };
        let activator = Activator::start(number, &self.api.kubeconfig(), &autoscaler, ports).await;
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
        let certificates = self.certificates.as_ref().map(Certificates::mount);
        let pod = Pod::start(&revision.name(), CONCURRENCY, &self.visits, certificates).await;
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

    /// The authorities that those who send to pods believe.
    pub(crate) async fn tell_whom_to_believe(&self) {
        if let Some(certificates) = &self.certificates {
            self.api.put(CONFIG_MAPS, certificates.bundle()).await;
        }
    }

    /// The certificate that activators show.
    pub(crate) async fn tell_what_to_show(&self) {
        if let Some(certificates) = &self.certificates {
            self.api.put(SECRETS, certificates.secret()).await;
        }
    }

    /// Waits until activators and pods show the certificates that they have now.
    pub(crate) async fn shows_its_certificates(&mut self) {
        let config = Arc::new(self.certificates().signing().client_config(&[], None));
        for activator in &self.activators {
            eventually("an activator's certificate", async || {
                tls::connect(activator.addresses[2], "kn-routing", &config)
                    .await
                    .is_ok()
            })
            .await;
        }
        for pod in self.revisions.iter_mut().flat_map(|revision| &mut revision.pods) {
            pod.shows_another_certificate().await;
        }
    }

    pub(crate) fn certificates(&mut self) -> &mut Certificates {
        self.certificates.as_mut().expect("its programs speak TLS")
    }

    fn items(&self, ports: Ports) -> Vec<Item> {
        let services: Vec<_> = self
            .revisions
            .iter()
            .map(|revision| self.service(revision))
            .collect();
        let push = kourier::push(&services, ports);
        let mut items = Vec::new();
        for resource in push.clusters.into_iter().chain(push.listeners).chain(push.routes) {
            let Any { type_url, value } = resource.any;
            let revision = self
                .revisions
                .iter()
                .find(|revision| revision.is_cluster(&resource.name));
            let body = match revision {
                None if type_url == LISTENER => access_log::noted(&value),
                None => value,
                Some(revision) => {
                    let mut cluster = self.connected(revision, &value);
                    if revision.is_held() {
                        let pods = self.cluster_of_pods(revision, cluster.clone());
                        items.push(Item::new(&type_url, &pods.name, pods.encode_to_vec()));
                        self.activate(revision, &mut cluster);
                    }
                    cluster.encode_to_vec()
                }
            };
            items.push(Item::new(&type_url, &resource.name, body));
        }
        items
    }

    /// What an ingress is told of a revision.
    fn service(&self, revision: &Revision) -> Service {
        let is_encrypted = self.certificates.is_some();
        let of_pod = |address: SocketAddr| match is_encrypted {
            true => SocketAddr::new(address.ip(), TLS_PORT),
            false => address,
        };
        let of_activator = |activator: &Activator| match is_encrypted {
            true => activator.addresses[2],
            false => revision.door(activator),
        };
        let addresses = match revision.path {
            Path::Pods => revision.addresses().into_iter().map(of_pod).collect(),
            // Who did not hold them could send them nowhere.
            Path::Ingresses => Vec::new(),
            Path::Activators => self.activators.iter().map(of_activator).collect(),
        };
        revision.service(addresses)
    }

    /// Its cluster, which says how its endpoints are connected to.
    fn connected(&self, revision: &Revision, cluster: &[u8]) -> EnvoyCluster {
        let mut cluster = EnvoyCluster::decode(cluster).expect("what was encoded");
        let alpn = match revision.protocol {
            // As Kourier says that there is none.
            Protocol::Http1 => "",
            Protocol::H2c => {
                over_h2c(&mut cluster);
                "h2"
            }
        };
        let certificates = self.certificates.as_ref();
        cluster.transport_socket = certificates.map(|certificates| certificates.transport_socket(alpn));
        cluster
    }

    /// Says for whom a revision's cluster is and where its pods are.
    fn activate(&self, revision: &Revision, cluster: &mut EnvoyCluster) {
        let protocol = match revision.protocol {
            Protocol::Http1 => "http1",
            Protocol::H2c => "h2c",
        };
        let text = |value: String| Some(Kind::StringValue(value));
        let fields = [
            ("namespace", text("default".to_owned())),
            ("revision", text(revision.name())),
            ("pods", text(revision.pods_name())),
            ("protocol", text(protocol.to_owned())),
            (
                "containerConcurrency",
                Some(Kind::NumberValue(CONCURRENCY.into())),
            ),
            ("timeoutSeconds", Some(Kind::NumberValue(600.0))),
            ("tls", Some(Kind::BoolValue(self.certificates.is_some()))),
        ];
        let fields = fields.map(|(name, kind)| (name.to_owned(), structure::Value { kind }));
        let said = structure::Struct {
            fields: fields.into_iter().collect(),
        };
        let metadata = cluster.metadata.get_or_insert_default();
        metadata
            .filter_metadata
            .insert("tidegate.activation".to_owned(), said);
    }

    /// The cluster of its pods, which are connected to as its own cluster says, and asked in the clear.
    fn cluster_of_pods(&self, revision: &Revision, cluster: EnvoyCluster) -> EnvoyCluster {
        let service = revision.service(revision.addresses());
        let mut pushed = kourier::push(&[service], Ports::default()).clusters.into_iter();
        let pushed = pushed
            .find(|pushed| revision.is_cluster(&pushed.name))
            .expect("its own");
        let pushed = EnvoyCluster::decode(&*pushed.any.value).expect("what was encoded");
        let load_assignment = pushed.load_assignment.map(|assignment| ClusterLoadAssignment {
            cluster_name: revision.pods_name(),
            ..assignment
        });
        EnvoyCluster {
            name: revision.pods_name(),
            load_assignment,
            ..cluster
        }
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

    /// With these endpoints.
    fn service(&self, addresses: Vec<SocketAddr>) -> Service {
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
        match self.protocol {
            Protocol::Http1 => activator.addresses[0],
            Protocol::H2c => activator.addresses[1],
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

    pub(crate) fn name(&self) -> String {
        let Service { revision, .. } = self.service(Vec::new());
        revision
    }

    pub(crate) fn host(&self) -> String {
        self.service(Vec::new()).external_host()
    }

    /// What clients inside the cluster call it.
    pub(crate) fn internal_host(&self) -> String {
        let Service { namespace, name, .. } = self.service(Vec::new());
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
        let of_pod = |address: SocketAddr| self.subset(&address.ip().to_string(), address.port());
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

/// Says that a cluster's endpoints speak HTTP/2, as Kourier does.
fn over_h2c(cluster: &mut EnvoyCluster) {
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
}
