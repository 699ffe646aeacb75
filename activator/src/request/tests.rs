//! What becomes of a request that waits, and what is kept of it?

use std::time::Duration;

use tidegate_testkit::wait::{eventually, soon};
use tokio::task::JoinSet;
use tower::service_fn;

use super::*;
use crate::{
    throttle::tests::{bounded, pod, settings},
    wire::inline::tests::request_of,
};

/// A revision without pods, and the requests that came for it.
struct Rig {
    registry: Arc<Registry>,
    revision: Arc<Revision>,
    reporter: Arc<Reporter>,
    answers: JoinSet<Result<Response<Body>, BoxError>>,
}

impl Rig {
    fn new() -> Self {
        let (registry, revision) = (Registry::new(), Revision::new(settings(0)));
        registry.insert(&revision);
        Self {
            reporter: Reporter::new(Arc::clone(&registry), "activator", |_: &Arc<Revision>, _| {}),
            registry,
            revision,
            answers: JoinSet::new(),
        }
    }

    /// So many more requests, each of which any pod answers.
    fn come(&mut self, count: usize) {
        let pods = service_fn(async |_: Request<Body>| Ok::<_, BoxError>(Response::new(Body::empty())));
        for _ in 0..count {
            let layer = ActivatorLayer::new(Arc::clone(&self.registry), Arc::clone(&self.reporter), ());
            let request = request_of(self.revision.key());
            self.answers.spawn(layer.layer(pods).oneshot(request));
        }
    }

    /// So many requests, of which one has been let go to a cluster that takes one at a time: the error has its turn.
    async fn with_one_let_go(count: usize) -> (Self, Error) {
        let mut rig = Self::new();
        rig.come(count);
        rig.parked(count).await;
        rig.revision.release(&bounded(2, 2));
        let gone = rig.let_go().await;
        rig.parked(count - 1).await;
        (rig, gone)
    }

    async fn parked(&self, count: usize) {
        eventually("who waits", async || self.revision.parked() == count).await;
    }

    async fn answer(&mut self) -> Result<Response<Body>, Error> {
        let answer = soon("an answer", self.answers.join_next()).await;
        answer.unwrap().unwrap().map_err(Error::from_boxed)
    }

    async fn let_go(&mut self) -> Error {
        let error = self.answer().await.unwrap_err();
        let request = error.into_unsent().expect("it is to be sent on");
        assert!(request.extensions().get::<Onward>().is_some());
        Error::new(Kind::CapacityRefused).with_unsent(request)
    }

    fn refused(&self) -> Vec<(&'static str, u64)> {
        let refused = self.revision.refused_total().into_iter();
        refused.filter(|(_, count)| *count > 0).collect()
    }
}

#[tokio::test]
async fn a_request_that_is_refused_is_not_kept() {
    let mut rig = Rig::new();
    rig.revision.refuse(Refusal {
        message: "it exits at once".to_owned(),
        retry_after: Duration::from_secs(5),
    });
    rig.come(1);
    let error = rig.answer().await.unwrap_err();
    assert_eq!(error.kind(), Kind::CapacityRefused);
    assert!(error.into_unsent().is_none());
    assert_eq!(
        (rig.refused(), rig.revision.parked_total()),
        (vec![("capacity_refused", 1)], 0)
    );
}

#[tokio::test]
async fn who_has_had_no_turn_yet_waits_for_a_pod_again_once_the_revision_is_held_again() {
    let (mut rig, gone) = Rig::with_one_let_go(3).await;
    rig.revision.accept();
    drop(gone);
    rig.parked(2).await;
    rig.revision.set_pods(vec![pod(3001, 0)]);
    for _ in 0..2 {
        assert_eq!(rig.answer().await.unwrap().status(), 200);
    }
    assert_eq!((rig.refused(), rig.revision.parked_total()), (Vec::new(), 3));
}

#[tokio::test]
async fn who_is_let_go_again_goes_to_the_new_cluster_beside_who_went_before() {
    let (mut rig, gone) = Rig::with_one_let_go(2).await;
    rig.revision.accept();
    let own = bounded(2, 2);
    rig.revision.release(&own);
    rig.parked(1).await;
    drop(gone);
    let error = rig.answer().await.unwrap_err();
    let request = error.into_unsent().unwrap();
    let onward = request.extensions().get::<Onward>().unwrap();
    assert!(Arc::ptr_eq(&onward.cluster, &own));
    assert_eq!(rig.revision.parked(), 0);
}

#[tokio::test]
async fn who_waits_for_a_turn_is_refused_once_the_revision_is_gone() {
    let (mut rig, gone) = Rig::with_one_let_go(3).await;
    rig.registry.remove(rig.revision.key());
    for _ in 0..2 {
        let error = rig.answer().await.unwrap_err();
        assert_eq!(error.kind(), Kind::CapacityRefused);
        assert!(error.into_unsent().is_none());
    }
    assert_eq!(rig.refused(), [("capacity_refused", 2)]);
    drop(gone);
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_others_are_let_go_is_counted_as_they_are() {
    let (mut rig, _gone) = Rig::with_one_let_go(1).await;
    rig.come(1);
    rig.parked(1).await;
    rig.answers.shutdown().await;
    assert_eq!((rig.revision.parked(), rig.revision.parked_total()), (0, 2));
    rig.come(2);
    rig.parked(2).await;
    tokio::time::advance(rig.revision.settings().timeout).await;
    for _ in 0..2 {
        let late = rig.answer().await.unwrap_err();
        assert_eq!(late.kind(), Kind::CapacityTimeout);
    }
    assert_eq!(rig.refused(), [("capacity_timeout", 2), ("client_closed", 1)]);
    assert_eq!((rig.revision.parked(), rig.revision.parked_total()), (0, 4));
}
