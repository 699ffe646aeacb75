//! What does it cost clients that a control plane is wrong, empty or dead? Nothing, and operators see it.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, route_match};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as manager;
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;
use envoy_types::pb::google::protobuf::Any;
use http::StatusCode;
use support::load::Load;
use support::managers::edit_manager;
use support::{Gateway, edit, items};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::{CLUSTER, Gate, Item, LISTENER, ROUTES};
use tidegate_testkit::kourier::{Ports, Service};
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually;
use tokio::net::TcpListener;

/// A gateway that serves two services, and everything around it.
struct Scene {
    upstream: Upstream,
    control_plane: ControlPlane,
    gateway: Gateway,
    services: Vec<Service>,
    load: Load,
}

impl Scene {
    async fn start(flags: &[&str]) -> Self {
        let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
        let (control_plane, ports) = (ControlPlane::start_with(Gate::Absent).await, Ports::free());
        let services: Vec<_> = [1, 2]
            .map(|number| Service::numbered(number, vec![upstream.address()]))
            .into();
        control_plane.set(&items(&services, ports));
        let gateway = Gateway::start_with(control_plane.address(), ports, flags);
        let hosts: Vec<_> = services.iter().map(Service::external_host).collect();
        for host in &hosts {
            gateway.answers(host, 200).await;
        }
        let load = Load::start(gateway.external(), &hosts);
        Self {
            upstream,
            control_plane,
            gateway,
            services,
            load,
        }
    }

    fn ports(&self) -> Ports {
        self.gateway.ports
    }

    fn items(&self) -> Vec<Item> {
        items(&self.services, self.ports())
    }

    /// One more service, which nobody has asked for yet.
    fn grow(&mut self) -> String {
        let service = Service::numbered(self.services.len() + 1, vec![self.upstream.address()]);
        let host = service.external_host();
        self.services.push(service);
        host
    }

    /// Pushes what is wrong: it is refused in these words, costs nothing, shows, and is gone with the next good push.
    async fn refuses(&mut self, what: &str, bad: &[Item], (kind, says): (&str, &str), seen: Seen) {
        let (before, lines) = (self.gateway.stat(seen.counter).await, self.lines());
        let told = self.control_plane.requests().len();
        self.control_plane.set(bad);
        eventually(&format!("{what}: its refusal"), async || {
            let requests = self.control_plane.requests();
            let mut new = requests.iter().skip(told);
            let found = new.find_map(|request| request.error.clone().filter(|_| request.type_url == kind));
            let (code, message) = found.ok_or_else(String::new)?;
            let right = code == 13 && (message == says || says.ends_with(':') && message.starts_with(says));
            right.then_some(()).ok_or(message)
        })
        .await;
        self.load.goes_on(50).await;
        // It is sent again and again.
        eventually(&format!("{what}: its counter"), async || {
            self.gateway.stat(seen.counter).await > before + 3
        })
        .await;
        if let Some(resource) = seen.resource {
            assert_eq!(self.lines(), lines + 1, "{what}");
            let states = self.errors(resource).await;
            // There without the names of what was refused, which stand beside it.
            let why = says
                .trim_end()
                .trim_start_matches("Error adding/updating listener(s) listener_8080: ");
            assert_eq!(states, [why], "{what}");
        }
        let host = self.grow();
        let version = self.control_plane.set(&self.items());
        self.gateway.answers(&host, 200).await;
        self.control_plane.accepted(kind, &version).await;
        if let Some(resource) = seen.resource {
            assert!(self.errors(resource).await.is_empty(), "{what}");
        }
    }

    /// How many refusals the log speaks of.
    fn lines(&self) -> usize {
        let output = self.gateway.program.output();
        output
            .iter()
            .filter(|line| line.contains("an update is refused"))
            .count()
    }

