//! Which spans does a request leave, and what tells its upstream of them?
//!
//! The context is W3C's (`traceparent`, `tracestate`); the spans follow OpenTelemetry's conventions for HTTP: one for the
//! request, one for each try. They go to a collector by OTLP. Without [`Tracing`] nothing of this costs anything, and the
//! fields pass through as they came.
//!
//! ```
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::observe::trace::{Collector, Tracing, TracingSettings};
//!
//! let (tracing, exporter) = Tracing::new(TracingSettings::new("gateway"));
//! let http = HttpSettings { tracing: Some(tracing), ..HttpSettings::default() };
//! let collector = Collector::http("http://127.0.0.1:4318/v1/traces")?;
//! // On a runtime that carries no traffic: exporter.run(collector, watch).await
//! # drop((http, exporter, collector));
//! # Ok::<(), tidegate_proxy::observe::trace::CollectorError>(())
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use metrics::counter;
use tokio::sync::mpsc;

use crate::config::limits;
use crate::observe::metrics::SPANS_DROPPED;
use crate::observe::record::Entry;
use crate::observe::request_id::random;

pub(crate) mod context;
mod export;
mod inner;
pub(crate) mod otlp;
mod send;
mod span;
mod stdout;

pub(crate) use context::Context;
pub use export::Exporter;
pub(crate) use inner::Inner;
pub use inner::{InnerSpan, Telling};
pub use send::{Collector, CollectorError};

/// What is traced, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingSettings {
    /// `service.name` of the spans.
    pub service_name: String,
    /// Of a million requests without a context that is believed, about so many are sampled. Default: all.
    pub sample_per_million: u32,
    /// What becomes of a client's context. Default: its trace goes on.
    pub client: ClientContext,
    /// Attributes that the span of a request has beside its own. Default: none.
    pub tags: Vec<Tag>,
    /// What tells of the service beside its name. Default: nothing.
    pub resource: Vec<(String, String)>,
    /// What the span of a try at an upstream is called. Default: by its method.
    pub upstream_name: UpstreamName,
    /// Requests with one of these leave no span, and their context passes through as it came. Default: there are none.
    pub untraced: Vec<FieldBegins>,
}

/// What the span of a try at an upstream is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamName {
    /// `GET`
    #[default]
    Method,
    /// `HTTP GET`
    HttpMethod,
    /// `GET /path`
    MethodAndPath,
}

/// A field whose first value begins like this, and is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldBegins {
    /// Its name.
    pub name: HeaderName,
    /// What it begins with; an empty text is the beginning of every value.
    pub with: &'static str,
}

/// An attribute of a request's span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its key.
    pub name: String,
    /// Its value.
    pub value: TagValue,
}

/// Where an attribute's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagValue {
    /// It is always this one.
    Text(String),
    /// A field of the request as its client sent it.
    Field {
        /// The field.
        name: HeaderName,
        /// The value without the field; none leaves the attribute out.
        default: Option<String>,
    },
}

/// What becomes of a context that a client sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientContext {
    /// Its trace goes on, sampled as the client says: for clients that are trusted.
    #[default]
    Continue,
    /// Its trace goes on, and whether it is sampled is decided as for one that begins here, whatever the client says. Who has the
    /// same share samples the same traces.
    ContinueByRate,
    /// As [`ClientContext::Continue`]; where there is no `traceparent`, one in Zipkin's B3 fields counts. It is only read.
    ContinueB3,
    /// It is replaced by a new one: for clients that nobody knows.
    Replace,
}

impl TracingSettings {
    /// Every request of this service, as a part of its client's trace.
    #[must_use]
    pub fn new(service_name: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            sample_per_million: MILLION,
            client: ClientContext::default(),
            tags: Vec::new(),
            resource: Vec::new(),
            upstream_name: UpstreamName::default(),
            untraced: Vec::new(),
        }
    }
}

const MILLION: u32 = 1_000_000;

/// Makes spans and queues them for an [`Exporter`]. Cheap to clone.
#[derive(Clone)]
pub struct Tracing {
    shared: Arc<Shared>,
}

struct Shared {
    settings: TracingSettings,
    queue: mpsc::Sender<otlp::Span>,
    dropped: AtomicU64,
}

/// The part of a trace that one request is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Of the span of the request.
    pub(crate) context: Context,
    /// The span that the client was in.
    pub(crate) parent: Option<u64>,
}

impl Tracing {
    /// Tracing, and what sends its spans: to be run on a runtime that carries no traffic.
    #[must_use]
    pub fn new(settings: TracingSettings) -> (Self, Exporter) {
        let (queue, spans) = mpsc::channel(limits::SPAN_QUEUE);
        let mut resource = vec![("service.name".to_owned(), settings.service_name.clone())];
        resource.extend(settings.resource.iter().cloned());
        let shared = Shared {
            settings,
            queue,
            dropped: AtomicU64::new(0),
        };
        let tracing = Self {
            shared: Arc::new(shared),
        };
        (tracing, Exporter::new(spans, resource))
    }

    /// Whether anybody else makes spans with this: another clone of it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }

    /// The fields of requests that spans tell of.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &HeaderName> {
        let tags = self.shared.settings.tags.iter();
        let named = tags.filter_map(|tag| match &tag.value {
            TagValue::Field { name, .. } => Some(name),
            TagValue::Text(_) => None,
        });
        std::iter::once(&USER_AGENT).chain(named)
    }

    /// How many spans found no room in the queue.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Whether a request with these fields leaves spans.
    pub(crate) fn takes(&self, headers: &HeaderMap) -> bool {
        let mut untraced = self.shared.settings.untraced.iter();
        !untraced.any(|field| {
            let value = headers
                .get(&field.name)
                .map(HeaderValue::as_bytes)
                .unwrap_or_default();
            !value.is_empty() && value.starts_with(field.with.as_bytes())
        })
    }

    /// Takes a request up: its part of a trace, which the fields tell its upstream from now on.
    pub(crate) fn begin(&self, headers: &mut HeaderMap) -> Part {
        let settings = &self.shared.settings;
        let sent = match settings.client {
            ClientContext::Replace => None,
            ClientContext::Continue => context::read(headers),
            ClientContext::ContinueByRate => {
                context::read(headers).map(|sent| sent.sampled_by(settings.sample_per_million))
            }
            ClientContext::ContinueB3 => context::read(headers).or_else(|| context::read_b3(headers)),
        };
        let part = match sent {
            Some(parent) => Part {
                context: parent.child(),
                parent: Some(parent.span_id.get()),
            },
            None => {
                // What belongs to a context that does not count must not go on without it.
                headers.remove(context::TRACESTATE);
                Part {
                    context: Context::new(random()).sampled_by(settings.sample_per_million),
                    parent: None,
                }
            }
        };
        headers.insert(context::TRACEPARENT, part.context.to_field());
        part
    }

    /// Queues the spans of a request that is over.
    pub(crate) fn finish(&self, part: Part, entry: &Entry<'_>) {
        if !part.context.sampled {
            return;
        }
        for span in span::of(part, entry, &self.shared.settings) {
            if self.shared.queue.try_send(span).is_err() {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                counter!(SPANS_DROPPED).increment(1);
            }
        }
    }
}

impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracing")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}
