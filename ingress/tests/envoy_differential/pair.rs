//! The program and Envoy, told the same by our server, in front of the same upstream.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_proxy::drain::Drain;
use tidegate_testkit::certificates::{Authority, Identity};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::envoy::bootstrap::{self, Variant};
use tidegate_testkit::wait::eventually_within;
use tidegate_testkit::wire::Wire;
use tidegate_xds::resource::Kind;
use tidegate_xds::server::{KindStatus, Resource, Resources, Server};
use tidegate_xds::text::{self, Format, Unknown};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ask::Ask;
use super::settled;
use super::upstream::{Recorder, Seen};
use super::world::{CLUSTERS, ROUTES};

/// How long either may take to be as it was told.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host whose only answer says which world is served.
const PROBE: &str = "which.world";

/// The listeners, and what each sets in its connection manager. All have the same routes.
pub(crate) const LISTENERS: [&str; 3] = ["plain", "edge", "tidy"];

/// The cluster whose endpoints are asked for.
pub(crate) const ENDPOINTS: &str = "ns/endpoints";

/// The secrets that are asked for.
pub(crate) const CERTIFICATE: &str = "certificate";
pub(crate) const VALIDATION: &str = "validation";

/// The listener that believes nobody, by its place.
pub(crate) const EDGE: usize = 1;

/// The listener that tidies paths.
pub(crate) const TIDY: usize = 2;

/// What came back, and what the upstream saw of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) upstream: Vec<Seen>,
}

impl Outcome {
    /// The first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(of, _)| of == name);
        values.next().map(|(_, value)| value.as_str())
    }

    /// In which fields and the like two differ.
    pub(crate) fn differs_in(&self, other: &Self) -> String {
        let [one, two] = [self, other].map(Self::parts);
        let names = one.symmetric_difference(&two).map(|(name, _)| name.as_str());
        names
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn parts(&self) -> BTreeSet<(String, String)> {
        let mut parts = BTreeSet::from([
            ("status".to_owned(), self.status.to_string()),
            ("body".to_owned(), self.body.clone()),
            ("tries".to_owned(), self.upstream.len().to_string()),
        ]);
        parts.extend(self.fields.iter().cloned());
        for seen in &self.upstream {
            let line = format!("{} {} {}", seen.method, seen.target, seen.version);
            parts.insert(("upstream".to_owned(), line));
            parts.insert(("upstream body".to_owned(), seen.body.clone()));
            let fields = seen.fields.iter();
            parts.extend(fields.map(|(name, value)| (format!("upstream:{name}"), value.clone())));
        }
        parts
    }
}

pub(crate) struct Pair {
    ours: Front,
    envoys: Front,
    upstream: Recorder,
    publish: watch::Sender<Arc<Resources>>,
    server: Arc<Server>,
    worlds: u16,
    cases: u64,
    /// How often the two differed in which way that is settled.
    pub(crate) settled: BTreeMap<&'static str, u64>,
    _drain: Drain,
    _serving: JoinSet<()>,
}

impl Pair {
    pub(crate) async fn start(envoy: &Path) -> Self {
        let upstream = Recorder::start().await;
        let address = upstream.upstream.address();
        let clusters = CLUSTERS.map(|name| encoded(Kind::Cluster, name, &cluster(name, address)));
        let listeners = LISTENERS.map(|name| encoded(Kind::Listener, name, &listener(name)));
        let identity = Authority::new("pair").server("a.example");
        let asks = asks_for_more().map(|(name, cluster)| encoded(Kind::Cluster, name, &cluster));
        let secrets = [
            encoded(Kind::Secret, CERTIFICATE, &certificate(&identity)),
            encoded(Kind::Secret, VALIDATION, &validation(&identity)),
        ];
        let resources = Resources::default()
            .with(Kind::Cluster, clusters.into_iter().chain(asks))
            .with(
                Kind::Endpoints,
                [encoded(Kind::Endpoints, ENDPOINTS, &endpoints(address))],
            )
            .with(Kind::Secret, secrets)
            .with(Kind::Listener, listeners)
            .with(
                Kind::Routes,
                [encoded(Kind::Routes, ROUTES, &json!({"name": ROUTES}))],
            );
        let (publish, receive) = watch::channel(Arc::new(resources));
        let control_plane = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = control_plane.local_addr().expect("it is bound");
        let server = Server::new(receive);
        let (drain, watch) = Drain::new();
        let mut serving = JoinSet::new();
        let plane = Arc::clone(&server);
        serving.spawn(async move { plane.serve(control_plane, watch).await });
        let ours = Path::new(env!("CARGO_BIN_EXE_tidegate-ingress"));
        let (ours, envoys) = tokio::join!(Front::start(ours, at, "ours"), Front::start(envoy, at, "envoy"));
        Self {
            ours,
            envoys,
            upstream,
            publish,
            server,
            worlds: 0,
            cases: 0,
            settled: BTreeMap::new(),
            _drain: drain,
            _serving: serving,
        }
    }

