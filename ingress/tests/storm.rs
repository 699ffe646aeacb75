//! What do clients see of pushes that come fast, in any order, or are huge? Nothing but what they ask for.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::time::Duration;

use envoy_types::pb::envoy::config::listener::v3::{FilterChain, FilterChainMatch, Listener};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::google::protobuf::{Struct, Value, value};
use http::StatusCode;
use support::load::Load;
use support::secrets::{secret_of, with_tls};
use support::{Gateway, bootstrap, edit, items};
use tidegate_testkit::certificates::{Authority, Wanted};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::{CLUSTER, Gate, Item, LISTENER, ROUTES, SECRET};
use tidegate_testkit::kourier::{Ports, Service};
use tidegate_testkit::program::Program;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually_within;

const SERVICES: usize = 700;
const SNAPSHOTS: usize = 300;
/// More requests than this are not answered before any of a snapshot is asked for.
const REQUESTS_MAX: usize = 100_000;

/// The same numbers in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
    }
}

/// Some of the upstreams, in any order; other hashes; further services come and go; chains for other ports and names that
/// nobody asks for, in any order around the one for everybody.
fn snapshot(chance: &mut Chance, services: &[Service], upstreams: &[Upstream], ports: Ports) -> Vec<Item> {
    let mut services = services.to_vec();
    for service in &mut services {
        service.pods = upstreams.iter().map(Upstream::address).collect();
        chance.shuffle(&mut service.pods);
        service.pods.truncate(1 + chance.below(upstreams.len()));
        service.hash = format!("{:064x}", chance.below(1000));
    }
    let others =
        (50..50 + chance.below(6)).map(|number| Service::numbered(number, vec![upstreams[0].address()]));
    services.extend(others);
    chance.shuffle(&mut services);
    let mut all = items(&services, ports);
    edit(
        &mut all,
        (LISTENER, "listener_8080"),
        |listener: &mut Listener| {
            let plain = listener.filter_chains.first().cloned().expect("a chain");
            let others = (0..chance.below(4)).map(|number| FilterChain {
                name: format!("chain-{number}"),
                filter_chain_match: Some(FilterChainMatch {
                    application_protocols: vec![format!("protocol-{number}")],
                    ..Default::default()
                }),
                ..plain.clone()
            });
            listener.filter_chains.extend(others);
            chance.shuffle(&mut listener.filter_chains);
        },
    );
    all
}

/// Nothing was refused but routes whose clusters a later snapshot had taken away before they came, which happens as kinds travel in
/// any order; and there was an answer to each response, a first request of each kind, more where names change.
fn asked_no_more_than_told(control_plane: &ControlPlane) {
    let requests = control_plane.requests();
    let overtaken = |text: &str| text.starts_with("route: unknown weighted cluster '");
    let refused: Vec<_> = requests
        .iter()
        .filter_map(|request| request.error.as_ref())
        .filter(|(_, text)| !overtaken(text))
        .collect();
    assert_eq!(refused, Vec::<&(i32, String)>::new());
    let (asked, told) = (requests.len(), control_plane.responses_sent());
    assert!(
        told > SNAPSHOTS && asked <= told + 10,
        "{asked} requests, {told} responses"
    );
}

#[tokio::test]
async fn a_storm_of_updates_fails_no_request_and_asks_no_more_than_it_is_answered() {
    let upstreams = [
        Upstream::fixed(StatusCode::OK, "one").await,
        Upstream::fixed(StatusCode::OK, "two").await,
        Upstream::fixed(StatusCode::OK, "three").await,
    ];
    let (control_plane, ports) = (ControlPlane::start_with(Gate::Absent).await, Ports::free());
    let services = [1, 2].map(|number| Service::numbered(number, Vec::new()));
    let mut chance = Chance(7);
    control_plane.set(&snapshot(&mut chance, &services, &upstreams, ports));
    // Nothing but the proxy's own haste slows it down.
    let bootstrap = bootstrap(control_plane.address()).replace("    rate_limit_settings: {}\n", "");
    let start = Program::new(env!("CARGO_BIN_EXE_tidegate-ingress"));
    let gateway = Gateway::of(start, &bootstrap, ports, &[]);
    let hosts = services.each_ref().map(Service::external_host);
    for host in &hosts {
        gateway.answers(host, 200).await;
    }
    let mut load = Load::start(gateway.external(), &hosts);
    let mut version = String::new();
    for _ in 0..SNAPSHOTS {
        let told = control_plane.responses_sent();
        version = control_plane.set(&snapshot(&mut chance, &services, &upstreams, ports));
        // The next comes once something of this one was sent, whether the rest was or not.
        let mut requests = 0;
        while control_plane.responses_sent() == told {
            let more = 1 + chance.below(4);
            load.goes_on(more).await;
            requests += more;
            assert!(requests < REQUESTS_MAX, "snapshot {version} is not asked for");
        }
    }
    for kind in [CLUSTER, ROUTES, LISTENER] {
        control_plane.accepted(kind, &version).await;
    }
    load.goes_on(50).await;
    let answered = load.ends().await;
    assert!(answered > SNAPSHOTS, "{answered}");
    asked_no_more_than_told(&control_plane);
}

