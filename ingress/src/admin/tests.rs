//! Do the endpoints answer as Envoy's do?

use std::net::SocketAddr;
use std::sync::Mutex;

use http::{Method, Request, StatusCode};
use prost::{Message as _, Name as _};
use tidegate_proxy::cluster::breaker::{BreakerSettings, Thresholds};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::drain::{Drain, Watch};
use tidegate_proxy::listener::ListenAddress;
use tidegate_proxy::observe::access_log::{AccessLog, Format, Sink};
use tidegate_proxy::process;
use tidegate_testkit::body;
use tidegate_testkit::client::{Answer, Client};
use tidegate_xds::resource::{Kept, Kind, Raw};
use tidegate_xds::store::view::{Entry, Failure, Origin, State};

use super::*;
use crate::lifecycle::{DrainOrder, End, Manner, Scope, Stage};
use crate::stats::Recorder;

/// Running endpoints.
struct Asked {
    address: SocketAddr,
    lifecycle: Lifecycle,
    view: Arc<ArcSwap<View>>,
    lines: Arc<Lines>,
    _drain: Drain,
    _watch: Watch,
}

/// Keeps the lines of the access log.
#[derive(Debug, Default)]
struct Lines(Mutex<String>);

impl Sink for Lines {
    fn write(&self, line: Vec<u8>) {
        self.0.lock().unwrap().push_str(&String::from_utf8(line).unwrap());
    }
}

fn settings(lines: &Arc<Lines>) -> Settings {
    let endpoint = Endpoint::new("10.0.0.1:80".parse::<SocketAddr>().unwrap());
    let breakers = BreakerSettings {
        default: Thresholds::usual(),
        high: Thresholds::usual(),
    };
    let cluster = Cluster::new(ClusterSettings {
        breakers: breakers.into(),
        ..ClusterSettings::new("ns/c1")
    });
    cluster.set_endpoints(vec![endpoint.into()]);
    let proxy = Handle::new(Snapshot::new(
        [] as [tidegate_proxy::route::VirtualHost; 0],
        [cluster],
    ));
    let format =
        Format::text("%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %BYTES_SENT%\n").unwrap();
    let log = AccessLog::new(format, Arc::clone(lines) as Arc<dyn Sink>);
    Settings {
        lifecycle: Lifecycle::new(),
        stats: Registry::new(proxy.clone(), Recorder::default()),
        proxy,
        revisions: None,
        view: Arc::default(),
        bootstrap: Bootstrap {
            message: Bytes::new(),
            read_at: SystemTime::UNIX_EPOCH,
        },
        options: Json::Map(vec![("base_id".into(), Json::Text("0".to_owned()))]),
        concurrency: 1,
        restart_epoch: 0,
        logging: Arc::new(Directives::new(Level::Info, |_directives| {})),
        reopen_logs: Arc::new(|| {}),
        access_log: Some(Journal::new(vec![log])),
    }
}

impl Asked {
    fn start() -> Self {
        let lines = Arc::default();
        let settings = settings(&lines);
        let (lifecycle, view) = (settings.lifecycle.clone(), Arc::clone(&settings.view));
        let anywhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = bind(&ListenAddress::from(anywhere)).unwrap();
        let address = listener.address().unwrap();
        let (drain, watch) = Drain::new();
        let serving = Admin::new(settings).serve(listener, watch.clone());
        process::spawn("admin", watch.unguarded(), async move { serving.await.unwrap() });
        Self {
            address,
            lifecycle,
            view,
            lines,
            _drain: drain,
            _watch: watch,
        }
    }

    async fn send(&self, request: http::request::Builder) -> Answer {
        let mut client = Client::http1(self.address).await;
        client.call(request.body(body::empty()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).header("host", "admin")).await
    }

    async fn post(&self, path: &str) -> Answer {
        self.send(Request::post(path).header("host", "admin")).await
    }
}

#[tokio::test]
async fn ready_says_the_state_and_every_answer_has_envoys_fields() {
    let asked = Asked::start();
    let answer = asked.get("/ready").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (503, "PRE_INITIALIZING\n")
    );
    asked.lifecycle.reached(Stage::Live);
    let answer = asked.get("//ready?x=1").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "LIVE\n"));
    let fields = [
        ("content-type", "text/plain; charset=UTF-8"),
        ("cache-control", "no-cache, max-age=0"),
        ("x-content-type-options", "nosniff"),
        ("server", "envoy"),
        ("transfer-encoding", "chunked"),
    ];
    for (name, value) in fields {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(
        *asked.lines.0.lock().unwrap(),
        "GET /ready HTTP/1.1 503 17\nGET //ready?x=1 HTTP/1.1 200 5\n"
    );
}

