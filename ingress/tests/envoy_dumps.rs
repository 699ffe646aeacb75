//! Are `explain` and `diff` right about the dump of a real Envoy, and about our own of the same configuration?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use http::StatusCode;
use support::{Gateway, bootstrap, items};
use tidegate_ingress::diff::diff;
use tidegate_ingress::explain::{Answer, Configuration, Question, explain};
use tidegate_ingress::resources::Resources;
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::{CLUSTER, LISTENER, ROUTES};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::kourier::{Ports, Service};
use tidegate_testkit::peers;
use tidegate_testkit::upstream::Upstream;

/// What Kourier pushes, at Envoy and at ours.
struct World {
    envoy: Envoy,
    gateway: Gateway,
    planes: [ControlPlane; 2],
    ports: [Ports; 2],
    service: Service,
    _upstream: Upstream,
}

impl World {
    /// None where there is no Envoy to ask.
    async fn new(what: &str) -> Option<Self> {
        let program = peers::envoy(what)?;
        let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
        let planes = [ControlPlane::start().await, ControlPlane::start().await];
        let ports = [Ports::free(), Ports::free()];
        let service = Service::numbered(1, vec![upstream.address()]);
        for (plane, ports) in planes.iter().zip(ports) {
            plane.set(&items(std::slice::from_ref(&service), ports));
        }
        let envoy = Envoy::start(&program, &bootstrap(planes[0].address())).await;
        let gateway = Gateway::start(&planes[1], ports[1]);
        let mut world = Self {
            envoy,
            gateway,
            planes,
            ports,
            service,
            _upstream: upstream,
        };
        world.push().await;
        Some(world)
    }

    /// Pushes the service as it is now, and waits until both have it.
    async fn push(&mut self) {
        for (plane, ports) in self.planes.iter().zip(self.ports) {
            let version = plane.set(&items(std::slice::from_ref(&self.service), ports));
            for kind in [CLUSTER, LISTENER, ROUTES] {
                plane.accepted(kind, &version).await;
            }
        }
        self.envoy.live().await;
    }

    /// Both dumps: Envoy's first.
    async fn dumps(&self) -> [Resources; 2] {
        let path = "/config_dump?include_eds";
        let texts = [
            self.envoy.get(path).await.text(),
            self.gateway.asks(path).await.text(),
        ];
        texts.map(|text| Resources::of_dump("dump", text.as_bytes()).expect("it is a dump"))
    }
}

fn ask(resources: &Resources, url: &str, headers: &[&str]) -> Answer {
    let headers: Vec<String> = headers.iter().map(|&header| header.to_owned()).collect();
    let mut question = Question::new("GET", url, &headers).expect("a question");
    question.listener = Some("listener_8080".to_owned());
    let configuration = Configuration::read(resources).expect("it can be read");
    explain(&configuration, &question).expect("it can be answered")
}

#[tokio::test]
async fn a_request_goes_the_way_that_the_dump_says() {
    let Some(world) = World::new("explanations of Envoy's dump").await else {
        return;
    };
    let [theirs, ours] = world.dumps().await;
    let host = world.service.external_host();
    for (url, headers) in [
        (format!("http://{host}/"), &[][..]),
        (
            format!("http://{host}:8080/a?b"),
            &["K-Network-Hash: override"][..],
        ),
        ("http://nobody.example.com/".to_owned(), &[]),
    ] {
        let answers = [&theirs, &ours].map(|resources| ask(resources, &url, headers));
        // Each listens at a port of its own.
        let port = |one: usize| world.ports[one].external.to_string();
        let pages = [0, 1].map(|one| answers[one].page.to_text().replace(&port(one), "PORT"));
        assert_eq!(pages[0], pages[1], "{url}");
        assert_eq!(
            answers[0].routed,
            !url.contains("nobody"),
            "{}",
            answers[0].page.to_text()
        );
    }
    let found = ask(&theirs, &format!("http://{host}/"), &[]).page.to_text();
    let pod = world.service.pods[0].to_string();
    for part in ["external_services", "default/service-00001-00001", &pod] {
        assert!(found.contains(part), "{part}: {found}");
    }
}

#[tokio::test]
async fn a_push_changes_what_the_dumps_before_and_after_say() {
    let Some(mut world) = World::new("differences of Envoy's dumps").await else {
        return;
    };
    let before = world.dumps().await;
    assert!(!diff(&before[0], &world.dumps().await[0]).differs);
    world.service.hash = "another".to_owned();
    world
        .service
        .pods
        .push("127.0.0.1:9".parse().expect("an address"));
    world.push().await;
    let after = world.dumps().await;
    let pages = [0, 1].map(|one| diff(&before[one], &after[one]).page.to_text());
    assert_eq!(pages[0], pages[1]);
    for part in [
        "external_services",
        "another",
        "default/service-00001-00001",
        "127.0.0.1",
    ] {
        assert!(pages[0].contains(part), "{part}: {}", pages[0]);
    }
}
