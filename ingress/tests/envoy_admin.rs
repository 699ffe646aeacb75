//! Do the admin endpoints and statistics look as Envoy's do, after the same requests?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, Request, StatusCode};
use support::one_listener;
use tidegate_ingress::admin::{self, Admin, Bootstrap, Directives, Level, Settings};
use tidegate_ingress::lifecycle::{Lifecycle, Stage};
use tidegate_ingress::stats::{Recorder, Registry};
use tidegate_proxy::cluster::breaker::{BreakerSettings, Thresholds};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
use tidegate_proxy::listener::{ListenAddress, Listener, ListenerSettings};
use tidegate_proxy::route::{Domain, Matcher, PathMatch, Route, Split, VirtualHost};
use tidegate_proxy::{Proxy, process};
use tidegate_testkit::client::{Answer, Client, get};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::upstream::{Upstream, nobody};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::{body, peers};

const HOST: &str = "a.example";

/// Envoy and ours, in front of the same upstreams.
struct Both {
    envoy: Envoy,
    ours: SocketAddr,
    fronts: [SocketAddr; 2],
    _drain: Drain,
    _upstream: Upstream,
}

/// None where there is no Envoy to compare with.
async fn both(what: &str) -> Option<Both> {
    let program = peers::envoy(what)?;
    let (upstream, nobody) = (Upstream::fixed(StatusCode::OK, "hello").await, nobody().await);
    let envoy = Envoy::start(&program, &bootstrap(upstream.address(), nobody)).await;
    envoy.live().await;
    let theirs = envoy.listener("l1").await;
    let (drain, front, ours) = ours(upstream.address(), nobody);
    Some(Both {
        envoy,
        ours,
        fronts: [theirs, front],
        _drain: drain,
        _upstream: upstream,
    })
}