#[tokio::test]
async fn paths_are_literal_and_changes_take_post_alone() {
    let asked = Asked::start();
    let check = async |path, status, text: &str| {
        let answer = asked.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().starts_with(text), "{path}: {}", answer.text());
    };
    let unknown = "invalid path. admin commands are:\n  /: Admin home page\n";
    check("/nope", StatusCode::NOT_FOUND, unknown).await;
    check("/ready/", StatusCode::NOT_FOUND, unknown).await;
    check("/ready/../quitquitquit", StatusCode::NOT_FOUND, unknown).await;
    check("/%72eady", StatusCode::NOT_FOUND, unknown).await;
    let not_so = "Method GET not allowed, POST required.";
    for path in [
        "/quitquitquit",
        "/drain_listeners?graceful",
        "/healthcheck/fail",
        "/logging",
    ] {
        check(path, StatusCode::METHOD_NOT_ALLOWED, not_so).await;
    }
    assert_eq!(asked.lifecycle.orders().borrow().end, None);
    check("/help", StatusCode::OK, "admin commands are:\n").await;
    check("/", StatusCode::OK, "<!DOCTYPE html>").await;
    check("/hot_restart_version", StatusCode::OK, "disabled\n").await;
    check("/init_dump", StatusCode::OK, "{}").await;
    check(
        "/runtime",
        StatusCode::OK,
        "{\n \"entries\": {},\n \"layers\": []\n}\n",
    )
    .await;
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let asked = Asked::start();
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let request = Request::post("/quitquitquit").header("host", "admin");
        let answer = asked.send(request.header(name, value)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(asked.lifecycle.orders().borrow().end, None);
    assert_eq!(asked.post("/quitquitquit").await.text(), "OK\n");
    assert_eq!(asked.lifecycle.orders().borrow().end, Some(End::Quit));
}

#[tokio::test]
async fn orders_reach_the_program() {
    let asked = Asked::start();
    for path in [
        "/drain_listeners?graceful",
        "/drain_listeners?graceful&skip_exit",
        "/drain_listeners?inboundonly",
    ] {
        assert_eq!(asked.post(path).await.text(), "OK\n");
    }
    let all = |manner| DrainOrder {
        manner,
        scope: Scope::All,
    };
    let inbound = DrainOrder {
        manner: Manner::AtOnce,
        scope: Scope::Inbound,
    };
    let expected = [all(Manner::Graceful), all(Manner::GracefulWithoutExit), inbound];
    assert_eq!(asked.lifecycle.orders().borrow().drains, expected);
    asked.post("/healthcheck/fail").await;
    assert_eq!(asked.get("/ready").await.text(), "DRAINING\n");
    asked.post("/healthcheck/ok").await;
    assert_eq!(asked.get("/ready").await.text(), "PRE_INITIALIZING\n");
    for path in ["/reset_counters", "/reopen_logs"] {
        assert_eq!(asked.post(path).await.text(), "OK\n", "{path}");
    }
}

