//! What becomes of revisions, and of who waits for them, as they are told of anew.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use http::StatusCode;
use tidegate_proxy::{
    cluster::{ClusterSettings, Endpoint},
    drain::{Drain, Watch},
    layers::timeout::Timeouts,
};
use tidegate_testkit::{
    gate::Gate,
    upstream::{Upstream, answer},
    wait::eventually,
};

use super::*;
use crate::{
    Registry,
    throttle::{Dismissal, NoPlace},
};

/// A fleet with one revision.
struct Rig {
    fleet: Fleet,
    known: Known,
    directory: Arc<Directory>,
    _drain: Drain,
}

impl Rig {
    fn new(container_concurrency: u32) -> Self {
        let directory = Directory::new(Registry::new());
        let (drain, watch): (Drain, Watch) = Drain::new();
        let facts = RevisionFacts {
            key: key(),
            service: "svc".to_owned(),
            configuration: "conf".to_owned(),
            container_concurrency,
            timeouts: Timeouts::from_seconds(300, 0, 0),
            port_name: "http",
            believe_pods: true,
        };
        let known = Known {
            facts,
            ports: Ports::Same,
            cluster: Cluster::new(ClusterSettings::new("ns/rev-private")),
            pods: Sets::default(),
        };
        let mut rig = Self {
            fleet: Fleet::new(Arc::clone(&directory), watch),
            known,
            directory,
            _drain: drain,
        };
        rig.tell(|_| {});
        rig
    }

    /// Says all of it again, with a change.
    fn tell(&mut self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known);
        self.fleet.know(vec![self.known.clone()]);
    }

    fn entry(&self) -> Arc<Entry> {
        self.directory.get("ns", "rev").unwrap()
    }

    fn revision(&self) -> Arc<Revision> {
        Arc::clone(&self.entry().revision)
    }

    fn pods(&self) -> Vec<String> {
        let pods = self.revision().pods();
        pods.iter()
            .map(|pod| pod.endpoint().address().to_string())
            .collect()
    }
}

fn key() -> Key {
    Key {
        namespace: "ns".to_owned(),
        name: "rev".to_owned(),
    }
}

fn ready(pods: &[&str]) -> Sets {
    Sets {
        ready: pods.iter().map(|pod| pod.parse().unwrap()).collect(),
        ..Sets::default()
    }
}

#[tokio::test]
async fn a_pod_that_is_ready_takes_requests_at_once_and_stays_the_same_one() {
    let mut rig = Rig::new(1);
    rig.tell(|known| known.pods = ready(&["10.0.0.1:8012"]));
    assert_eq!(rig.pods(), ["10.0.0.1:8012"]);
    let lease = rig.revision().try_lease().unwrap();
    rig.tell(|known| known.pods = ready(&["10.0.0.1:8012", "10.0.0.2:8012"]));
    assert_eq!(rig.pods(), ["10.0.0.1:8012", "10.0.0.2:8012"]);
    let other = rig.revision().try_lease().unwrap();
    assert_eq!(other.endpoint().address().to_string(), "10.0.0.2:8012");
    assert!(rig.revision().try_lease().is_none(), "both are busy");
    drop((lease, other));
}

#[tokio::test]
async fn a_pod_that_is_not_ready_is_asked_and_taken_at_its_word() {
    let pod = Upstream::fixed(StatusCode::OK, "queue").await;
    let silent = Upstream::fixed(StatusCode::SERVICE_UNAVAILABLE, "").await;
    let mut rig = Rig::new(0);
    rig.tell(|known| known.pods.not_ready = [pod.address(), silent.address()].into());
    let taken = pod.address().to_string();
    eventually("the pod", async || rig.pods() == [&*taken]).await;
    rig.tell(|known| known.pods = ready(&[&taken]));
    assert_eq!(
        rig.pods(),
        [&*taken],
        "nothing changes when it is said by others too"
    );
    rig.tell(|known| known.pods = Sets::default());
    assert!(rig.pods().is_empty());
}

/// A rig in which a question may take as long as it likes, and a pod that never answers one.
async fn slow() -> (Rig, Upstream) {
    let mut rig = Rig::new(0);
    rig.fleet.asking.pace.timeout = Duration::from_secs(24 * 3600);
    let silent = Upstream::held(&Gate::closed()).await;
    rig.tell(|known| known.pods.not_ready = [silent.address()].into());
    eventually("the question", async || silent.counts().requests() == 1).await;
    (rig, silent)
}

