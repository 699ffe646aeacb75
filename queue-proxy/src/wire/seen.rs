//! What is told of a request beside its answer: a line of the log, and numbers?

use std::sync::Arc;

use http::Request;
use http_body::Body as _;
use tidegate_knative::request_log::{Came, Described, Entry, RequestLog};
use tidegate_proxy::Body;
use tidegate_proxy::observe::told::{Told, Writer};
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

/// A request that somebody is told of once it is over.
pub(super) type Seen = Told<Option<Line>, Counted>;

/// A line of the log.
pub(super) struct Line(Entry);

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
        let line = log.map(|log| Line(log.log.begin(request, came, log.about())));
        let measures = self.measures.as_ref().filter(|_| !is_probe);
        let counted = measures.map(|measures| Arc::new(measures.begin(request, came.is_tls, came.at)));
        (line.is_some() || counted.is_some()).then(|| Told::new(line, counted))
    }
}

impl Log {
    fn about(&self) -> Arc<dyn Described> {
        Arc::<Identity>::clone(&self.about)
    }
}

impl Writer for Line {
    fn answered(&mut self, status: u16) {
        self.0.answered(status);
    }

    fn passed(&mut self, bytes: u64) {
        self.0.passed(bytes);
    }

    fn broke(&mut self) {
        self.0.broke();
    }
}