fn bootstrap(upstream: SocketAddr, nobody: SocketAddr) -> String {
    let [one, two] =
        [("ns/c1", upstream), ("c2", nobody)].map(|(name, at)| one_listener::cluster(name, at, ""));
    format!(
        r#"
node: {{id: n1, cluster: c}}
static_resources:
  clusters: [{one}, {two}]
  listeners:
  - name: l1
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress_http
          route_config:
            name: r1
            virtual_hosts:
            - name: v
              domains: [{HOST}]
              routes:
              - {{match: {{prefix: /nobody}}, route: {{cluster: c2}}}}
              - {{match: {{prefix: /direct}}, direct_response: {{status: 200}}}}
              - {{match: {{prefix: /}}, route: {{cluster: ns/c1}}}}
          http_filters:
          - {{name: router, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}
"#
    )
}

fn cluster(name: &str, endpoint: SocketAddr) -> Arc<Cluster> {
    let breakers = BreakerSettings {
        default: Thresholds::usual(),
        high: Thresholds::usual(),
    };
    let cluster = Cluster::new(ClusterSettings {
        breakers: breakers.into(),
        ..ClusterSettings::new(name)
    });
    cluster.set_endpoints(vec![Endpoint::new(endpoint).into()]);
    cluster
}

fn below(prefix: &str, route: Route) -> Route {
    Route {
        matcher: Matcher {
            path: PathMatch::prefix(prefix),
            ..Matcher::default()
        }
        .into(),
        ..route
    }
}

/// The library's parts as the program puts them together: the drain, the front, the admin address.
fn ours(upstream: SocketAddr, nobody: SocketAddr) -> (Drain, SocketAddr, SocketAddr) {
    let to = |cluster: &str| Route::forward(Split::single(cluster, [].into()));
    let routes = [
        below("/nobody", to("c2")),
        below("/direct", Route::respond(StatusCode::OK, "")),
        to("ns/c1"),
    ];
    let host = VirtualHost::new("v", [Domain::parse(HOST).unwrap()], routes);
    let clusters = [cluster("ns/c1", upstream), cluster("c2", nobody)];
    let proxy = Handle::new(Snapshot::new([host], clusters));
    let (drain, watch) = Drain::new();
    let http = HttpSettings {
        metrics_name: "ingress_http".into(),
        ..HttpSettings::default()
    };
    let chains = FilterChains::one(FilterChain::plain(http)).unwrap();
    let anywhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::open(ListenerSettings::new("l1", anywhere, chains), NonZeroUsize::MIN).unwrap();
    let front = listener.address();
    let worker = Proxy::new(proxy.clone(), watch.clone());
    for acceptor in listener.into_acceptors() {
        let serving = acceptor.serve(worker.clone());
        process::spawn(
            "acceptor",
            watch.unguarded(),
            async move { serving.await.unwrap() },
        );
    }
    let lifecycle = Lifecycle::new();
    lifecycle.reached(Stage::Live);
    let settings = Settings {
        lifecycle,
        stats: Registry::new(proxy.clone(), Recorder::default()),
        proxy,
        revisions: None,
        view: Arc::default(),
        bootstrap: Bootstrap {
            message: bytes::Bytes::new(),
            read_at: SystemTime::now(),
        },
        options: tidegate_xds::text::Json::Map(Vec::new()),
        concurrency: 1,
        restart_epoch: 0,
        logging: Arc::new(Directives::new(Level::Info, |_| {})),
        reopen_logs: Arc::new(|| {}),
        access_log: None,
    };
    let socket = admin::bind(&ListenAddress::from(anywhere)).unwrap();
    let address = socket.address().unwrap();
    let endpoints = Admin::new(settings);
    endpoints.live();
    let serving = endpoints.serve(socket, watch.clone());
    process::spawn("admin", watch.unguarded(), async move { serving.await.unwrap() });
    (drain, front, address)
}

impl Both {
    /// The same request to both administrations: Envoy's answer and ours.
    async fn ask(&self, method: &Method, path: &str) -> [Answer; 2] {
        let mut answers = Vec::new();
        for address in [self.envoy.admin(), self.ours] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "admin");
            let mut client = Client::http1(address).await;
            answers.push(client.call(request.body(body::empty()).unwrap()).await);
        }
        answers.try_into().unwrap()
    }

    async fn texts(&self, path: &str) -> [String; 2] {
        self.ask(&Method::GET, path).await.map(|answer| answer.text())
    }

    /// The same requests to both fronts, and the end of their connections.
    async fn traffic(&self) {
        for front in self.fronts {
            for (host, path) in [
                (HOST, "/"),
                (HOST, "/"),
                ("other", "/"),
                (HOST, "/nobody"),
                (HOST, "/direct"),
            ] {
                get(front, host, path).await;
            }
        }
        eventually("both have seen the connections end", async || {
            let ended = self
                .texts("/stats?filter=l.*listener|^listener.127.*downstream_cx_destroy")
                .await;
            ended
                .iter()
                .all(|text| text.contains("downstream_cx_destroy: 5\n"))
        })
        .await;
    }
}

#[tokio::test]
async fn answers_have_the_same_status_and_fields() {
    let Some(both) = both("the comparison of admin answers with Envoy").await else {
        return;
    };
    let asked = [
        (Method::GET, "/ready"),
        (Method::GET, "//ready"),
        (Method::GET, "/ready/"),
        (Method::POST, "/ready"),
        (Method::GET, "/"),
        (Method::GET, "/help"),
        (Method::GET, "/nope"),
        (Method::GET, "/certs"),
        (Method::GET, "/clusters"),
        (Method::GET, "/clusters?format=json"),
        (Method::GET, "/clusters?filter=("),
        (Method::GET, "/listeners"),
        (Method::GET, "/listeners?format=json"),
        (Method::GET, "/server_info"),
        (Method::GET, "/stats"),
        (Method::GET, "/stats?format=json"),
        (Method::GET, "/stats?format=bogus"),
        (Method::GET, "/stats?format=html"),
        (Method::GET, "/stats?filter=("),
        (Method::GET, "/stats?type=bogus"),
        (Method::GET, "/stats?histogram_buckets=bogus"),
        (Method::GET, "/stats?histogram_buckets=detailed"),
        (Method::GET, "/stats/prometheus"),
        (Method::GET, "/stats/"),
        (Method::GET, "/config_dump"),
        (Method::GET, "/config_dump?include_eds"),
        (Method::GET, "/config_dump?resource=bogus"),
        (Method::GET, "/config_dump?mask=zzz"),
        (Method::GET, "/config_dump?name_regex=("),
        (Method::GET, "/config_dump?resource=bootstrap"),
        (Method::GET, "/memory"),
        (Method::GET, "/hot_restart_version"),
        (Method::GET, "/init_dump"),
        (Method::GET, "/runtime"),
        (Method::POST, "/runtime_modify?a=b"),
        (Method::POST, "/runtime_modify"),
        (Method::GET, "/runtime_modify?a=b"),
        (Method::GET, "/logging"),
        (Method::POST, "/logging"),
        (Method::POST, "/logging?level=bad"),
        (Method::POST, "/logging?nope=info"),
        (Method::GET, "/quitquitquit"),
        (Method::PUT, "/reset_counters"),
        (Method::POST, "/reset_counters"),
        (Method::POST, "/reopen_logs"),
        (Method::GET, "/healthcheck/fail"),
        (Method::POST, "/healthcheck/fail"),
        (Method::GET, "/ready"),
        (Method::POST, "/healthcheck/ok"),
        (Method::POST, "/drain_listeners?graceful"),
        (Method::GET, "/ready"),
    ];
    for (method, path) in asked {
        let [theirs, ours] = both.ask(&method, path).await;
        assert_eq!(shape(&theirs), shape(&ours), "{method} {path}");
    }
}

