//! What do requests meet in an ingress that holds them for revisions itself?

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails there")]

mod support;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, StatusCode};
use support::{HOST, settings};
use tidegate_activator::{
    Destinations, Registry, Revision, Tracker,
    directory::{Directory, Entry},
    reporter::Reporter,
    tracker::Ports,
    wire::{inline::InlineLayer, plain_cluster},
};
use tidegate_proxy::{
    Body, Proxy,
    cluster::{Cluster, ClusterSettings, Endpoint},
    config::{Handle, Snapshot},
    drain::Drain,
    layers::{Layers, timeout::Timeouts},
    listener::{Connections, Listener},
    normalize::edge::EdgePolicy,
    overload::{Overload, OverloadSettings},
    process,
    route::{Domain, ForwardPolicy, Route, Split, VirtualHost},
    upstream::Target,
};
use tidegate_testkit::{
    client::{self, Answer, Client, get_request},
    gate::Gate,
    upstream::{Upstream, nobody},
    wait::{eventually, soon},
};
use tokio::task::JoinSet;
use tower::{layer::util::Stack, util::MapRequestLayer};

/// A proxy with the cluster of the one revision `default/hello-00001`. Dropping it cuts everything.
struct Edge {
    address: SocketAddr,
    directory: Arc<Directory>,
    tracker: Tracker,
    own: Upstream,
    /// How long those waited that were sent.
    waited: Arc<Mutex<Vec<Duration>>>,
    _drain: Drain,
}

/// What a test changes.
struct Setup {
    parked_max: usize,
    parked_in_all_max: usize,
    timeouts: Timeouts,
    route: Option<Duration>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            parked_max: 10,
            parked_in_all_max: 10,
            timeouts: Timeouts::from_seconds(300, 0, 0),
            route: None,
        }
    }
}

impl Edge {
    async fn start(setup: Setup) -> Self {
        let revision = Revision::with_queue(settings(1), setup.parked_max);
        let directory = Directory::new(Registry::new());
        directory.insert(Entry {
            revision: Arc::clone(&revision),
            timeouts: setup.timeouts,
            cluster: plain_cluster(),
            passthrough_host: None,
        });
        let overload = Overload::new(OverloadSettings {
            parked_max: setup.parked_in_all_max,
            ..OverloadSettings::default()
        });
        let config = Handle::default().bounded(overload);
        let registry = Arc::clone(directory.registry());
        let reporter = Reporter::new(registry, "ingress", |_: &Arc<Revision>, _| {});
        let layer = InlineLayer::new(Arc::clone(&directory), reporter, config.overload(), ());
        let own = Upstream::fixed(StatusCode::OK, "standalone").await;
        let waited = Arc::<Mutex<Vec<Duration>>>::default();
        let noted = Arc::clone(&waited);
        let note = MapRequestLayer::new(move |request: Request<Body>| {
            let target = request.extensions().get::<Target>().unwrap();
            noted.lock().unwrap().push(target.waited);
            request
        });
        let layers = Layers::new(Stack::new(note, layer));
        config.publish(snapshot(&revision, layers, own.address(), setup.route));
        let (address, drain) = serve(config);
        Self {
            address,
            directory,
            tracker: Tracker::with_cluster(revision, Ports::Same, plain_cluster()),
            own,
            waited,
            _drain: drain,
        }
    }

    fn get(&self, count: usize) -> JoinSet<Answer> {
        let address = self.address;
        (0..count)
            .map(|_| async move { client::get(address, HOST, "/").await })
            .collect()
    }

    async fn parked(&self, count: usize) {
        eventually("parked requests", async || {
            self.tracker.revision().parked() == count
        })
        .await;
    }

    fn ready(&self, pod: SocketAddr) {
        self.tracker.update(&Destinations::Pods(vec![pod]));
    }

    /// The answer to one more request.
    async fn says(&self, status: u16, text: &str) {
        let answer = client::get(self.address, HOST, "/").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, text));
    }
}

fn snapshot(
    revision: &Arc<Revision>,
    layers: Layers,
    own: SocketAddr,
    timeout: Option<Duration>,
) -> Snapshot {
    let cluster = Cluster::new(ClusterSettings {
        layers: Some(layers),
        ..ClusterSettings::new(Arc::clone(revision.key()))
    });
    cluster.set_endpoints(vec![Endpoint::new(own).into()]);
    let mut policy = ForwardPolicy::default();
    policy.timeouts.request = timeout;
    let forward = Route::forward(Split::single(&**revision.key(), [].into()));
    let route = Route {
        policy: Some(policy.into()),
        ..forward
    };
    Snapshot::new([VirtualHost::new("all", [Domain::Any], [route])], [cluster])
}

fn serve(config: Handle) -> (SocketAddr, Drain) {
    let (drain, watch) = Drain::new();
    let proxy = Proxy::new(config, watch.clone());
    support::audit_books(&proxy);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(
        any,
        NonZeroUsize::MIN,
        EdgePolicy::default(),
        Connections::default(),
    );
    let listener = listener.unwrap();
    let address = listener.address();
    for acceptor in listener.into_acceptors() {
        let serving = acceptor.serve(proxy.clone());
        process::spawn("acceptor", watch.unguarded(), async { serving.await.unwrap() });
    }
    (address, drain)
}

#[tokio::test]
async fn above_each_bound_it_says_that_the_queue_is_full() {
    for setup in [
        Setup {
            parked_max: 1,
            ..Setup::default()
        },
        Setup {
            parked_in_all_max: 1,
            ..Setup::default()
        },
    ] {
        let edge = Edge::start(setup).await;
        let _first = edge.get(1);
        edge.parked(1).await;
        edge.says(503, "pending request queue full\n").await;
        edge.parked(1).await;
    }
}