#[tokio::test]
async fn a_pod_that_answers_does_not_wait_for_one_that_does_not() {
    let (mut rig, silent) = slow().await;
    let pod = Upstream::fixed(StatusCode::OK, "queue").await;
    rig.tell(|known| known.pods.not_ready = [silent.address(), pod.address()].into());
    let taken = pod.address().to_string();
    eventually("the pod", async || rig.pods() == [&*taken]).await;
    assert_eq!(silent.counts().requests(), 1, "it is asked one thing at a time");
}

#[tokio::test]
async fn what_is_said_of_pods_is_heeded_while_one_has_not_answered() {
    let (mut rig, silent) = slow().await;
    for pods in [
        &["10.0.0.1:8012"][..],
        &["10.0.0.1:8012", "10.0.0.2:8012"],
        &["10.0.0.2:8012"],
        &[],
    ] {
        rig.tell(|known| {
            known.pods = ready(pods);
            known.pods.not_ready = [silent.address()].into();
        });
        eventually(&format!("{pods:?}"), async || rig.pods() == pods).await;
    }
}

#[tokio::test]
async fn only_so_many_pods_are_asked_at_once_over_all_revisions() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&now), Arc::clone(&most));
    let pod = Upstream::start(move |_| {
        let (now, most) = counts.clone();
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, SeqCst);
            answer(StatusCode::OK, "queue")
        }
    })
    .await;
    let mut rig = Rig::new(0);
    rig.fleet.asking.turns = Turns::new(2, 2);
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        rig.tell(|known| {
            known.facts.key.name = name.to_owned();
            known.pods.not_ready = [pod.address()].into();
        });
    }
    eventually("the pod of all of them", async || {
        let revisions = rig.directory.registry().revisions();
        let with_pods = revisions.iter().filter(|revision| revision.pods().len() == 1);
        with_pods.count() == 8
    })
    .await;
    assert_eq!(most.load(SeqCst), 2);
}

#[tokio::test]
async fn a_revision_whose_pods_do_not_answer_keeps_nobody_elses_from_being_asked() {
    let mut rig = Rig::new(0);
    rig.fleet.asking.turns = Turns::new(4, 2);
    rig.fleet.asking.pace.timeout = Duration::from_secs(24 * 3600);
    let gate = Gate::closed();
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(Upstream::held(&gate).await);
    }
    rig.tell(|known| known.pods.not_ready = silent.iter().map(Upstream::address).collect());
    let asked = || silent.iter().filter(|pod| pod.counts().requests() > 0).count();
    eventually("questions", async || asked() == 2).await;
    let pod = Upstream::fixed(StatusCode::OK, "queue").await;
    rig.tell(|known| {
        known.facts.key.name = "other".to_owned();
        known.pods.not_ready = [pod.address()].into();
    });
    eventually("the pod of the other", async || {
        let other = rig.directory.get("ns", "other").unwrap();
        other.revision.pods().len() == 1
    })
    .await;
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn a_pod_that_cannot_know_is_not_believed() {
    let pod = Upstream::fixed(StatusCode::OK, "queue").await;
    let mut rig = Rig::new(0);
    rig.tell(|known| {
        known.facts.believe_pods = false;
        known.pods.not_ready = [pod.address()].into();
    });
    eventually("a question", async || pod.counts().requests() > 1).await;
    assert!(rig.pods().is_empty());
    rig.tell(|known| known.facts.believe_pods = true);
    eventually("the pod", async || rig.pods().len() == 1).await;
}

#[tokio::test]
async fn who_waits_goes_on_to_wait_whatever_is_said_anew() {
    let mut rig = Rig::new(1);
    let waiting = rig.revision().park().unwrap();
    rig.tell(|known| {
        known.facts.timeouts = Timeouts::from_seconds(5, 0, 0);
        known.facts.service = "another".to_owned();
        known.cluster = Cluster::new(ClusterSettings::new("ns/rev-private"));
    });
    rig.tell(|known| known.facts.container_concurrency = 2);
    assert_eq!(rig.revision().parked(), 1);
    assert_eq!(rig.entry().timeouts, Timeouts::from_seconds(5, 0, 0));
    assert!(Arc::ptr_eq(&rig.entry().cluster, &rig.known.cluster));
    rig.tell(|known| known.pods = ready(&["10.0.0.1:8012"]));
    let first = waiting.await.unwrap();
    let second = rig.revision().try_lease().unwrap();
    assert!(rig.revision().try_lease().is_none());
    let waiting = rig.revision().park().unwrap();
    rig.tell(|known| known.facts.container_concurrency = 3);
    drop((first, second, waiting.await.unwrap()));
}