/// Status and fields of an answer, but for the date. (Of a HEAD, Envoy says `chunked` too.)
fn shape(answer: &Answer) -> (u16, Vec<(String, String)>) {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let mut fields: Vec<_> = answer
        .headers
        .iter()
        .map(field)
        .filter(|(name, _)| name != "date")
        .collect();
    fields.sort();
    // Envoy says it twice where something is wrong with what `/config_dump` is asked.
    fields.dedup();
    (answer.status.as_u16(), fields)
}

#[tokio::test]
async fn short_answers_are_the_same_to_the_byte() {
    let Some(both) = both("the comparison of short admin answers with Envoy").await else {
        return;
    };
    for path in [
        "/ready",
        "/stats?filter=(",
        "/stats?format=bogus",
        "/stats?type=bogus",
        "/stats?filter=^server.(live|state)$",
        "/stats?filter=^server.live$&format=json",
        "/stats?filter=nothing&format=json",
        "/stats/prometheus?filter=^server.live$",
        "/stats?filter=^server.total_connections$&type=Counters",
        "/clusters?filter=(",
        "/clusters?filter=nothing&format=json",
        "/config_dump?resource=bogus",
        "/config_dump?resource=bootstrap",
        "/config_dump?mask=zzz",
        "/config_dump?name_regex=(",
        "/config_dump?resource=dynamic_listeners",
        "/config_dump?resource=static_endpoint_configs",
        "/init_dump",
        "/logging",
        "/quitquitquit",
    ] {
        let [theirs, ours] = both.texts(path).await;
        assert_eq!(theirs, ours, "{path}");
    }
    // Envoy writes its two fields in any order.
    let runtime = both.texts("/runtime").await;
    let [theirs, ours] = runtime.map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap());
    assert_eq!(theirs, ours, "/runtime");
}

