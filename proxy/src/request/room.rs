//! Where has a request room for its tries at an upstream?

use std::future::Future;

use http::{Request, Response};

use crate::attempt::{self, Errand};
use crate::body::Body;
use crate::error::Error;
use crate::upstream::Timing;
use crate::worker::Worker;

/// Where the future is that sends a request to its cluster, without layers between. It is the largest step of a request.
pub(crate) trait Room {
    /// As [`attempt::run`].
    fn attempt<'a>(
        worker: &'a Worker,
        errand: Errand<'a>,
        request: &'a mut Request<Body>,
    ) -> impl Future<Output = Result<(Response<Body>, Timing), Error>> + Send + 'a;
}

/// In the future of the request: it is what most have, and costs no allocation.
pub(crate) enum Inline {}

/// In a box of its own. For requests whose layers send them by a box that those have: they may wait there, and would hold room
/// for nothing. They come to this one only where a filter or a redirect has found them another route.
pub(crate) enum Boxed {}

impl Room for Inline {
    fn attempt<'a>(
        worker: &'a Worker,
        errand: Errand<'a>,
        request: &'a mut Request<Body>,
    ) -> impl Future<Output = Result<(Response<Body>, Timing), Error>> + Send + 'a {
        attempt::run(worker, errand, request)
    }
}

impl Room for Boxed {
    fn attempt<'a>(
        worker: &'a Worker,
        errand: Errand<'a>,
        request: &'a mut Request<Body>,
    ) -> impl Future<Output = Result<(Response<Body>, Timing), Error>> + Send + 'a {
        Box::pin(attempt::run(worker, errand, request))
    }
}
