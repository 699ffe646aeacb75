//! What requests meet, as the cluster changes around them.

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use serde_json::json;
use tidegate_proxy::{drain::Drain, layers::timeout::Timeouts};
use tidegate_testkit::wait::eventually;

use super::*;
use crate::{
    backends::{Asked, ask::Answer, endpoints::Service},
    registry::Registry,
    world::Found,
};

/// A cluster with pods that answer as they are told, and one service.
#[derive(Default)]
struct Scripted {
    answers: Mutex<HashMap<SocketAddr, Asked>>,
    service: Mutex<Option<Service>>,
}

impl Ask for Scripted {
    fn ask<'a>(&'a self, address: SocketAddr, _host: Option<&'a HeaderValue>) -> Answer<'a> {
        let answer = self.answers.lock().unwrap().get(&address).copied();
        Box::pin(async move { answer.unwrap_or(Asked::Failed) })
    }
}

impl World for Scripted {
    fn service<'a>(&'a self, _namespace: &'a str, name: &'a str) -> Found<'a, Service> {
        let service = self.service.lock().unwrap().clone();
        let service = service.filter(|service| service.metadata.name == name);
        Box::pin(async move { service })
    }
}

struct Stage {
    steering: Steering,
    directory: Arc<Directory>,
    cluster: Arc<Scripted>,
    _drain: Drain,
}

fn key() -> Key {
    Key {
        namespace: "ns".to_owned(),
        name: "rev".to_owned(),
    }
}

fn facts(timeout_seconds: u32) -> Event {
    Event::Revision(Box::new(RevisionFacts {
        key: key(),
        service: "svc".to_owned(),
        configuration: "conf".to_owned(),
        container_concurrency: 1,
        timeouts: Timeouts::from_seconds(timeout_seconds, 0, 0),
        port_name: "http",
        believe_pods: true,
    }))
}

fn endpoints(ips: &[&str]) -> Endpoints {
    let addresses: Vec<_> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
    let subset = json!({"addresses": addresses, "ports": [{"name": "http", "port": 8012}]});
    serde_json::from_value(json!({ "subsets": [subset] })).unwrap()
}

fn address(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), 8012)
}

impl Stage {
    fn new() -> Self {
        let (drain, watch) = Drain::new();
        let directory = Directory::new(Registry::new());
        let cluster = Arc::new(Scripted::default());
        let settings = Settings {
            own: "10.0.9.1".parse().unwrap(),
            mesh: Mesh::Auto,
            passthrough: false,
            pace: Pace {
                interval: Duration::from_millis(2),
                timeout: Duration::from_secs(1),
            },
            ask: Arc::clone(&cluster) as _,
            world: Arc::clone(&cluster) as _,
            encrypted: None,
        };
        let mut steering = Steering::new(settings, Arc::clone(&directory), watch);
        steering.take(Event::Synced);
        Self {
            steering,
            directory,
            cluster,
            _drain: drain,
        }
    }

    fn answers(&self, ips: &[&str], asked: Asked) {
        let mut answers = self.cluster.answers.lock().unwrap();
        answers.extend(ips.iter().map(|ip| (address(ip), asked)));
    }

    /// The addresses that requests of the revision can go to now.
    fn reached(&self) -> Option<Vec<String>> {
        let entry = self.directory.get("ns", "rev")?;
        let pods = entry.revision.pods();
        Some(
            pods.iter()
                .map(|pod| pod.endpoint().address().to_string())
                .collect(),
        )
    }

    async fn reaches(&self, expected: &[&str]) {
        eventually(&format!("{expected:?}"), async || {
            let reached = self.reached();
            let found = reached.as_ref().is_some_and(|reached| reached == expected);
            found.then_some(()).ok_or_else(|| format!("{reached:?}"))
        })
        .await;
    }
}

#[tokio::test]
async fn ac_30_pods_that_answer_are_reached_whichever_came_first() {
    for pods_first in [false, true] {
        let mut stage = Stage::new();
        stage.answers(&["10.0.0.1"], Asked::Ready);
        let mut events = [
            facts(300),
            Event::Private(key(), endpoints(&["10.0.0.1", "10.0.0.2"])),
        ];
        if pods_first {
            events.reverse();
        }
        events.into_iter().for_each(|event| stage.steering.take(event));
        stage.reaches(&["10.0.0.1:8012"]).await;
        stage.answers(&["10.0.0.2"], Asked::Ready);
        stage.reaches(&["10.0.0.1:8012", "10.0.0.2:8012"]).await;
    }
}