#[tokio::test]
async fn the_revisions_timeouts_count_the_wait_and_are_told_in_knatives_words() {
    let short = Some(Duration::from_millis(50));
    let timeouts = Timeouts::from_seconds(300, 0, 0);
    for timeouts in [
        Timeouts {
            request: Duration::from_millis(50),
            ..timeouts
        },
        Timeouts {
            response_start: short,
            ..timeouts
        },
        Timeouts {
            idle: short,
            ..timeouts
        },
    ] {
        let edge = Edge::start(Setup {
            timeouts,
            ..Setup::default()
        })
        .await;
        edge.says(504, "activator request timeout").await;
        edge.parked(0).await;
        let mut refused = edge.tracker.revision().refused_total().into_iter();
        let late = refused.find(|(reason, _)| *reason == "capacity_timeout");
        assert_eq!(late, Some(("capacity_timeout", 1)));
    }
}

#[tokio::test]
async fn the_routes_own_timeout_ends_a_wait_too() {
    let route = Some(Duration::from_millis(50));
    let edge = Edge::start(Setup {
        route,
        ..Setup::default()
    })
    .await;
    edge.says(504, "request timeout\n").await;
    edge.parked(0).await;
}

#[tokio::test]
async fn a_timeout_at_the_pod_is_told_in_the_words_of_whose_it_is() {
    let short = Duration::from_millis(50);
    let of_route = Setup {
        route: Some(short),
        ..Setup::default()
    };
    let of_revision = Setup {
        timeouts: Timeouts {
            request: short,
            ..Timeouts::from_seconds(300, 0, 0)
        },
        ..Setup::default()
    };
    for (setup, text) in [
        (of_route, "request timeout\n"),
        (of_revision, "activator request timeout"),
    ] {
        let edge = Edge::start(setup).await;
        let gate = Gate::closed();
        let pod = Upstream::held(&gate).await;
        edge.ready(pod.address());
        edge.says(504, text).await;
        assert_eq!(pod.counts().requests(), 1);
    }
}

#[tokio::test]
async fn a_timeout_of_the_route_at_the_pod_is_told_to_grpc_in_trailers_only() {
    let edge = Edge::start(Setup {
        route: Some(Duration::from_millis(50)),
        ..Setup::default()
    })
    .await;
    let gate = Gate::closed();
    let pod = Upstream::held(&gate).await;
    edge.ready(pod.address());
    let mut request = get_request(HOST, "/");
    let grpc = HeaderValue::from_static("application/grpc");
    request.headers_mut().insert("content-type", grpc);
    let answer = Client::http1(edge.address).await.call(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("grpc-status")),
        (200, Some("4"))
    );
}

#[tokio::test]
async fn a_route_whose_time_was_over_before_the_pod_answered_is_measured_where_it_was_sent() {
    let route = Some(Duration::from_secs(100));
    let edge = Edge::start(Setup {
        route,
        ..Setup::default()
    })
    .await;
    let gate = Gate::closed();
    let pod = Upstream::held(&gate).await;
    edge.ready(pod.address());
    let mut answers = edge.get(2);
    pod.runs(1).await;
    edge.parked(1).await;
    gate.open();
    while let Some(answer) = soon("an answer", answers.join_next()).await {
        assert_eq!(answer.unwrap().text(), "held");
    }
    assert_eq!(pod.counts().running_max(), 1);
}

#[tokio::test]
async fn what_a_request_waited_is_part_of_its_routes_time() {
    let edge = Edge::start(Setup::default()).await;
    let begun = Instant::now();
    let mut answers = edge.get(1);
    edge.parked(1).await;
    let pod = Upstream::fixed(StatusCode::OK, "hello").await;
    edge.ready(pod.address());
    soon("the answer", answers.join_next()).await.unwrap().unwrap();
    edge.says(200, "hello").await;
    let waited = edge.waited.lock().unwrap().clone();
    assert!(
        waited[0] > Duration::ZERO && waited[0] < begun.elapsed(),
        "{waited:?}"
    );
    assert_eq!(waited[1..], [Duration::ZERO]);
}

#[tokio::test]
async fn a_pod_that_is_away_is_told_as_an_activator_tells_it() {
    let edge = Edge::start(Setup::default()).await;
    let pod = nobody().await;
    edge.ready(pod);
    edge.says(502, &format!("dial tcp {pod}: connect: connection refused\n"))
        .await;
}

#[tokio::test]
async fn who_waits_for_a_revision_that_goes_is_as_one_whose_cluster_is_missing() {
    let edge = Edge::start(Setup::default()).await;
    let mut answers = edge.get(1);
    edge.parked(1).await;
    edge.directory.remove("default", "hello-00001");
    let answer = soon("the answer", answers.join_next()).await.unwrap().unwrap();
    let text = "the route names a cluster that does not exist\n";
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (503, text));
    edge.says(200, "standalone").await;
    assert_eq!(edge.own.counts().requests(), 1);
}

#[tokio::test]
async fn probes_of_the_way_here_are_answered_and_a_kubelets_name_is_nothing_special() {
    let edge = Edge::start(Setup::default()).await;
    let probe = async |name: &'static str, value: &'static str| {
        let mut request = get_request(HOST, "/");
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        let answer = Client::http1(edge.address).await.call(request).await;
        (answer.status.as_u16(), answer.text())
    };
    let ok = (200, "activator".to_owned());
    assert_eq!(probe("k-network-probe", "activator").await, ok);
    let (status, _) = probe("k-network-probe", "queue").await;
    assert_eq!(status, 400);
    let pod = Upstream::fixed(StatusCode::OK, "hello").await;
    edge.ready(pod.address());
    assert_eq!(
        probe("user-agent", "kube-probe/1.30").await,
        (200, "hello".to_owned())
    );
}
