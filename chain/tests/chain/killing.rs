//! What does a SIGKILL cost? What the process had under way, and nothing else.

use std::sync::Arc;

use tidegate_testkit::wait::{eventually, eventually_within};

use crate::cluster::Path;
use crate::pods::Pod;
use crate::stage::{LONG, Stage};

/// How many requests of each revision are under way when a process is killed, beside the load.
const HELD: usize = 8;

impl Stage {
    /// Kills the sidecar of a pod, which is used again once its sidecar is back.
    async fn kill_sidecar(&mut self, revision: usize) {
        let held = self.hold(HELD).await;
        let visits = Arc::clone(&self.cluster.visits);
        let pods = &mut self.cluster.revisions[revision].pods;
        let is_at = |pod: &Pod, number: &String| visits.of(number).contains(&pod.app());
        let busy = pods
            .iter()
            .position(|pod| held.iter().any(|number| is_at(pod, number)));
        let pod = &mut pods[busy.expect("something is held by its pods")];
        let (app, mut lost) = (pod.app(), held);
        lost.retain(|number| is_at(pod, number));
        self.killed.push(app);
        self.ledger.killing(pod.kill_sidecar()).await;
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

    /// Kills an activator, and starts another in its place.
    async fn replace_killed_activator(&mut self, successor: u8) {
        self.hold(HELD).await;
        let killed = self.cluster.activators.remove(0);
        let ledger = Arc::clone(&self.ledger);
        // Until they are told ingresses go on sending to it, and are refused: as any Envoy that has no policy for retries.
        let told = async {
            killed.kill().await;
            self.tell_all().await;
        };
        ledger.killing(told).await;
        self.cluster.visits.open_gate();
        self.goes_on().await;
        self.cluster.start_activator(successor).await;
        self.tell_all().await;
        self.goes_on().await;
    }
}

/// Whoever sends to the pods.
async fn sidecars_are_killed(mut stage: Stage) {
    // Each activator has another pod than the one that is killed.
    for revision in [0, 0, 1, 1] {
        stage.cluster.start_pod(revision).await;
    }
    for path in [Path::Activators, Path::Ingresses] {
        stage.lead(path).await;
        for revision in 0..stage.cluster.revisions.len() {
            stage.kill_sidecar(revision).await;
        }
    }
    let (ledger, visits) = (Arc::clone(&stage.ledger), Arc::clone(&stage.cluster.visits));
    let killed = stage.killed.clone();
    stage.end().await;
    for cut in ledger.cut() {
        let came = visits.of(&cut.number);
        assert!(
            came.iter().all(|app| killed.contains(app)),
            "{cut:?} was elsewhere"
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
    stage.replace_killed_activator(3).await;
    stage.replace_killed_activator(4).await;
    let ledger = Arc::clone(&stage.ledger);
    stage.end().await;
    let cut = ledger.cut();
    assert!(cut.len() >= HELD, "something was under way: {cut:?}");
    for cut in cut.iter().filter(|cut| !cut.is_stream()) {
        let is_gone = ["connection termination", "remote connection failure"]
            .iter()
            .any(|reason| cut.what.ends_with(reason));
        assert!(is_gone, "{cut:?}");
    }
}