    async fn errors(&self, resource: &str) -> Vec<String> {
        let dump = self.gateway.dump(resource).await;
        let states = dump.iter().filter_map(|entry| entry.get("error_state"));
        let details = states.filter_map(|state| state["details"].as_str());
        details.map(|details| details.trim_end().to_owned()).collect()
    }
}

/// Where a refusal shows.
#[derive(Clone, Copy)]
struct Seen {
    counter: &'static str,
    resource: Option<&'static str>,
}

const IN_CLUSTERS: Seen = Seen {
    counter: "cluster_manager.cds.update_rejected",
    resource: None,
};
const IN_LISTENERS: Seen = Seen {
    counter: "listener_manager.lds.update_rejected",
    resource: Some("dynamic_listeners"),
};
const IN_ROUTES: Seen = Seen {
    counter: "http.ingress_http.rds.external_services.update_rejected",
    resource: Some("dynamic_route_configs"),
};
const TABLE: (&str, &str) = (ROUTES, "external_services");

/// Puts a filter that nobody knows before the router.
fn add_unknown_filter(manager: &mut manager::HttpConnectionManager) {
    let unknown = manager::HttpFilter {
        name: "zzz".to_owned(),
        config_type: Some(manager::http_filter::ConfigType::TypedConfig(Any {
            type_url: "type.googleapis.com/google.protobuf.Struct".to_owned(),
            value: Vec::new(),
        })),
        ..Default::default()
    };
    manager.http_filters.insert(0, unknown);
}

fn bad_regex(table: &mut RouteConfiguration) {
    let route = table.virtual_hosts[0].routes[0]
        .r#match
        .as_mut()
        .expect("a match");
    route.path_specifier = Some(route_match::PathSpecifier::SafeRegex(RegexMatcher {
        regex: "/x[a".to_owned(),
        ..Default::default()
    }));
}

fn duplicate_domain(table: &mut RouteConfiguration) {
    let mut host = table.virtual_hosts[0].clone();
    host.name = "another".to_owned();
    table.virtual_hosts.push(host);
}

#[tokio::test]
async fn bytes_that_are_no_resource_are_refused_whole() {
    let mut scene = Scene::start(&[]).await;
    let mut bad = scene.items();
    bad.push(Item::new(CLUSTER, "garbage", b"\xff\xff\xff".to_vec()));
    let says = "Unable to unpack as envoy.config.cluster.v3.Cluster:";
    scene.refuses("garbage", &bad, (CLUSTER, says), IN_CLUSTERS).await;
    assert!(scene.load.ends().await > 0);
}

#[tokio::test]
async fn a_listener_with_an_unknown_filter_is_refused_and_the_one_before_serves_on() {
    let mut scene = Scene::start(&[]).await;
    let mut bad = scene.items();
    edit_manager(&mut bad, add_unknown_filter);
    let says = "Error adding/updating listener(s) listener_8080: Didn't find a registered implementation for 'zzz' with \
                type URL: 'google.protobuf.Struct'\n";
    scene
        .refuses("an unknown filter", &bad, (LISTENER, says), IN_LISTENERS)
        .await;
    assert!(scene.load.ends().await > 0);
}

#[tokio::test]
async fn wrong_routes_are_refused_in_envoys_words_and_those_before_serve_on() {
    let mut scene = Scene::start(&[]).await;
    let mut bad = scene.items();
    edit(&mut bad, TABLE, duplicate_domain);
    let says = "Only unique values for domains are permitted. Duplicate entry of domain \
                service-00001.default.example.com in route external_services";
    scene
        .refuses("a domain twice", &bad, (ROUTES, says), IN_ROUTES)
        .await;
    let mut bad = scene.items();
    edit(&mut bad, TABLE, bad_regex);
    scene
        .refuses("a bad regex", &bad, (ROUTES, "missing ]: [a"), IN_ROUTES)
        .await;
    assert!(scene.load.ends().await > 0);
}

