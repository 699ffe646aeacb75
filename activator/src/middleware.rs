//! How does a layer of the activator become a service that a proxy can call?

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tidegate_proxy::{Body, error::BoxError};
use tower::Service;

/// The future of a response.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

/// Sees each request before the service behind it does, and the response after it.
///
/// The [`tower::Layer`]s of this crate are middleware: [`tower::Layer::layer`] puts them before a service, as a
/// [`MiddlewareService`].
pub trait Middleware<S> {
    /// Answers a request: by `next`, the service behind it, or without.
    fn handle(&self, next: &S, request: Request<Body>) -> ResponseFuture;
}

/// A [`Middleware`] and the service behind it, as one [`tower::Service`]. Always ready: it is the request that waits.
#[derive(Debug, Clone)]
pub struct MiddlewareService<M, S> {
    middleware: M,
    next: S,
}

impl<M, S> MiddlewareService<M, S> {
    /// Puts `middleware` before `next`.
    pub(crate) fn new(middleware: M, next: S) -> Self {
        Self { middleware, next }
    }
}

impl<M: Middleware<S>, S> Service<Request<Body>> for MiddlewareService<M, S> {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.middleware.handle(&self.next, request)
    }
}
