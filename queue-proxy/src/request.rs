//! The life of one request on its way to a replica, top to bottom.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tidegate_proxy::Body;
use tidegate_proxy::error::{BoxError, Error};
use tidegate_proxy::layers::timeout::Timers;
use tidegate_proxy::upstream::Target;
use tower::{Layer, Service};

use crate::{Sidecar, forwarded, host};

/// Puts a [`QueueProxy`] before a service; the innermost of a route's layers.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueProxyLayer;

impl<S> Layer<S> for QueueProxyLayer {
    type Service = QueueProxy<S>;

    fn layer(&self, inner: S) -> QueueProxy<S> {
        QueueProxy { inner }
    }
}

/// Sends requests to their replica under its [`Sidecar`], which it finds in the metadata of the endpoint that
/// another layer has chosen ([`Target::endpoint`]). A request without one passes untouched.
///
/// A kubelet's probe is a request like any other here: in one process there is no kubelet, and what comes from
/// outside may not pass by the limit.
///
/// Costs: boxes its future, and the body of a response that does not end with its head.
#[derive(Clone, Debug)]
pub struct QueueProxy<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for QueueProxy<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some((sidecar, timers)) = arrive(&request) else {
            let response = self.inner.call(request);
            return Box::pin(async move { response.await.map_err(Into::into) });
        };
        forwarded::synthesize(request.headers_mut());
        host::restore(request.headers_mut());
        // The one that was asked whether it is ready is the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let exchange = async {
                let permit = sidecar.admit().await?;
                let response = inner.call(request).await;
                let response = response.map_err(|error| Error::from_boxed(error.into()))?;
                Ok((response, permit))
            };
            let (response, permit) = timers.until_start(exchange).await?;
            Ok(timers.finish(response).map(|body| body.hold(permit)))
        })
    }
}

/// The sidecar that this request belongs to, and its timeouts, which run from here on.
fn arrive(request: &Request<Body>) -> Option<(Arc<Sidecar>, Timers)> {
    let target = request.extensions().get::<Target>()?;
    let sidecar = target.endpoint.as_ref()?.metadata().get::<Arc<Sidecar>>()?;
    Some((
        Arc::clone(sidecar),
        Timers::start(&sidecar.timeouts(), target.received),
    ))
}