    /// Gives both these routes, and waits until they have them.
    ///
    /// # Errors
    /// When one of them refuses them, or both; with who and why.
    pub(crate) async fn publish(&mut self, world: &Value) -> Result<(), String> {
        self.worlds += 1;
        let status = 200 + self.worlds % 90;
        let probe = json!({"name": "probe", "domains": [PROBE], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": status}}]});
        let mut world = world.clone();
        let hosts = world.get_mut("virtual_hosts").and_then(Value::as_array_mut);
        hosts.expect("it has hosts").push(probe);
        let verdicts = self
            .verdicts(Kind::Routes, encoded(Kind::Routes, ROUTES, &world))
            .await;
        if verdicts.iter().any(Option::is_some) {
            let [ours, envoys] = verdicts.map(|verdict| verdict.map(|why| short(&why).to_owned()));
            return Err(format!("ours: {ours:?}; Envoy: {envoys:?}"));
        }
        for front in [&mut self.ours, &mut self.envoys] {
            let what = format!("{} to have the routes", front.node);
            for place in 0..LISTENERS.len() {
                eventually_within(&what, PATIENCE, async || {
                    let request = format!("GET / HTTP/1.1\r\nHost: {PROBE}\r\n\r\n");
                    let found = front.call(place, request.as_bytes(), false).await.0;
                    (found == status).then_some(()).ok_or(format!("it was {found}"))
                })
                .await;
            }
        }
        Ok(())
    }

    /// What ours and Envoy make of a request.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> (Outcome, Outcome) {
        self.cases += 1;
        let [case, other] = ["ours", "envoy"].map(|node| format!("{node}-{}", self.cases));
        let (ours, envoys) = tokio::join!(self.ours.ask(ask, &case), self.envoys.ask(ask, &other));
        let outcome = |(status, fields, body), case: &str| Outcome {
            status,
            fields,
            body,
            upstream: self.upstream.take(case),
        };
        let (mut ours, mut envoys) = (outcome(ours, &case), outcome(envoys, &other));
        for outcome in [&mut ours, &mut envoys] {
            later_tries(&mut outcome.upstream);
        }
        for name in settled::level(ask, &mut ours, &mut envoys) {
            *self.settled.entry(name).or_default() += 1;
        }
        (ours, envoys)
    }

    /// Why ours and Envoy refuse a resource, if they do.
    pub(crate) async fn verdicts(&self, kind: Kind, resource: Resource) -> [Option<Arc<str>>; 2] {
        let nodes = ["ours", "envoy"];
        let before = nodes.map(|node| self.status(node, kind).map_or(0, |status| status.sent));
        let name = Arc::clone(resource.name());
        self.publish
            .send_modify(|now| *now = Arc::new(now.with(kind, [resource])));
        let mut verdicts = [None, None];
        for ((node, sent), verdict) in nodes.into_iter().zip(before).zip(&mut verdicts) {
            let what = format!("what {node} says to {name}");
            let status = eventually_within(&what, PATIENCE, async || {
                let now = self.status(node, kind);
                now.clone()
                    .filter(|now| now.sent > sent && !now.waiting)
                    .ok_or(format!("{now:?}"))
            });
            *verdict = status.await.error;
        }
        verdicts
    }

    fn status(&self, node: &str, kind: Kind) -> Option<KindStatus> {
        let clients = self.server.clients();
        let mut own = clients.into_iter().filter(|client| &*client.node.id == node);
        own.find_map(|client| client.kinds.get(&kind).cloned())
    }
}

/// One of the two, with a connection to each of its listeners.
struct Front {
    node: &'static str,
    _program: Envoy,
    addresses: Vec<SocketAddr>,
    connections: Vec<Option<Wire>>,
}

type Answer = (u16, Vec<(String, String)>, String);

impl Front {
    async fn start(program: &Path, control_plane: SocketAddr, node: &'static str) -> Self {
        let bootstrap = bootstrap::xds(control_plane, Variant::Delta, node);
        let program = Envoy::start(program, &bootstrap).await;
        program.live().await;
        let mut addresses = Vec::new();
        for name in LISTENERS {
            addresses.push(program.listener(name).await);
        }
        Self {
            node,
            _program: program,
            addresses,
            connections: LISTENERS.map(|_| None).into(),
        }
    }

