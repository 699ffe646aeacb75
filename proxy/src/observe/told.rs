//! Who is told of a request once it is over: with which status it was answered, and how much of that was sent?

use std::sync::Arc;

use http::Response;

use crate::body::{Body, Watcher, watched};
use crate::error::Error;

/// Writes about a request as its response goes by, until it is dropped.
pub trait Writer: Send + 'static {
    /// It is answered with this status.
    fn answered(&mut self, status: u16);

    /// So many bytes of the response's body were taken to be sent.
    fn passed(&mut self, bytes: u64);

    /// The body broke off.
    fn broke(&mut self);
}

/// Counts requests that are over.
pub trait Counter: Send + Sync + 'static {
    /// One was answered with this status and so many bytes of a body; with 200 and none where its client left before.
    fn served(&self, status: u16, sent: u64);
}

/// A request that somebody is told of once it is over: when this is dropped.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use http::Response;
/// use http_body_util::BodyExt;
/// use tidegate_proxy::Body;
/// use tidegate_proxy::observe::told::{Counter, Told, Writer};
///
/// struct Nothing;
///
/// impl Writer for Nothing {
///     fn answered(&mut self, _status: u16) {}
///     fn passed(&mut self, _bytes: u64) {}
///     fn broke(&mut self) {}
/// }
///
/// #[derive(Default)]
/// struct Served(Mutex<Vec<(u16, u64)>>);
///
/// impl Counter for Served {
///     fn served(&self, status: u16, sent: u64) {
///         self.0.lock().unwrap().push((status, sent));
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let served = Arc::new(Served::default());
/// let told = Told::new(Nothing, Some(Arc::clone(&served)));
/// let response = told.finish(Response::new(Body::full("hello")));
/// assert!(served.0.lock().unwrap().is_empty());
/// response.into_body().collect().await?;
/// assert_eq!(*served.0.lock().unwrap(), [(200, 5)]);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Told<W, C: Counter> {
    writer: W,
    counter: Option<Arc<C>>,
    status: u16,
    sent: u64,
}

impl<W: Writer, C: Counter> Told<W, C> {
    /// One that begins. `counter` hears of it where there is one.
    pub fn new(writer: W, counter: Option<Arc<C>>) -> Self {
        Self {
            writer,
            counter,
            status: 200,
            sent: 0,
        }
    }

    /// Who writes about it.
    pub fn writer(&self) -> &W {
        &self.writer
    }

    /// Who counts it.
    pub fn counter(&self) -> Option<Arc<C>> {
        self.counter.clone()
    }

    /// Tells how it ended, once its response has.
    #[must_use]
    pub fn finish(mut self, response: Response<Body>) -> Response<Body> {
        self.answered(response.status().as_u16());
        watched(response, self)
    }

    /// Tells that it failed, in words of somebody else.
    pub fn fail(mut self, failure: &Error) {
        self.answered(failure.status().as_u16());
    }

    fn answered(&mut self, status: u16) {
        self.status = status;
        self.writer.answered(status);
    }
}

impl<W: Writer, C: Counter> Watcher for Told<W, C> {
    fn passed(&mut self, bytes: u64) {
        self.sent += bytes;
        self.writer.passed(bytes);
    }

    fn broke(&mut self) {
        self.writer.broke();
    }
}

impl<W, C: Counter> Drop for Told<W, C> {
    fn drop(&mut self) {
        if let Some(counter) = &self.counter {
            counter.served(self.status, self.sent);
        }
    }
}

impl<W: Writer> Writer for Option<W> {
    fn answered(&mut self, status: u16) {
        if let Some(writer) = self {
            writer.answered(status);
        }
    }

    fn passed(&mut self, bytes: u64) {
        if let Some(writer) = self {
            writer.passed(bytes);
        }
    }

    fn broke(&mut self) {
        if let Some(writer) = self {
            writer.broke();
        }
    }
}