/// Gives each virtual host as many bytes as those of many services have.
fn pad(table: &mut RouteConfiguration) {
    for (number, host) in table.virtual_hosts.iter_mut().enumerate() {
        let text = value::Kind::StringValue(format!("{number:014000x}"));
        let text = Value { kind: Some(text) };
        let padding = Struct {
            fields: [("padding".to_owned(), text)].into(),
        };
        let metadata = host.metadata.get_or_insert_default();
        metadata.filter_metadata.insert("padding".to_owned(), padding);
    }
}

#[tokio::test]
async fn forty_megabytes_are_taken_while_requests_go_on() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (control_plane, ports) = (ControlPlane::start_with(Gate::Absent).await, Ports::free());
    let mut services = vec![Service::numbered(0, vec![upstream.address()])];
    control_plane.set(&items(&services, ports));
    let gateway = Gateway::start(&control_plane, ports);
    let host = services[0].external_host();
    gateway.answers(&host, 200).await;
    let mut load = Load::start(gateway.external(), &[host]);
    // As 11 000 services in bytes, fewer in number: so that a build without optimisation takes it in time.
    services.extend((1..SERVICES).map(|number| Service::numbered(number, vec![upstream.address()])));
    let mut all = items(&services, ports);
    for table in ["external_services", "internal_services"] {
        edit(&mut all, (ROUTES, table), pad);
    }
    let bytes: usize = all.iter().map(|item| item.body.len()).sum();
    assert!(bytes > 40_000_000, "{bytes}");
    let version = control_plane.set(&all);
    for kind in [CLUSTER, LISTENER, ROUTES] {
        eventually_within("its ACK", Duration::from_secs(120), async || {
            let requests = control_plane.requests();
            let mut of_kind = requests.iter().filter(|request| request.type_url == kind);
            of_kind.any(|request| request.is_ack() && request.version == version)
        })
        .await;
    }
    gateway
        .answers(&services[SERVICES - 1].external_host(), 200)
        .await;
    load.goes_on(50).await;
    assert!(load.ends().await > 50);
}

#[tokio::test]
async fn an_expired_certificate_is_taken_and_shown_and_operators_see_it() {
    const NAME: &str = "old.example.com";
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let authority = Authority::new("authority");
    let old = authority.issue(&Wanted {
        expired: true,
        ..Wanted::names([NAME])
    });
    let mut all = items(&[], ports);
    with_tls(&mut all, &[NAME]);
    all.push(secret_of(NAME, &old));
    let version = control_plane.set(&all);
    let gateway = Gateway::start(&control_plane, ports);
    control_plane.accepted(SECRET, &version).await;
    control_plane.accepted(LISTENER, &version).await;
    let config = std::sync::Arc::new(authority.client_config(&["http/1.1"], None));
    let why = eventually_within("a handshake", Duration::from_secs(20), async || {
        tokio::net::TcpStream::connect(gateway.external()).await.ok()?;
        let shaken = tidegate_testkit::tls::connect(gateway.external(), NAME, &config).await;
        shaken.err().map(|error| error.to_string())
    })
    .await;
    // The client does not believe it: so it was shown.
    assert!(why.contains("certificate expired"), "{why}");
    let certs = gateway.asks("/certs").await.text();
    assert!(
        certs.contains(NAME) && certs.contains("\"days_until_expiration\": \"0\""),
        "{certs}"
    );
    assert!(
        certs.contains("\"expiration_time\": \"2020-12-31T00:00:00Z\""),
        "{certs}"
    );
    let stats = gateway
        .asks("/stats?filter=days_until_first_cert_expiring")
        .await
        .text();
    assert_eq!(stats, "server.days_until_first_cert_expiring: 0\n");
}