    async fn ask(&mut self, ask: &Ask, case: &str) -> Answer {
        let request = ask.bytes(case);
        self.call(ask.listener, request.as_bytes(), ask.method == "HEAD")
            .await
    }

    /// Sends a request, once more where an old connection was closed before it came.
    async fn call(&mut self, listener: usize, request: &[u8], is_head: bool) -> Answer {
        let is_old = self.connections.get(listener).is_some_and(Option::is_some);
        let answer = self.call_once(listener, request, is_head).await;
        if answer.0 == 0 && is_old {
            return self.call_once(listener, request, is_head).await;
        }
        answer
    }

    async fn call_once(&mut self, listener: usize, request: &[u8], is_head: bool) -> Answer {
        let address = self.addresses.get(listener).expect("there are as many");
        let connection = self.connections.get_mut(listener).expect("there are as many");
        if connection.is_none() {
            // Envoy takes 127.0.0.1 for itself, and then says another address of the machine.
            let socket = TcpSocket::new_v4().expect("a socket");
            let client = SocketAddr::from(([127, 0, 0, 2], 0));
            socket.bind(client).expect("all of 127.0.0.0/8 is this machine");
            let stream = socket.connect(*address).await.expect("it listens");
            *connection = Some(Wire::new(stream));
        }
        let mut wire = connection.take().expect("it was put there");
        let request = request.to_owned();
        let mut call = JoinSet::new();
        call.spawn(async move {
            wire.send(request).await;
            if is_head {
                return (wire.head().await, String::new(), wire);
            }
            let message = wire.message().await;
            let body = message.text();
            (message.head, body, wire)
        });
        let called = call.join_next().await.expect("one was spawned");
        // A connection that ends without an answer is an outcome too.
        let Ok((head, body, wire)) = called else {
            return (0, Vec::new(), format!("no answer of {}", self.node));
        };
        // Whoever sends a body with a status that has none says its length, which is compared.
        let is_over = head.header("connection").is_some_and(|value| value == "close");
        if !is_over && !matches!(head.status(), 204 | 304) {
            *connection = Some(wire);
        }
        let text = head.text();
        let lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
        let fields = lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        (head.status(), compared(fields), body)
    }
}

/// What is left of the time differs from run to run: whether it is less than there was is what counts.
fn later_tries(seen: &mut [Seen]) {
    const LEFT: &str = "x-envoy-expected-rq-timeout-ms";
    let left = |seen: &Seen| seen.field(LEFT).and_then(|time| time.parse::<u64>().ok());
    let Some((first, later)) = seen.split_first_mut() else {
        return;
    };
    for seen in later {
        let is_less = left(first).zip(left(seen)).is_some_and(|(all, left)| left <= all);
        for (_, value) in seen.fields.iter_mut().filter(|(name, _)| name == LEFT && is_less) {
            "no more".clone_into(value);
        }
    }
}

/// Fields in the order of their names, those of one name as they came, without what is never the same.
pub(crate) fn compared(fields: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let compared = fields.into_iter().filter(|(name, _)| name != "date");
    let mut fields: Vec<_> = compared
        .map(|(name, value)| {
            let is_made = match name.as_str() {
                "x-request-id" => value != "id-of-client",
                "x-envoy-upstream-service-time" => true,
                _ => false,
            };
            (name, if is_made { "made".to_owned() } else { value })
        })
        .collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

/// A refusal without the text of the message in it.
pub(crate) fn short(why: &str) -> &str {
    why.rfind("Proto constraint").map_or(why, |at| &why[at..])
}

/// A resource of a kind, from JSON.
pub(crate) fn encoded(kind: Kind, name: &str, json: &Value) -> Resource {
    let message = kind.type_url().trim_start_matches("type.googleapis.com/");
    let parsed = text::parse(
        json.to_string().as_bytes(),
        Format::Json,
        message,
        Unknown::Refused,
    );
    let parsed = parsed.unwrap_or_else(|problem| panic!("{problem:?}: {json:#}"));
    Resource::new(name, parsed.encode())
}

pub(crate) fn cluster(name: &str, upstream: SocketAddr) -> Value {
    let address = json!({"address": upstream.ip().to_string(), "port_value": upstream.port()});
    let options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": if name == CLUSTERS[1] { json!({"http2_protocol_options": {}}) } else { json!({"http_protocol_options": {}}) },
    });
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"hostname": "endpoint.example", "address": {"socket_address": address}}}]}]},
    })
}

