//! What becomes of a request between the pods of its revision and the cluster that it came to?

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use http::{HeaderMap, HeaderValue, header::HOST};
use tidegate_knative::stat::Stat;
use tidegate_proxy::{
    cluster::{
        Cluster, ClusterSettings,
        breaker::{BreakerSettings, Thresholds},
    },
    drain::{Drain, Watch},
    route::Split,
    upstream::Client,
};
use tidegate_testkit::wait::{eventually, soon};
use tokio::{sync::mpsc, task::JoinSet};
use tower::service_fn;

use super::*;
use crate::{
    Registry, Revision,
    backends::Sets,
    fleet::{Fleet, Known},
    tracker::Ports,
    world::{Key, RevisionFacts},
};

/// A layer, and the fleet behind it with the one revision `ns/rev`.
struct Rig {
    fleet: Fleet,
    known: Known,
    directory: Arc<Directory>,
    layer: InlineLayer,
    reporter: Arc<Reporter>,
    /// What the autoscaler is told: the mean of requests, and how many came.
    reports: mpsc::UnboundedReceiver<(f64, f64)>,
    _drain: Drain,
}

impl Rig {
    /// With a pod that takes any number of requests.
    fn new() -> Self {
        let directory = Directory::new(Registry::new());
        let (drain, watch): (Drain, Watch) = Drain::new();
        let facts = RevisionFacts {
            key: key("rev"),
            service: "svc".to_owned(),
            configuration: "conf".to_owned(),
            container_concurrency: 0,
            timeouts: Timeouts::from_seconds(300, 0, 0),
            port_name: "http",
            believe_pods: true,
        };
        let (tell, reports) = mpsc::unbounded_channel();
        let registry = Arc::clone(directory.registry());
        let reporter = Reporter::new(registry, "ingress", move |_: &Arc<Revision>, stat: Stat| {
            _ = tell.send((stat.average_concurrent_requests, stat.request_count));
        });
        let mut rig = Self {
            fleet: Fleet::new(Arc::clone(&directory), watch),
            known: Known {
                facts,
                ports: Ports::Same,
                cluster: Cluster::new(ClusterSettings::new("ns/rev-private")),
                pods: pods(&["10.0.0.1:8012"]),
            },
            layer: InlineLayer::new(
                Arc::clone(&directory),
                Arc::clone(&reporter),
                &Overload::default(),
                (),
            ),
            directory,
            reporter,
            reports,
            _drain: drain,
        };
        rig.fleet.know(vec![rig.known.clone()]);
        rig
    }

    fn revision(&self) -> Arc<Revision> {
        Arc::clone(&self.directory.get("ns", "rev").unwrap().revision)
    }

    async fn parked(&self, count: usize) {
        let revision = self.revision();
        eventually("who waits", async || revision.parked() == count).await;
    }

    fn has(&mut self, pods: Sets) {
        self.known.pods = pods;
        self.fleet.know(vec![self.known.clone()]);
    }
}

fn key(name: &str) -> Key {
    Key {
        namespace: "ns".to_owned(),
        name: name.to_owned(),
    }
}

fn pods(ready: &[&str]) -> Sets {
    Sets {
        ready: ready.iter().map(|pod| pod.parse().unwrap()).collect(),
        ..Sets::default()
    }
}

fn request(name: &str) -> Request<Body> {
    request_of(&format!("ns/{name}"))
}

/// A request of the cluster that is called so, as a proxy gives it to that cluster's layers.
pub(crate) fn request_of(cluster: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(Target {
        route: Arc::new(Route::forward(Split::single("ns/rev", [].into()))),
        cluster: Cluster::new(ClusterSettings::new(cluster)),
        endpoint: None,
        hash: None,
        received: Instant::now(),
        waited: Duration::ZERO,
        client: Client::default(),
    });
    request
}

/// What arrives behind the layer.
type Sent = (HeaderMap, Target);