#[tokio::test]
async fn clusters_are_shown_as_text_and_as_json() {
    let asked = Asked::start();
    let text = asked.get("/clusters").await.text();
    for line in [
        "ns/c1::observability_name::ns/c1\n",
        "ns/c1::default_priority::max_connections::1024\n",
        "ns/c1::added_via_api::false\n",
        "ns/c1::10.0.0.1:80::cx_active::0\n",
        "ns/c1::10.0.0.1:80::health_flags::healthy\n",
        "ns/c1::10.0.0.1:80::success_rate::-1\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
    assert_eq!(asked.get("/clusters?filter=nothing").await.text(), "");
    assert_eq!(asked.get("/clusters?filter=(").await.text(), "Invalid re2 regex");
    let json = asked.get("/clusters?format=json").await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    let json: serde_json::Value = serde_json::from_str(&json.text()).unwrap();
    let host = &json["cluster_statuses"][0]["host_statuses"][0];
    assert_eq!(host["address"]["socket_address"]["port_value"], 80);
    assert_eq!(host["health_status"]["eds_health_status"], "HEALTHY");
    assert_eq!(asked.get("/clusters?format=json&filter=x").await.text(), "{}\n");
}

fn entry(kind: Kind, name: &str, origin: Origin, state: State) -> Arc<Entry> {
    use envoy_types::pb::envoy::config::cluster::v3 as pb;
    let body = match kind {
        Kind::Cluster => pb::Cluster {
            name: name.to_owned(),
            alt_stat_name: "other".to_owned(),
            ..pb::Cluster::default()
        }
        .encode_to_vec(),
        _ => Vec::new(),
    };
    let raw = Kept::from(Raw::new(name, "v1", body.into()));
    let failure = Failure {
        attempt: raw.clone(),
        details: "no such thing".to_owned(),
        at: SystemTime::UNIX_EPOCH,
    };
    Arc::new(Entry {
        raw,
        origin,
        state,
        updated: SystemTime::UNIX_EPOCH,
        error: (state == State::Refused).then(|| failure.into()),
        notes: Box::default(),
    })
}

fn three_clusters() -> View {
    let clusters = vec![
        entry(Kind::Cluster, "fixed", Origin::Static, State::Active),
        entry(Kind::Cluster, "a", Origin::Dynamic, State::Active),
        entry(Kind::Cluster, "b", Origin::Dynamic, State::Refused),
    ];
    View {
        resources: [(Kind::Cluster, clusters)].into(),
        versions: [(Kind::Cluster, "v1".into())].into(),
        stale: false,
    }
}

#[tokio::test]
async fn the_configuration_is_dumped_in_envoys_messages() {
    let asked = Asked::start();
    asked.view.store(three_clusters().into());
    let text = asked.get("/config_dump?include_eds").await.text();
    let dump: serde_json::Value = serde_json::from_str(&text).unwrap();
    let types = dump["configs"].as_array().unwrap().iter().map(|config| {
        let name = config["@type"].as_str().unwrap();
        name.trim_start_matches("type.googleapis.com/envoy.admin.v3.")
            .to_owned()
    });
    let expected = [
        "BootstrapConfigDump",
        "ClustersConfigDump",
        "EndpointsConfigDump",
        "ListenersConfigDump",
        "ScopedRoutesConfigDump",
        "RoutesConfigDump",
        "SecretsConfigDump",
    ];
    assert_eq!(types.collect::<Vec<_>>(), expected);
    let clusters = &dump["configs"][1];
    assert_eq!(clusters["version_info"], "v1");
    assert_eq!(clusters["static_clusters"][0]["cluster"]["name"], "fixed");
    assert_eq!(
        clusters["dynamic_active_clusters"][0]["last_updated"],
        "1970-01-01T00:00:00Z"
    );
    let refused = &clusters["dynamic_warming_clusters"][0];
    assert_eq!(refused["error_state"]["details"], "no such thing");
    assert_eq!(
        (&refused["client_status"], refused.get("cluster")),
        (&"NACKED".into(), None)
    );
    assert!(text.starts_with("{\n \"configs\": [\n  {\n   \"@type\": \""));
    assert!(text.ends_with("\n  }\n ]\n}\n"));
}

#[tokio::test]
async fn a_resource_a_mask_and_a_name_narrow_the_dump() {
    let asked = Asked::start();
    asked.view.store(three_clusters().into());
    let check = async |query: &str, status: u16, expected: &str| {
        let answer = asked.get(&format!("/config_dump?{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (status, expected),
            "{query}"
        );
    };
    let static_cluster = "{\n \"configs\": [\n  {\n   \"@type\": \"type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster\",\n   \"cluster\": {\n    \"@type\": \"type.googleapis.com/envoy.config.cluster.v3.Cluster\",\n    \"name\": \"fixed\"\n   }\n  }\n ]\n}\n";
    check("resource=static_clusters&mask=cluster.name", 200, static_cluster).await;
    check("resource=static_clusters&name_regex=zzz", 200, "{}\n").await;
    check("resource=dynamic_listeners", 200, "{}\n").await;
    check("resource=bogus", 404, "bogus not found in config dump").await;
    check(
        "resource=static_endpoint_configs",
        404,
        "static_endpoint_configs not found in config dump",
    )
    .await;
    let scalar = "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field";
    check("resource=bootstrap&mask=node.id", 400, scalar).await;
    let mask = "FieldMask zzz could not be successfully applied to any configs.";
    check("mask=zzz", 400, mask).await;
    let regex = "INVALID_ARGUMENT: Error while parsing name_regex from (: missing ): (";
    check("name_regex=(", 400, regex).await;
}

#[tokio::test]
async fn what_was_read_from_disk_and_not_confirmed_is_marked() {
    let asked = Asked::start();
    asked.view.store(Arc::new(View {
        stale: true,
        ..three_clusters()
    }));
    let text = asked
        .get("/config_dump?resource=dynamic_active_clusters")
        .await
        .text();
    assert!(text.contains("\"client_status\": \"REQUESTED\""), "{text}");
    let stale = asked.get("/stats?filter=config_stale").await.text();
    assert_eq!(stale, "tidegate.config_stale: 1\n");
}

#[tokio::test]
async fn server_info_logging_and_memory_have_envoys_shape() {
    let asked = Asked::start();
    let info: serde_json::Value = serde_json::from_str(&asked.get("/server_info").await.text()).unwrap();
    assert_eq!(
        (&info["state"], &info["hot_restart_version"]),
        (&"PRE_INITIALIZING".into(), &"disabled".into())
    );
    assert_eq!(info["command_line_options"]["base_id"], "0");
    assert_eq!(info["node"]["user_agent_name"], "envoy");
    let changed = asked.post("/logging?upstream=debug").await.text();
    assert!(
        changed.starts_with("active loggers:\n  admin: info\n") && changed.contains("  upstream: debug\n")
    );
    let refused = asked.post("/logging?level=bad").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused
            .text()
            .starts_with("error: unknown logger level\n\nusage: /logging?<name>=<level>")
    );
    let memory: serde_json::Value = serde_json::from_str(&asked.get("/memory").await.text()).unwrap();
    assert_ne!(memory["allocated"], "0");
    let runtime = asked.post("/runtime_modify?a=b").await;
    assert_eq!(
        (runtime.status.as_u16(), runtime.text().as_str()),
        (503, "No admin layer specified")
    );
    let request = Request::builder()
        .method(Method::HEAD)
        .uri("/ready")
        .header("host", "admin");
    assert_eq!(asked.send(request).await.text(), "");
}

#[tokio::test]
async fn a_unix_socket_is_served_with_its_mode_and_nothing_but_a_stale_one_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    let address = ListenAddress::Unix(tidegate_proxy::listener::settings::UnixAddress {
        path: path.clone(),
        mode: Some(0o600),
    });
    std::fs::write(&path, "somebody's").unwrap();
    assert!(bind(&address).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"somebody's");
    std::fs::remove_file(&path).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = bind(&address);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let (drain, watch) = Drain::new();
    let serving = Admin::new(settings(&Arc::default())).serve(listener.unwrap(), watch.clone());
    process::spawn("admin", watch.unguarded(), async move { serving.await.unwrap() });
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let mut client = Client::http1_over(stream).await;
    let request = Request::get("/ready").header("host", "admin");
    assert_eq!(
        client.call(request.body(body::empty()).unwrap()).await.status,
        503
    );
    drop(drain);
}

