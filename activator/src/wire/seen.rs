//! What is told of a request beside its answer: a line of the log, numbers, and spans of what is done for it?

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use http::Request;
use hyper::body::Body as _;
use tidegate_knative::request_log::{Came, Described, Entry, RequestLog};
use tidegate_proxy::{
    Body,
    observe::{
        instruments::http::Exchange,
        told::{Told, Writer},
        trace::{InnerSpan, Telling},
    },
    upstream::Target,
};

use crate::{
    measures::{Counted, Going, Measures},
    throttle::Revision,
};

/// Whom it is told.
#[derive(Debug, Default)]
pub struct Seeing {
    /// Who writes about requests now, where anybody does.
    pub log: ArcSwapOption<RequestLog>,
    /// Who counts them.
    pub measures: Option<Arc<Measures>>,
}

/// A request that somebody is told of once it is over.
pub(super) type Seen = Told<Written, Counted>;

/// What is written of a request.
pub(super) struct Written {
    entry: Option<Entry>,
    /// Until its response has ended.
    passage: Option<Arc<Passage>>,
}

/// The way of a request to a pod.
#[derive(Debug)]
pub(super) struct Passage {
    going: Option<Going>,
    telling: Option<Telling>,
    stage: Mutex<Stage>,
    counted: Option<Arc<Counted>>,
}

#[derive(Debug)]
enum Stage {
    /// It waits for capacity.
    Try(Option<InnerSpan>),
    /// It is with a pod.
    Proxied { _span: Option<InnerSpan> },
}

impl Seeing {
    /// Begins, where anybody wants to know about this request. `revision` is whose it is, where there is such a one.
    pub(super) fn begin(
        &self,
        request: &mut Request<Body>,
        target: &Target,
        revision: Option<&Arc<Revision>>,
    ) -> Option<Seen> {
        let log = self.log.load();
        let telling = Telling::of(request.extensions());
        if log.is_none() && self.measures.is_none() && telling.is_none() {
            return None;
        }
        let came = Came {
            at: target.received,
            from: target.client.address,
            is_tls: target.client.is_tls,
            has_body: !request.body().is_end_stream(),
        };
        let entry = log.as_ref().zip(revision).map(|(log, revision)| {
            let about: Arc<dyn Described> = Arc::<Revision>::clone(revision);
            log.begin(request, came, about)
        });
        let counted = self.measures.as_ref().map(|measures| {
            let exchange = Exchange::of(request, came.is_tls, came.at);
            Arc::new(measures.counted(exchange, revision.cloned()))
        });
        let passage = revision.map(|revision| {
            let settings = revision.settings();
            if let Some(telling) = &telling {
                telling.attribute("k8s.namespace.name", &*settings.namespace);
                telling.attribute("kn.service.name", &*settings.service);
                telling.attribute("kn.configuration.name", &*settings.configuration);
                telling.attribute("kn.revision.name", &*settings.name);
            }
            let span = telling.as_ref().map(|telling| telling.begin("throttler_try"));
            Arc::new(Passage {
                going: self.measures.as_ref().map(|measures| measures.queued(settings)),
                stage: Mutex::new(Stage::Try(span)),
                counted: counted.clone(),
                telling,
            })
        });
        Some(Told::new(Written { entry, passage }, counted))
    }
}

impl Written {
    pub(super) fn passage(&self) -> Option<Arc<Passage>> {
        self.passage.clone()
    }
}

impl Passage {
    /// It has a pod.
    pub(super) fn proceed(&self) {
        if let Some(going) = &self.going {
            going.proceed();
        }
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Stage::Try(waited) = &mut *stage {
            drop(waited.take());
            let span = self
                .telling
                .as_ref()
                .map(|telling| telling.begin("activator_proxy"));
            if let Some(span) = &span {
                span.holds_tries();
            }
            *stage = Stage::Proxied { _span: span };
        }
    }

    /// Who counts what a pod makes of it.
    pub(super) fn counted(&self) -> Option<&Counted> {
        self.counted.as_deref()
    }
}

impl Drop for Passage {
    /// A request that has had no pod has not got through.
    fn drop(&mut self) {
        if let Ok(Stage::Try(Some(span))) = self.stage.get_mut() {
            span.fail();
        }
    }
}

impl Writer for Written {
    fn answered(&mut self, status: u16) {
        if let Some(entry) = &mut self.entry {
            entry.answered(status);
        }
    }

    fn passed(&mut self, bytes: u64) {
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

impl Described for Revision {
    fn get(&self, name: &str) -> Option<&str> {
        let settings = self.settings();
        Some(match name {
            "Name" => &settings.name,
            "Namespace" => &settings.namespace,
            "Service" => &settings.service,
            "Configuration" => &settings.configuration,
            _ => return None,
        })
    }
}