#[tokio::test]
async fn ac_32_a_service_stands_for_pods_behind_a_mesh() {
    let mut stage = Stage::new();
    stage.answers(&["10.0.0.1"], Asked::PerhapsMesh);
    let service = json!({"metadata": {"name": "rev-private"},
        "spec": {"clusterIP": "10.1.0.1", "ports": [{"name": "http", "port": 80}]}});
    *stage.cluster.service.lock().unwrap() = Some(serde_json::from_value(service).unwrap());
    let at = SocketAddr::new("10.1.0.1".parse().unwrap(), 80);
    stage.cluster.answers.lock().unwrap().insert(at, Asked::Ready);
    stage.steering.take(facts(300));
    stage
        .steering
        .take(Event::Private(key(), endpoints(&["10.0.0.1"])));
    stage.reaches(&["10.1.0.1:80"]).await;
}

#[tokio::test]
async fn ac_38_a_revision_whose_pods_are_not_listed_any_more_reaches_nothing() {
    let mut stage = Stage::new();
    stage.answers(&["10.0.0.1"], Asked::Ready);
    stage.steering.take(facts(300));
    stage
        .steering
        .take(Event::Private(key(), endpoints(&["10.0.0.1"])));
    stage.reaches(&["10.0.0.1:8012"]).await;
    stage.steering.take(Event::PrivateGone(key()));
    assert_eq!(stage.reached(), Some(Vec::new()));
    stage
        .steering
        .take(Event::Private(key(), endpoints(&["10.0.0.1"])));
    stage.reaches(&["10.0.0.1:8012"]).await;
}

#[tokio::test]
async fn ac_22_a_deleted_revision_is_not_known_any_more() {
    let mut stage = Stage::new();
    stage.steering.take(facts(300));
    let entry = stage.directory.get("ns", "rev").unwrap();
    stage.steering.take(Event::RevisionGone(key()));
    assert_eq!(stage.reached(), None);
    assert!(entry.revision.refusal().is_some());
    assert!(stage.steering.known.is_empty());
}

#[tokio::test]
async fn what_changes_of_a_revision_changes_without_its_pods() {
    let mut stage = Stage::new();
    stage.answers(&["10.0.0.1"], Asked::Ready);
    stage.steering.take(facts(300));
    stage
        .steering
        .take(Event::Private(key(), endpoints(&["10.0.0.1"])));
    stage.reaches(&["10.0.0.1:8012"]).await;
    let before = stage.directory.get("ns", "rev").unwrap();
    stage.steering.take(facts(7));
    let after = stage.directory.get("ns", "rev").unwrap();
    assert_eq!(after.timeouts.request, Duration::from_secs(7));
    assert!(Arc::ptr_eq(&before.revision, &after.revision));
    assert_eq!(stage.reached().unwrap(), ["10.0.0.1:8012"]);
}

#[tokio::test]
async fn ac_20_activators_that_come_and_go_change_the_share() {
    let mut stage = Stage::new();
    let pods = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    stage.answers(&pods, Asked::Ready);
    stage
        .steering
        .take(Event::Public(key(), endpoints(&["10.0.9.1", "10.0.9.2"])));
    stage.steering.take(facts(300));
    stage.steering.take(Event::Private(key(), endpoints(&pods)));
    stage.reaches(&["10.0.0.1:8012", "10.0.0.3:8012"]).await;
    let all = ["10.0.0.1:8012", "10.0.0.2:8012", "10.0.0.3:8012"];
    stage
        .steering
        .take(Event::Public(key(), endpoints(&["10.0.9.1"])));
    stage.reaches(&all).await;
    stage
        .steering
        .take(Event::Public(key(), endpoints(&["10.0.9.0", "10.0.9.1"])));
    stage.reaches(&["10.0.0.2:8012"]).await;
    stage
        .steering
        .take(Event::Public(key(), endpoints(&["10.0.9.7"])));
    stage.reaches(&["10.0.0.2:8012"]).await;
}

#[tokio::test]
async fn requests_find_nothing_before_all_was_told_and_then_everything() {
    let mut stage = Stage::new();
    stage.steering.synced = false;
    stage.steering.take(facts(300));
    assert!(stage.directory.get("ns", "rev").is_none());
    stage.steering.take(Event::Synced);
    assert!(stage.directory.get("ns", "rev").is_some());
}

#[tokio::test]
async fn a_revision_that_is_made_anew_under_its_name_leaves_nobody_waiting_for_the_old_one() {
    let mut stage = Stage::new();
    stage.steering.take(facts(300));
    let before = stage.directory.get("ns", "rev").unwrap();
    let Event::Revision(mut anew) = facts(300) else {
        panic!("it tells of a revision")
    };
    anew.container_concurrency = 2;
    stage.steering.take(Event::Revision(anew));
    let after = stage.directory.get("ns", "rev").unwrap();
    assert!(before.revision.refusal().is_some() && after.revision.refusal().is_none());
    assert_eq!(after.revision.settings().container_concurrency, 2);
}