#[tokio::test]
async fn json_has_the_same_fields() {
    let Some(both) = both("the comparison of admin JSON with Envoy").await else {
        return;
    };
    both.traffic().await;
    for path in ["/clusters?format=json", "/listeners?format=json", "/memory"] {
        let [theirs, ours] = both
            .texts(path)
            .await
            .map(|text| keys(&serde_json::from_str(&text).unwrap()));
        assert_eq!(theirs, ours, "{path}");
    }
    let [theirs, ours] = both.texts("/server_info").await;
    let top = |text: &str| -> Vec<String> {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        json.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(top(&theirs), top(&ours));
}

/// Every path of fields, whatever the place in a list.
fn keys(json: &serde_json::Value) -> BTreeSet<String> {
    fn gather(json: &serde_json::Value, at: &str, keys: &mut BTreeSet<String>) {
        match json {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    let path = format!("{at}.{name}");
                    gather(value, &path, keys);
                    keys.insert(path);
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| gather(item, at, keys)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    gather(json, "", &mut found);
    found
}

/// What Envoy has and this has not: the admin's own connections, threads, what it warns itself of; and what the store, the
/// control planes and the program add, which are not part of this test.
const ONLY_ENVOYS: &[&str] = &[
    "http.admin.",
    "http.async-client.",
    "listener.admin.",
    "listener.ADDRESS.worker_",
    "server.worker_",
    "server.main_thread.",
    "thread_local_cluster_manager.",
    "cluster_manager.",
    "listener_manager.",
    "filesystem.",
    "overload.",
    "runtime.load_success",
    "server.static_unknown_fields",
    "server.dynamic_unknown_fields",
];

/// What this has and Envoy has not.
const ONLY_OURS: &[&str] = &["tidegate"];

#[tokio::test]
async fn statistics_have_the_same_names() {
    let Some(both) = both("the comparison of the names of statistics with Envoy").await else {
        return;
    };
    both.traffic().await;
    let [theirs, ours] = both.texts("/stats").await.map(|text| names(&text));
    let missing = unexplained(&theirs, &ours, ONLY_ENVOYS);
    assert!(missing.is_empty(), "only Envoy has {missing:#?}");
    let extra = unexplained(&ours, &theirs, ONLY_OURS);
    assert!(extra.is_empty(), "only this has {extra:#?}");
    let [theirs, ours] = both.texts("/stats/prometheus").await.map(|text| types(&text));
    let differ: Vec<_> = ours
        .difference(&theirs)
        .filter(|line| !line.contains(" tidegate_"))
        .collect();
    assert!(
        differ.is_empty(),
        "families that Envoy has not, or as another type: {differ:#?}"
    );
}

fn names(text: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let (name, _) = line.split_once(": ")?;
        let name = match name.strip_prefix("listener.127.0.0.1_") {
            Some(rest) => format!("listener.ADDRESS.{}", rest.split_once('.')?.1),
            None => name.to_owned(),
        };
        Some(name)
    };
    text.lines().filter_map(name).collect()
}

fn types(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter(|line| line.starts_with("# TYPE "));
    types.map(str::to_owned).collect()
}

fn unexplained(have: &BTreeSet<String>, other: &BTreeSet<String>, known: &[&str]) -> Vec<String> {
    let new = have.difference(other);
    new.filter(|name| !known.iter().any(|known| name.starts_with(known)))
        .cloned()
        .collect()
}

#[tokio::test]
async fn the_same_requests_count_the_same() {
    let Some(both) = both("the comparison of counts with Envoy").await else {
        return;
    };
    both.traffic().await;
    let [theirs, ours] = both.texts("/stats/prometheus").await.map(|text| series(&text));
    assert_eq!(theirs, ours);
}

/// The series that dashboards ask for first, whose values do not depend on time.
fn series(text: &str) -> BTreeSet<String> {
    const COMPARED: &[&str] = &[
        "envoy_cluster_upstream_rq{",
        "envoy_cluster_upstream_rq_xx{",
        "envoy_cluster_upstream_rq_completed{",
        "envoy_cluster_upstream_rq_total{",
        "envoy_cluster_upstream_rq_active{",
        "envoy_cluster_upstream_rq_pending_total{",
        "envoy_cluster_upstream_rq_pending_active{",
        "envoy_cluster_upstream_cx_connect_fail{",
        "envoy_cluster_external_upstream_rq{",
        "envoy_cluster_membership_healthy{",
        "envoy_cluster_membership_total{",
        "envoy_cluster_circuit_breakers_",
        "envoy_http_downstream_rq_xx{",
        "envoy_http_downstream_rq_total{",
        "envoy_http_downstream_rq_completed{",
        "envoy_http_downstream_rq_active{",
        "envoy_http_downstream_rq_http1_total{",
        "envoy_http_downstream_cx_total{",
        "envoy_http_downstream_cx_active{",
        "envoy_http_downstream_cx_destroy{",
        "envoy_http_no_route{",
        "envoy_http_rq_direct_response{",
        "envoy_http_rq_total{",
        "envoy_server_live{",
        "envoy_server_state{",
        "envoy_server_concurrency{",
    ];
    let wanted = |line: &&str| {
        COMPARED.iter().any(|name| line.starts_with(name))
            && !line.contains("conn_manager_prefix=\"admin\"")
            && !line.contains("prefix=\"async-client\"")
    };
    text.lines().filter(wanted).map(str::to_owned).collect()
}