#[tokio::test]
async fn routes_to_a_cluster_that_does_not_come_are_refused_to_the_byte() {
    let mut scene = Scene::start(&[]).await;
    let lacking = Service::numbered(77, vec![scene.upstream.address()]);
    let mut bad = items(&[scene.services.clone(), vec![lacking]].concat(), scene.ports());
    bad.retain(|item| item.name != "default/service-00077-00001");
    edit(
        &mut bad,
        (ROUTES, "internal_services"),
        |table: &mut RouteConfiguration| {
            table.virtual_hosts.clear();
        },
    );
    let says = "route: unknown weighted cluster 'default/service-00077-00001'";
    scene
        .refuses("an unknown cluster", &bad, (ROUTES, says), IN_ROUTES)
        .await;
    assert!(scene.load.ends().await > 0);
}

#[tokio::test]
async fn a_control_plane_that_is_dead_for_the_length_of_the_load_costs_nothing_and_is_found_again() {
    let mut scene = Scene::start(&[]).await;
    let connected = "control_plane.connected_state";
    assert_eq!(scene.gateway.stat(connected).await, 1);
    let address = scene.control_plane.address();
    let nobody = ControlPlane::start().await;
    drop(std::mem::replace(&mut scene.control_plane, nobody));
    eventually("the loss", async || scene.gateway.stat(connected).await == 0).await;
    scene.load.goes_on(500).await;
    let listener = TcpListener::bind(address).await.expect("its port is still free");
    scene.control_plane = ControlPlane::start_on(listener, Gate::default(), None);
    // It counts its versions anew, and what is pushed has another than what is in force.
    scene.control_plane.set(&scene.items());
    let host = scene.grow();
    let version = scene.control_plane.set(&scene.items());
    scene.gateway.answers(&host, 200).await;
    scene.control_plane.accepted(ROUTES, &version).await;
    assert_eq!(scene.gateway.stat(connected).await, 1);
    scene.load.goes_on(50).await;
    assert!(scene.load.ends().await > 500);
}

#[tokio::test]
async fn no_routes_at_all_change_nothing() {
    let mut scene = Scene::start(&[]).await;
    let mut without = scene.items();
    without.retain(|item| item.type_url != ROUTES);
    let version = scene.control_plane.set(&without);
    scene.control_plane.accepted(ROUTES, &version).await;
    scene.load.goes_on(100).await;
    let tables = scene.gateway.dump("dynamic_route_configs").await;
    assert_eq!(tables.len(), 2, "{tables:?}");
    assert!(scene.load.ends().await > 0);
}

#[tokio::test]
async fn no_clusters_at_all_delete_them() {
    let mut scene = Scene::start(&[]).await;
    // Its requests would fail.
    scene.load.stop().await;
    let mut without = scene.items();
    without.retain(|item| item.type_url != CLUSTER);
    let version = scene.control_plane.set(&without);
    scene.control_plane.accepted(CLUSTER, &version).await;
    scene
        .gateway
        .answers(&scene.services[0].external_host(), 503)
        .await;
    assert!(scene.gateway.dump("dynamic_active_clusters").await.is_empty());
    scene.control_plane.set(&scene.items());
    scene
        .gateway
        .answers(&scene.services[0].external_host(), 200)
        .await;
}

#[tokio::test]
async fn with_a_guard_nothing_at_all_deletes_nothing() {
    let mut scene = Scene::start(&["--guard-empty"]).await;
    let all = scene.items();
    for (kind, what) in [(CLUSTER, "2 clusters"), (LISTENER, "3 listeners")] {
        let without: Vec<_> = all.iter().filter(|item| item.type_url != kind).cloned().collect();
        scene.control_plane.set(&without);
        let message = scene.control_plane.refused(kind).await;
        let says = format!("an empty update would remove all {what} (--guard-empty)");
        assert_eq!(message, says);
        scene.load.goes_on(50).await;
    }
    let host = scene.grow();
    scene.control_plane.set(&scene.items());
    scene.gateway.answers(&host, 200).await;
    assert!(scene.load.ends().await > 0);
}