#[tokio::test]
async fn who_waits_for_a_revision_that_is_gone_is_told() {
    let mut rig = Rig::new(1);
    let revision = rig.revision();
    let waiting = revision.park().unwrap();
    rig.fleet.forget(&[key()]);
    let dismissal = waiting.await.unwrap_err();
    assert!(
        matches!(&*dismissal, Dismissal::Refused(refusal) if refusal.message == "revision ns/rev was deleted")
    );
    assert!(rig.directory.get("ns", "rev").is_none());
    assert!(matches!(revision.park(), Err(NoPlace::Dismissed(_))));
    rig.tell(|_| {});
    assert!(rig.revision().park().is_ok(), "another one of its name");
}

#[tokio::test]
async fn a_revision_that_was_let_go_and_is_gone_sends_nobody_on_any_more() {
    let mut rig = Rig::new(1);
    let revision = rig.revision();
    let own = Cluster::new(ClusterSettings::new("ns/rev"));
    rig.fleet.release(&[(key(), Arc::clone(&own))]);
    assert!(revision.is_released());
    rig.fleet.forget(&[key()]);
    assert!(!revision.is_released());
    assert!(matches!(revision.park(), Err(NoPlace::Dismissed(dismissal))
        if matches!(&*dismissal, Dismissal::Refused(_))));
    assert_eq!(Arc::strong_count(&own), 1, "its cluster is not kept");
}

#[tokio::test]
async fn ingresses_that_share_a_revision_have_pods_of_their_own() {
    let mut rig = Rig::new(1);
    let all = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
    rig.tell(|known| known.pods = ready(&all));
    assert_eq!(rig.pods(), all);
    rig.fleet.share(Some(0), 2);
    assert_eq!(rig.pods(), [all[0], all[2]]);
    rig.fleet.share(Some(1), 2);
    assert_eq!(rig.pods(), [all[1]]);
    rig.fleet.forget(&[key()]);
    rig.tell(|_| {});
    assert_eq!(rig.pods(), [all[1]], "also where the revision comes later");
    rig.fleet.share(None, 1);
    assert_eq!(rig.pods(), all);
}

#[tokio::test]
async fn over_tls_pods_take_requests_at_their_other_port() {
    let mut rig = Rig::new(1);
    rig.tell(|known| known.pods = ready(&["10.0.0.1:8012"]));
    let lease = rig.revision().try_lease().unwrap();
    rig.tell(|known| known.ports = Ports::Tls);
    assert_eq!(rig.pods(), ["10.0.0.1:8112"]);
    assert!(
        rig.revision().try_lease().is_none(),
        "it is the pod of {lease:?}, which is busy"
    );
    rig.tell(|known| known.ports = Ports::Same);
    assert_eq!(rig.pods(), ["10.0.0.1:8012"]);
}

#[tokio::test]
async fn pods_that_stay_are_connected_to_as_their_cluster_says_now() {
    let mut rig = Rig::new(2);
    let now = |name: &str| {
        let cluster = Cluster::new(ClusterSettings::new("ns/rev-private"));
        let address: SocketAddr = "10.0.0.1:8012".parse().unwrap();
        cluster.set_endpoints(vec![Endpoint::new(address).with_hostname(name).into()]);
        cluster
    };
    rig.tell(|known| {
        known.cluster = now("before");
        known.pods = ready(&["10.0.0.1:8012"]);
    });
    let lease = rig.revision().try_lease().unwrap();
    assert_eq!(lease.endpoint().hostname().map(|name| &**name), Some("before"));
    rig.tell(|known| known.cluster = now("after"));
    let other = rig.revision().try_lease().unwrap();
    assert_eq!(other.endpoint().hostname().map(|name| &**name), Some("after"));
    assert!(rig.revision().try_lease().is_none(), "{lease:?} counts");
}