/// Clusters that nothing is sent to: they have both ask for endpoints and secrets.
fn asks_for_more() -> [(&'static str, Value); 2] {
    let ads = json!({"resource_api_version": "V3", "ads": {}});
    let secret = |name: &str| json!({"name": name, "sds_config": ads});
    let tls = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [secret(CERTIFICATE)],
            "validation_context_sds_secret_config": secret(VALIDATION),
        },
    });
    let mut with_secrets = cluster("ns/secrets", ([127, 0, 0, 1], 1).into());
    super::world::put(
        &mut with_secrets,
        "transport_socket",
        json!({"name": "tls", "typed_config": tls}),
    );
    let with_endpoints = json!({"name": ENDPOINTS, "type": "EDS", "eds_cluster_config": {"eds_config": ads}});
    [(ENDPOINTS, with_endpoints), ("ns/secrets", with_secrets)]
}

pub(crate) fn endpoints(upstream: SocketAddr) -> Value {
    let address = json!({"address": upstream.ip().to_string(), "port_value": upstream.port()});
    json!({"cluster_name": ENDPOINTS, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": address}}}]}]})
}

pub(crate) fn certificate(identity: &Identity) -> Value {
    json!({"name": CERTIFICATE, "tls_certificate": {
        "certificate_chain": {"inline_string": identity.certificate_pem},
        "private_key": {"inline_string": identity.key_pem}}})
}

pub(crate) fn validation(identity: &Identity) -> Value {
    json!({"name": VALIDATION, "validation_context": {"trusted_ca": {"inline_string": identity.certificate_pem}}})
}

pub(crate) fn listener(name: &str) -> Value {
    const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let mut manager = json!({
        // Or Envoy hears a second long who writes to a connection that it has ended.
        "@type": MANAGER, "stat_prefix": name, "delayed_close_timeout": "0.02s",
        "rds": {"route_config_name": ROUTES, "config_source": {"resource_api_version": "V3", "ads": {}}},
        "http_filters": [
            {"name": "origins", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}},
            {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
        ],
    });
    let own = match name {
        "edge" => json!({"use_remote_address": true, "via": "edge"}),
        "tidy" => json!({
            "normalize_path": true, "merge_slashes": true, "strip_any_host_port": true, "xff_num_trusted_hops": 1,
            "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD", "server_header_transformation": "PASS_THROUGH",
            "always_set_request_id_in_response": true,
        }),
        _ => json!({}),
    };
    for (field, value) in own.as_object().into_iter().flatten() {
        super::world::put(&mut manager, field, value.clone());
    }
    json!({
        "name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    })
}
