//! What is kept of a request that waits in vain?

use tower::service_fn;

use super::*;
use crate::{throttle::tests::settings, wire::inline::tests::request_of};

#[tokio::test]
async fn a_request_that_is_refused_is_not_kept() {
    let registry = Registry::new();
    let revision = Revision::new(settings(1));
    registry.insert(&revision);
    revision.refuse(Refusal {
        message: "it exits at once".to_owned(),
        retry_after: std::time::Duration::from_secs(5),
    });
    let reporter = Reporter::new(Arc::clone(&registry), "activator", |_: &Arc<Revision>, _| {});
    let nobody = service_fn(async |_: Request<Body>| Err::<Response<Body>, BoxError>("it was sent".into()));
    let mut layer = ActivatorLayer::new(registry, reporter, ()).layer(nobody);
    let answer = layer.call(request_of(revision.key())).await;
    let error = Error::from_boxed(answer.unwrap_err());
    assert_eq!(error.kind(), Kind::CapacityRefused);
    assert!(error.into_unsent().is_none());
}