/// A listener whose connection manager brings its routes itself.
fn with_inline_routes(name: &str) -> Bytes {
    use envoy_types::pb::envoy::config::listener::v3 as listener;
    use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
    use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as manager;
    let manager = manager::HttpConnectionManager {
        route_specifier: Some(manager::http_connection_manager::RouteSpecifier::RouteConfig(
            RouteConfiguration {
                name: name.to_owned(),
                ..RouteConfiguration::default()
            },
        )),
        ..manager::HttpConnectionManager::default()
    };
    let any = envoy_types::pb::google::protobuf::Any {
        type_url: manager::HttpConnectionManager::type_url(),
        value: manager.encode_to_vec(),
    };
    let filter = listener::Filter {
        config_type: Some(listener::filter::ConfigType::TypedConfig(any)),
        ..listener::Filter::default()
    };
    let chain = listener::FilterChain {
        filters: vec![filter],
        ..listener::FilterChain::default()
    };
    let listener = listener::Listener {
        filter_chains: vec![chain.clone()],
        default_filter_chain: Some(chain),
        ..listener::Listener::default()
    };
    listener.encode_to_vec().into()
}

#[tokio::test]
async fn routes_that_a_listener_brings_itself_are_dumped_as_static_ones() {
    let asked = Asked::start();
    let mut listener = Entry::clone(&entry(Kind::Listener, "l", Origin::Dynamic, State::Active));
    listener.raw = Kept::from(Raw::new("l", "v1", with_inline_routes("own")));
    asked.view.store(Arc::new(View {
        resources: [(Kind::Listener, vec![Arc::new(listener)])].into(),
        ..View::default()
    }));
    let dumped = async |path: &str, behind: &str| {
        let text = asked.get(path).await.text();
        text.split(behind)
            .nth(1)
            .map_or(0, |rest| rest.matches("\"own\"").count())
    };
    let list = "static_route_configs";
    assert_eq!(dumped("/config_dump", list).await, 2);
    assert_eq!(
        dumped("/config_dump?resource=static_route_configs", "configs").await,
        2
    );
    assert_eq!(dumped("/config_dump?name_regex=other", list).await, 0);
}
