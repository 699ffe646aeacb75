//! Does a watcher go on while questions of its revision wait for their turn?

use std::{
    collections::BTreeMap,
    future::pending,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use serde_json::json;
use tidegate_testkit::wait::eventually;
use tokio::task::{JoinSet, yield_now};

use super::*;
use crate::{
    Revision,
    backends::{Rules, ask::Answer, endpoints::Service, turns::Turns},
    throttle::tests::settings,
    tracker::Ports,
    world::Found,
};

/// What answers at these ports, where somebody does, and one service.
#[derive(Default)]
struct Scripted {
    answers: BTreeMap<u16, Asked>,
    /// How often somebody wanted to know where the service is.
    looked: AtomicUsize,
}

impl Ask for Scripted {
    fn ask<'a>(&'a self, address: SocketAddr, _host: Option<&'a HeaderValue>) -> Answer<'a> {
        match self.answers.get(&address.port()) {
            Some(asked) => Box::pin(async {
                yield_now().await;
                *asked
            }),
            None => Box::pin(pending()),
        }
    }
}

impl World for Scripted {
    fn service<'a>(&'a self, _namespace: &'a str, _name: &'a str) -> Found<'a, Service> {
        self.looked.fetch_add(1, SeqCst);
        let port = json!({"name": "http", "port": SERVICE});
        let service = json!({"spec": {"clusterIP": "10.0.0.1", "ports": [port]}});
        Box::pin(async { serde_json::from_value(service).ok() })
    }
}

const SERVICE: u16 = 80;

fn pods(ports: &[u16]) -> Sets {
    Sets {
        ready: ports
            .iter()
            .map(|port| SocketAddr::from(([10, 0, 0, 1], *port)))
            .collect(),
        ..Sets::default()
    }
}

/// A watcher that runs.
struct Rig {
    world: Arc<Scripted>,
    tracker: Arc<Tracker>,
    sets: watch::Sender<Option<Sets>>,
    _run: JoinSet<()>,
}

impl Rig {
    fn new(turns: &Turns, answers: &[(u16, Asked)], ready: &[u16]) -> Self {
        let world = Arc::new(Scripted {
            answers: answers.iter().copied().collect(),
            ..Scripted::default()
        });
        let tracker = Arc::new(Tracker::new(Revision::new(settings(0)), Ports::Same));
        let watcher = Watcher {
            tracker: Arc::clone(&tracker),
            ask: Arc::clone(&world) as _,
            world: Arc::clone(&world) as _,
            pace: Pace {
                interval: Duration::from_millis(200),
                timeout: Duration::from_millis(300),
            },
            turns: turns.line(),
            service: "rev-private".to_owned(),
            port_name: "http",
            passthrough_host: None,
        };
        let (sets, mut receiver) = watch::channel(Some(pods(ready)));
        receiver.mark_changed();
        let mut run = JoinSet::new();
        run.spawn(watcher.run(State::new(Rules::default()), receiver));
        Self {
            world,
            tracker,
            sets,
            _run: run,
        }
    }

    async fn reaches(&self, port: u16) {
        let expected = SocketAddr::from(([10, 0, 0, 1], port)).to_string();
        eventually("what is reached", async || {
            let pods = self.tracker.revision().pods();
            let reached: Vec<_> = pods
                .iter()
                .map(|pod| pod.endpoint().address().to_string())
                .collect();
            (reached == [&*expected])
                .then_some(())
                .ok_or(format!("{reached:?}"))
        })
        .await;
    }
}

/// How many turns there are, what pods answer, and which there are.
type Crowd = (usize, &'static [(u16, Asked)], &'static [u16]);

/// More pods than may be asked at once, and a pod that refuses as soon as another leaves it the only turn.
const CROWDS: [Crowd; 2] = [(2, &[], &[1, 2, 3]), (1, &[(1, Asked::Failed)], &[1, 2])];

#[tokio::test(start_paused = true)]
async fn the_service_gets_its_turn_however_many_pods_do_not_answer() {
    for (all, answers, ready) in CROWDS {
        let turns = Turns::new(all, 2);
        let answers = [answers, &[(SERVICE, Asked::Ready)]].concat();
        let rig = Rig::new(&turns, &answers, ready);
        rig.reaches(SERVICE).await;
        let other = Rig::new(&turns, &[(9, Asked::Ready)], &[9]);
        other.reaches(9).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_pods_is_heard_while_the_service_waits_for_its_turn() {
    for (all, answers, ready) in CROWDS {
        let answers = [answers, &[(9, Asked::Ready)]].concat();
        let rig = Rig::new(&Turns::new(all, 2), &answers, ready);
        eventually("a look for the service", async || {
            rig.world.looked.load(SeqCst) > 0
        })
        .await;
        rig.sets.send_replace(Some(pods(&[9])));
        rig.reaches(9).await;
    }
}
