//! What is told of a request beside its answer: a line of the log, and numbers?

use std::sync::Arc;

use http::{Request, Response};
use http_body::Body as _;
use tidegate_knative::request_log::{Came, Described, Entry, RequestLog};
use tidegate_proxy::Body;
use tidegate_proxy::body::{Watcher, watched};
use tidegate_proxy::error::Error;
use tidegate_proxy::upstream::Target;

use super::health;
use crate::measures::{Counted, Measures};
use crate::program::env::Identity;

/// Whom it is told.
#[derive(Debug, Default)]
pub struct Seeing {
    /// Who writes about requests, where anybody does.
    pub log: Option<Log>,
    /// Who counts them.
    pub measures: Option<Arc<Measures>>,
}

/// A log of requests.
#[derive(Debug)]
pub struct Log {
    /// How it is written.
    pub log: Arc<RequestLog>,
    /// Whether probes are logged too.
    pub takes_probes: bool,
    /// Whose requests they are.
    pub about: Arc<Identity>,
}

/// A request that somebody is told of once it is over: when this is dropped.
pub(super) struct Seen {
    entry: Option<Entry>,
    counted: Option<Arc<Counted>>,
    status: u16,
    sent: u64,
}

impl Seeing {
    /// Begins, where anybody wants to know about this request.
    pub(super) fn begin(&self, request: &mut Request<Body>) -> Option<Seen> {
        if self.log.is_none() && self.measures.is_none() {
            return None;
        }
        let target = request.extensions().get::<Target>()?;
        let came = Came {
            at: target.received,
            from: target.client.address,
            is_tls: target.client.is_tls,
            has_body: !request.body().is_end_stream(),
        };
        let is_probe = health::is_probe(request.headers());
        let log = self.log.as_ref().filter(|log| log.takes_probes || !is_probe);
        let entry = log.map(|log| log.log.begin(request, came, log.about()));
        let measures = self.measures.as_ref().filter(|_| !is_probe);
        let counted = measures.map(|measures| Arc::new(measures.begin(request, came.is_tls, came.at)));
        (entry.is_some() || counted.is_some()).then_some(Seen {
            entry,
            counted,
            status: 200,
            sent: 0,
        })
    }
}

impl Log {
    fn about(&self) -> Arc<dyn Described> {
        Arc::<Identity>::clone(&self.about)
    }
}

impl Seen {
    /// Who counts what the application makes of it.
    pub(super) fn counted(&self) -> Option<Arc<Counted>> {
        self.counted.clone()
    }

    /// Tells how it ended, once its response has.
    pub(super) fn finish(mut self, response: Response<Body>) -> Response<Body> {
        self.answered(response.status().as_u16());
        watched(response, self)
    }

    /// Tells that it failed, in words of somebody else.
    pub(super) fn fail(mut self, failure: &Error) {
        self.answered(failure.status().as_u16());
    }

    fn answered(&mut self, status: u16) {
        self.status = status;
        if let Some(entry) = &mut self.entry {
            entry.answered(status);
        }
    }
}

impl Watcher for Seen {
    fn passed(&mut self, bytes: u64) {
        self.sent += bytes;
        if let Some(entry) = &mut self.entry {
            entry.passed(bytes);
        }
    }

    fn broke(&mut self) {
        if let Some(entry) = &mut self.entry {
            entry.broke();
        }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        if let Some(counted) = &self.counted {
            counted.served(self.status, self.sent);
        }
    }
}
