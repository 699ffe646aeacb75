//! What does a SIGKILL cost? What the process had under way, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_testkit::wait::{eventually, eventually_within};

use crate::app::Visits;
use crate::clients::HABITS;
use crate::cluster::Path;
use crate::ledger::Cut;
use crate::pods::Pod;
use crate::stage::{LONG, STREAMS, Stage};

/// How many requests of each revision are under way when a process is killed, beside the load.
const HELD: usize = 8;

/// How many of the load on one revision a process may have at most: two programs send to it, and a client whose request was cut
/// may come by the other one before that knows.
const LOAD: usize = 2 * (HABITS.len() + STREAMS);

/// What is answered for a request whose connection has broken.
const BROKEN: &str = "connection termination";

/// What is answered for a request for which there was none.
const REFUSED: &str = "remote connection failure";

/// A sidecar that was killed.
struct Loss {
    app: SocketAddr,
    /// The address of the pod, which has it alone.
    pod: String,
    host: String,
    /// What its application held.
    held: Vec<String>,
}

impl Stage {
    /// Kills the sidecar of a pod, which is used again once its sidecar is back.
    async fn kill_sidecar(&mut self, revision: usize) -> Loss {
        let held = self.hold(HELD).await;
        let visits = Arc::clone(&self.cluster.visits);
        let pods = &mut self.cluster.revisions[revision].pods;
        let is_at = |pod: &Pod, number: &String| visits.of(number).contains(&pod.app());
        let busy = pods
            .iter()
            .position(|pod| held.iter().any(|number| is_at(pod, number)));
        let pod = &mut pods[busy.expect("something is held by its pods")];
        let (app, address, mut lost) = (pod.app(), pod.address().ip(), held);
        lost.retain(|number| is_at(pod, number));
        self.killed.push(app);
        self.ledger
            .killing(pod.kill_sidecar(), std::future::ready(()))
            .await;
        self.are_cut(&lost).await;
        visits.open_gate();
        // It is still listed as ready.
        self.goes_on().await;
        let mut pods = self.cluster.revisions[revision].pods.iter_mut();
        let pod = pods.find(|pod| pod.app() == app).expect("it is listed");
        pod.restart_sidecar().await;
        pod.is_ready().await;
        let before = visits.at(app);
        eventually_within("requests at the pod", LONG, async || visits.at(app) > before + 10).await;
        self.goes_on().await;
        let host = self.cluster.revisions[revision].host();
        Loss {
            app,
            pod: address.to_string(),
            host,
            held: lost,
        }
    }

    /// Waits until these have failed.
    async fn are_cut(&self, lost: &[String]) {
        eventually("all to be cut", async || {
            let cut = self.ledger.cut();
            let is_cut = |number: &&String| cut.iter().any(|cut| cut.number == **number);
            let left: Vec<_> = lost.iter().filter(|number| !is_cut(number)).collect();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?} are not"))
            }
        })
        .await;
    }

    /// Kills an activator, and starts another in its place. Says where the killed one was.
    async fn replace_killed_activator(&mut self, successor: u8) -> Vec<SocketAddr> {
        self.hold(HELD).await;
        let killed = self.cluster.activators.remove(0);
        let ledger = Arc::clone(&self.ledger);
        // Until they are told ingresses go on sending to it, and are refused: as any Envoy that has no policy for retries.
        let doors = killed.addresses.clone();
        ledger.killing(killed.kill(), self.tell_all()).await;
        self.cluster.visits.open_gate();
        self.goes_on().await;
        self.cluster.start_activator(successor).await;
        self.tell_all().await;
        self.goes_on().await;
        doors
    }
}

/// Whoever sends to the pods.
async fn sidecars_are_killed(mut stage: Stage) {
    // Each activator has another pod than the one that is killed.
    for revision in [0, 0, 1, 1] {
        stage.cluster.start_pod(revision).await;
    }
    let mut losses = Vec::new();
    for path in [Path::Activators, Path::Ingresses] {
        stage.lead(path).await;
        for revision in 0..stage.cluster.revisions.len() {
            losses.push(stage.kill_sidecar(revision).await);
        }
    }
    let (ledger, visits) = (Arc::clone(&stage.ledger), Arc::clone(&stage.cluster.visits));
    stage.end().await;
    let cut = ledger.cut();
    for (number, loss) in losses.iter().enumerate() {
        let cut: Vec<_> = cut.iter().filter(|cut| cut.kill == number).collect();
        cut.iter().for_each(|cut| loss.accounts_for(cut, &visits));
        let held = loss.held.len();
        assert!((held..=held + LOAD).contains(&cut.len()), "{held} and {cut:?}");
    }
}

impl Loss {
    /// It was for this revision, and came to this pod and to no other; or it came nowhere, and that is why it failed.
    fn accounts_for(&self, cut: &Cut, visits: &Visits) {
        let came = visits.of(&cut.number);
        let is_for_it = cut.what.contains(&format!(" of {}: ", self.host));
        let is_from_it = match came.as_slice() {
            // An activator's reasons name the pod, but for a connection that has just ended.
            [] => [BROKEN, "502 Bad Gateway EOF", &self.pod]
                .iter()
                .any(|reason| cut.what.contains(reason)),
            apps => apps == [self.app],
        };
        assert!(
            cut.was_under_way && is_for_it && is_from_it,
            "{cut:?} came to {came:?}, and {} was killed",
            self.app
        );
    }
}

#[tokio::test]
async fn a_sidecar_that_is_killed_takes_what_it_had_and_nothing_else() {
    sidecars_are_killed(Stage::start().await).await;
}

#[tokio::test]
async fn over_tls_a_sidecar_that_is_killed_takes_what_it_had_and_nothing_else() {
    sidecars_are_killed(Stage::encrypted().await).await;
}

#[tokio::test]
async fn an_activator_that_is_killed_takes_what_it_had_and_nothing_else() {
    let mut stage = Stage::start().await;
    stage.goes_on().await;
    let killed = [
        stage.replace_killed_activator(3).await,
        stage.replace_killed_activator(4).await,
    ];
    let (ledger, visits) = (Arc::clone(&stage.ledger), Arc::clone(&stage.cluster.visits));
    let sent = stage.end().await;
    for (kill, doors) in killed.iter().enumerate() {
        let all = ledger.cut().into_iter().filter(|cut| cut.kill == kill);
        let (had, refused): (Vec<_>, Vec<_>) = all.partition(|cut| !visits.of(&cut.number).is_empty());
        for cut in had.iter().chain(&refused) {
            let to = sent.get(&cut.number);
            assert!(
                to.is_some_and(|to| doors.contains(to)),
                "{cut:?} was sent to {to:?}"
            );
            let is_for_that = [BROKEN, REFUSED].iter().any(|reason| cut.what.ends_with(reason));
            assert!(cut.is_stream() || is_for_that, "{cut:?}");
        }
        for cut in &had {
            assert!(cut.was_under_way, "{cut:?} began later");
        }
        assert!((1..=2 * (HELD + LOAD)).contains(&had.len()), "{had:?}");
    }
}