/// Stands in for all pods, which take no connection, and for everything else, which answers.
fn upstream(
    sent: mpsc::UnboundedSender<Sent>,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = BoxError,
    Future = impl Future<Output = Result<Response<Body>, BoxError>> + Send,
> + Clone
+ Send {
    service_fn(move |request: Request<Body>| {
        let target = request.extensions().get::<Target>().unwrap().clone();
        let is_pod = target.endpoint.is_some();
        sent.send((request.headers().clone(), target)).unwrap();
        async move {
            match is_pod {
                true => Err(Error::new(Kind::ConnectFailed).with_unsent(request).into()),
                false => Ok(Response::new(Body::empty())),
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn who_is_back_in_line_after_a_refused_connection_is_sent_on_as_it_came() {
    for original_host in [None, Some(""), Some("mapped.example")] {
        let mut rig = Rig::new();
        let (sender, mut sent) = mpsc::unbounded_channel();
        let mut request = request("rev");
        let head = request.headers_mut();
        head.insert(HOST, "hello.example".parse().unwrap());
        head.insert("knative-serving-revision", "rev".parse().unwrap());
        head.insert("knative-serving-namespace", "ns".parse().unwrap());
        if let Some(host) = original_host {
            head.insert("k-original-host", HeaderValue::from_static(host));
        }
        let came = head.clone();
        let mut answers = JoinSet::new();
        answers.spawn(rig.layer.layer(upstream(sender)).oneshot(request));
        let (at_pod, _) = soon("a try", sent.recv()).await.unwrap();
        assert_eq!(at_pod["host"], "10.0.0.1:8012");
        rig.has(Sets::default());
        rig.parked(1).await;
        let own = Cluster::new(ClusterSettings::new("ns/rev"));
        rig.fleet.release(&[(key("rev"), Arc::clone(&own))]);
        let answer = soon("the answer", answers.join_next()).await.unwrap().unwrap();
        assert_eq!(answer.unwrap().status(), 200);
        let (head, target) = std::iter::from_fn(|| sent.try_recv().ok()).last().unwrap();
        assert_eq!(head, came);
        assert!(Arc::ptr_eq(&target.cluster, &own) && target.endpoint.is_none());
    }
}

#[tokio::test]
async fn what_is_counted_of_a_revision_goes_on_through_a_time_without_anybody_held() {
    let mut rig = Rig::new();
    rig.has(Sets::default());
    let revision = rig.revision();
    let own = Cluster::new(ClusterSettings::new("ns/rev"));
    let begun = Instant::now();
    for round in 1..=2 {
        let (sender, mut sent) = mpsc::unbounded_channel();
        let mut answers = JoinSet::new();
        answers.spawn(rig.layer.layer(upstream(sender)).oneshot(request("rev")));
        rig.parked(1).await;
        rig.fleet.release(&[(key("rev"), Arc::clone(&own))]);
        let answer = soon("the answer", answers.join_next()).await.unwrap().unwrap();
        assert_eq!(answer.unwrap().status(), 200);
        let (_, target) = sent.try_recv().unwrap();
        assert!(target.waited > Duration::ZERO && target.waited < begun.elapsed());
        assert!(rig.directory.get("ns", "rev").is_none());
        assert_eq!(revision.parked_total(), round);
        assert!(revision.refused_total().into_iter().all(|(_, count)| count == 0));
        rig.fleet.know(vec![rig.known.clone()]);
        assert!(Arc::ptr_eq(&rig.revision(), &revision));
    }
    rig.fleet.forget(&[key("rev")]);
    assert!(rig.directory.registry().get("ns/rev").is_none());
}

/// A cluster whose circuit breaker opens above this.
fn bounded(requests: usize) -> Arc<Cluster> {
    let thresholds = Thresholds {
        requests: Some(requests),
        ..Thresholds::default()
    };
    Cluster::new(ClusterSettings {
        breakers: BreakerSettings {
            default: thresholds,
            high: Thresholds::default(),
        }
        .into(),
        ..ClusterSettings::new("ns/rev")
    })
}

#[tokio::test]
async fn those_who_are_let_go_go_in_turn_within_what_the_breaker_allows() {
    let mut rig = Rig::new();
    rig.has(Sets::default());
    let (sender, mut sent) = mpsc::unbounded_channel();
    let mut answers = JoinSet::new();
    let (all, bound) = (9, 4);
    for _ in 0..all {
        answers.spawn(rig.layer.layer(upstream(sender.clone())).oneshot(request("rev")));
    }
    rig.parked(all).await;
    let revision = rig.revision();
    rig.fleet.release(&[(key("rev"), bounded(bound))]);
    for gone in (0..all).step_by(2) {
        // Each answer holds its turn until it is dropped.
        let mut held = Vec::new();
        for _ in gone..all.min(gone + bound / 2) {
            held.push(
                soon("an answer", answers.join_next())
                    .await
                    .unwrap()
                    .unwrap()
                    .unwrap(),
            );
        }
        let left = all - gone - held.len();
        eventually("who waits for a turn", async || revision.parked() == left).await;
        let went = std::iter::from_fn(|| sent.try_recv().ok()).count();
        assert_eq!((went, answers.len()), (held.len(), left));
    }
}

#[tokio::test]
async fn who_waits_for_a_turn_goes_to_what_the_cluster_is_then() {
    let mut rig = Rig::new();
    rig.has(Sets::default());
    let (sender, mut sent) = mpsc::unbounded_channel();
    let mut answers = JoinSet::new();
    for _ in 0..2 {
        answers.spawn(rig.layer.layer(upstream(sender.clone())).oneshot(request("rev")));
    }
    rig.parked(2).await;
    let clusters = [bounded(1), bounded(1)];
    rig.fleet.release(&[(key("rev"), Arc::clone(&clusters[0]))]);
    let first = soon("an answer", answers.join_next()).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&sent.try_recv().unwrap().1.cluster, &clusters[0]));
    rig.fleet.release(&[(key("rev"), Arc::clone(&clusters[1]))]);
    assert_eq!(Arc::strong_count(&clusters[0]), 1, "it is not kept");
    drop(first);
    let _other = soon("the other", answers.join_next()).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&sent.try_recv().unwrap().1.cluster, &clusters[1]));
}

#[tokio::test(start_paused = true)]
async fn who_is_let_go_waits_for_a_turn_no_longer_than_its_time() {
    let mut rig = Rig::new();
    rig.known.facts.timeouts = Timeouts::from_seconds(1, 0, 0);
    rig.has(Sets::default());
    let (sender, _sent) = mpsc::unbounded_channel();
    let mut answers = JoinSet::new();
    for _ in 0..2 {
        answers.spawn(rig.layer.layer(upstream(sender.clone())).oneshot(request("rev")));
    }
    rig.parked(2).await;
    rig.fleet.release(&[(key("rev"), bounded(1))]);
    let first = soon("an answer", answers.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let other = soon("the other", answers.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!((first.status().as_u16(), other.status().as_u16()), (200, 504));
}

#[tokio::test]
async fn the_autoscaler_hears_that_nobody_waits_for_a_revision_that_was_let_go() {
    let mut rig = Rig::new();
    rig.has(Sets::default());
    let mut answers = JoinSet::new();
    let (sender, _sent) = mpsc::unbounded_channel();
    answers.spawn(rig.layer.layer(upstream(sender)).oneshot(request("rev")));
    rig.parked(1).await;
    assert_eq!(rig.reports.try_recv(), Ok((1.0, 1.0)));
    let own = Cluster::new(ClusterSettings::new("ns/rev"));
    rig.fleet.release(&[(key("rev"), own)]);
    soon("the answer", answers.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let now = Instant::now();
    for second in 1..=3 {
        rig.reporter.tick(now + Duration::from_secs(second));
    }
    let reports: Vec<_> = std::iter::from_fn(|| rig.reports.try_recv().ok()).collect();
    assert_eq!(reports.last(), Some(&(0.0, 0.0)), "{reports:?}");
}

/// Revisions of one pod each, in the clear or over TLS; the name of the cluster says which.
fn view(rig: &Rig, names: &[String], ports: Ports) -> Vec<Known> {
    let cluster = Cluster::new(ClusterSettings::new(format!("{ports:?}")));
    let known = |name: &String| {
        let mut known = rig.known.clone();
        known.facts.key = key(name);
        (known.ports, known.cluster) = (ports, Arc::clone(&cluster));
        known
    };
    names.iter().map(known).collect()
}

/// What a request of a revision is sent to: the name of the cluster, and the port.
async fn sent_to(layer: &InlineLayer, name: &str) -> (String, u16) {
    let (sender, mut sent) = mpsc::unbounded_channel();
    let pod = service_fn(move |request: Request<Body>| {
        let target = request.extensions().get::<Target>().cloned();
        sender.send(target.unwrap()).unwrap();
        async { Ok::<_, BoxError>(Response::new(Body::empty())) }
    });
    let answer = layer.layer(pod).call(request(name));
    answer.await.unwrap();
    let target = sent.try_recv().unwrap();
    let at: SocketAddr = target.endpoint.unwrap().address().to_string().parse().unwrap();
    (target.cluster.name().to_string(), at.port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_all_go_over_to_tls_and_back_each_request_finds_port_and_cluster_of_one_view() {
    let mut rig = Rig::new();
    let names: Vec<_> = (0..500).map(|at| format!("rev-{at}")).collect();
    rig.fleet.know(view(&rig, &names, Ports::Same));
    let is_over = Arc::new(AtomicBool::new(false));
    let (ends, asked, layer) = (Arc::clone(&is_over), names.clone(), rig.layer.clone());
    let (tell, mut passes) = mpsc::unbounded_channel();
    let mut requests = JoinSet::new();
    requests.spawn(async move {
        let mut found = BTreeSet::new();
        while !ends.load(SeqCst) {
            for name in &asked {
                found.insert(sent_to(&layer, name).await);
            }
            _ = tell.send(());
        }
        found
    });
    soon("a first pass", passes.recv()).await.unwrap();
    for _ in 0..10 {
        rig.fleet.know(view(&rig, &names, Ports::Tls));
        rig.fleet.know(view(&rig, &names, Ports::Same));
    }
    // A pass that begins when all have gone over finds every one of them there.
    rig.fleet.know(view(&rig, &names, Ports::Tls));
    while passes.try_recv().is_ok() {}
    for _ in 0..2 {
        soon("another pass", passes.recv()).await.unwrap();
    }
    is_over.store(true, SeqCst);
    let found = soon("the requests", requests.join_next()).await.unwrap().unwrap();
    let expected = [("Same", 8012), ("Tls", 8112)].map(|(cluster, port)| (cluster.to_owned(), port));
    assert_eq!(found, BTreeSet::from(expected));
}

#[tokio::test]
async fn what_a_request_in_the_ingress_takes_stays_small() {
    let rig = Rig::new();
    let request = request("rev");
    let target = request.extensions().get::<Target>().unwrap().clone();
    let visit = Visit::of(&rig.layer.parts.shared, rig.revision(), target);
    let inner = service_fn(|_: Request<Body>| -> ResponseFuture {
        Box::pin(async { Err("it is not polled".into()) })
    });
    let sending = Sending {
        inner,
        replaced: None,
    };
    let bytes = size_of_val(&visit.run(sending, request));
    assert!(bytes <= 1200, "{bytes} bytes");
}
