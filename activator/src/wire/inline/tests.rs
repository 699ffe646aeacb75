//! What becomes of a request between the pods of its revision and the cluster that it came to?

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use tidegate_proxy::{
    cluster::{Cluster, ClusterSettings},
    drain::{Drain, Watch},
    route::Split,
    upstream::Client,
};
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
        let reporter = Reporter::new(
            Arc::clone(directory.registry()),
            "ingress",
            |_: &Arc<Revision>, _| {},
        );
        let mut rig = Self {
            fleet: Fleet::new(Arc::clone(&directory), watch),
            known: Known {
                facts,
                ports: Ports::Same,
                cluster: Cluster::new(ClusterSettings::new("ns/rev-private")),
                pods: pods(&["10.0.0.1:8012"]),
            },
            layer: InlineLayer::new(Arc::clone(&directory), reporter, &Overload::default(), ()),
            directory,
            _drain: drain,
        };
        rig.fleet.know(vec![rig.known.clone()]);
        rig
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

/// A request of the revision `ns/name`, as a proxy gives it to the layers of a cluster.
fn request(name: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(Target {
        route: Arc::new(Route::forward(Split::single("ns/rev", [].into()))),
        cluster: Cluster::new(ClusterSettings::new(format!("ns/{name}"))),
        endpoint: None,
        hash: None,
        received: Instant::now(),
        waited: Duration::ZERO,
        client: Client::default(),
    });
    request
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
    let mut requests = JoinSet::new();
    requests.spawn(async move {
        let mut found = BTreeSet::new();
        while !ends.load(SeqCst) {
            for name in &asked {
                found.insert(sent_to(&layer, name).await);
            }
        }
        found
    });
    for _ in 0..10 {
        rig.fleet.know(view(&rig, &names, Ports::Tls));
        rig.fleet.know(view(&rig, &names, Ports::Same));
    }
    is_over.store(true, SeqCst);
    for (cluster, port) in requests.join_next().await.unwrap().unwrap() {
        let expected = if cluster == "Tls" { 8112 } else { 8012 };
        assert_eq!(port, expected, "{cluster}");
    }
}
