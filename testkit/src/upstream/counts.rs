//! What did an upstream see, and how much of it at once?

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body::{Frame, SizeHint};

use crate::BoxError;
use crate::body::{self, Body};
use crate::tls::Handshake;

/// The head of one request, as the upstream got it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Its target, as it came: origin form over HTTP/1, absolute over HTTP/2.
    pub uri: Uri,
    /// The version of its connection.
    pub version: Version,
    /// Its headers.
    pub headers: HeaderMap,
    /// Which connection brought it: 1 for the first that was accepted.
    pub connection: usize,
    /// What that connection's handshake told, if it was TLS.
    pub tls: Option<Arc<Handshake>>,
}

impl Seen {
    /// The first value of a header, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Running counts of an upstream.
#[derive(Debug, Default)]
pub struct Counts {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    connections_open: AtomicUsize,
    running: AtomicUsize,
    running_max: AtomicUsize,
}

impl Counts {
    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.lock().len()
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Connections open now.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        self.connections_open.load(Ordering::SeqCst)
    }

    /// Requests that run now: from their head to the end of the response's body.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// The most requests that ever ran at once.
    #[must_use]
    pub fn running_max(&self) -> usize {
        self.running_max.load(Ordering::SeqCst)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.lock().clone()
    }

    pub(super) fn connected(self: &Arc<Self>, tls: Option<Arc<Handshake>>) -> Connected {
        let number = self.connections.fetch_add(1, Ordering::SeqCst) + 1;
        self.connections_open.fetch_add(1, Ordering::SeqCst);
        Connected {
            number,
            tls,
            counts: Arc::clone(self),
        }
    }

    pub(super) fn started<B>(self: &Arc<Self>, request: &Request<B>, connection: &Connected) -> Running {
        self.lock().push(Seen {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            connection: connection.number,
            tls: connection.tls.clone(),
        });
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.running_max.fetch_max(running, Ordering::SeqCst);
        Running {
            counts: Arc::clone(self),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one connection while it lives.
pub(super) struct Connected {
    number: usize,
    tls: Option<Arc<Handshake>>,
    counts: Arc<Counts>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.counts.connections_open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts one request while it lives.
pub(super) struct Running {
    counts: Arc<Counts>,
}

impl Running {
    /// Keeps counting until the response's body was sent or dropped.
    pub(super) fn until_end_of(self, body: Body) -> Body {
        body::boxed(Counted { body, _running: self })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.counts.running.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Counted {
    body: Body,
    _running: Running,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
