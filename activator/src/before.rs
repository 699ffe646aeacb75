//! How does a layer of the activator stand before a service?

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tidegate_proxy::{Body, error::BoxError};
use tower::Service;

/// The future of an answer.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

/// What a layer makes of a service: it meets each request before that does. Always ready.
#[derive(Debug, Clone)]
pub struct Before<L, S> {
    layer: L,
    inner: S,
}

/// What a layer does with a request.
pub trait Meet<S> {
    /// Answers it, by `inner` or without.
    fn meet(&self, inner: &S, request: Request<Body>) -> Answer;
}

impl<L, S> Before<L, S> {
    pub(crate) fn new(layer: L, inner: S) -> Self {
        Self { layer, inner }
    }
}

impl<L: Meet<S>, S> Service<Request<Body>> for Before<L, S> {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.layer.meet(&self.inner, request)
    }
}
