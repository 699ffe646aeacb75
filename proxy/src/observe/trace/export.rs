//! When do spans leave, how many at once, and what if the collector does not take them?

use std::fmt;
use std::time::Duration;

use metrics::counter;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::otlp::{ExportRequest, Resource, ResourceSpans, Scope, ScopeSpans, Span, attribute};
use super::send::{Collector, Outcome};
use crate::config::limits;
use crate::drain::Watch;
use crate::observe::metrics::{SPANS_DROPPED, SPANS_EXPORTED};

/// Sends the spans of one [`Tracing`](super::Tracing) to a collector.
pub struct Exporter {
    spans: mpsc::Receiver<Span>,
    service_name: String,
}

impl Exporter {
    pub(super) fn new(spans: mpsc::Receiver<Span>, service_name: String) -> Self {
        Self { spans, service_name }
    }

    /// Sends spans in batches until nobody makes any more, or the drain is over; then it sends what is left, and is done:
    /// a process should wait for that, it takes at most [`limits::SPAN_FLUSH_TIMEOUT`].
    ///
    /// What the collector does not take (after some tries, where it says that it is only busy) is dropped and counted.
    pub async fn run(mut self, collector: Collector, drain: Watch) {
        let forced = drain.forced();
        tokio::pin!(forced);
        let over = loop {
            let batch = tokio::select! {
                batch = self.batch() => batch,
                () = &mut forced => break true,
            };
            if batch.is_empty() {
                break false;
            }
            let count = batch.len();
            let sent = tokio::select! {
                sent = self.send(&collector, batch) => sent,
                () = &mut forced => {
                    counter!(SPANS_DROPPED).increment(count as u64);
                    break true;
                }
            };
            note(sent, count);
        };
        if over {
            self.flush(&collector).await;
        }
    }

    /// Waits for a span, then a while for more. Empty when there will be none.
    async fn batch(&mut self) -> Vec<Span> {
        let mut batch = Vec::new();
        if let Some(first) = self.spans.recv().await {
            batch.push(first);
            let until = Instant::now() + limits::SPAN_BATCH_DELAY;
            while batch.len() < limits::SPAN_BATCH {
                match timeout_at(until, self.spans.recv()).await {
                    Ok(Some(span)) => batch.push(span),
                    Ok(None) | Err(_) => break,
                }
            }
        }
        batch
    }

    async fn flush(&mut self, collector: &Collector) {
        self.spans.close();
        let deadline = Instant::now() + limits::SPAN_FLUSH_TIMEOUT;
        loop {
            let mut batch = Vec::new();
            while let Ok(span) = self.spans.try_recv() {
                batch.push(span);
                if batch.len() == limits::SPAN_BATCH {
                    break;
                }
            }
            if batch.is_empty() {
                return;
            }
            let count = batch.len();
            let sent = timeout_at(deadline, self.send(collector, batch)).await;
            note(sent.unwrap_or(false), count);
        }
    }

    /// Whether the collector took the batch, after some tries at most.
    async fn send(&self, collector: &Collector, batch: Vec<Span>) -> bool {
        let message = self.message(batch).encode_to_vec();
        let mut pause = limits::SPAN_RETRY_PAUSE;
        for left in (0..limits::SPAN_TRIES).rev() {
            let outcome = timeout(limits::SPAN_SEND_TIMEOUT, collector.send(&message)).await;
            let wanted = match outcome {
                Ok(Outcome::Taken) => return true,
                Ok(Outcome::Refused(why)) => {
                    tracing::debug!(%why, "the collector refuses spans");
                    return false;
                }
                Ok(Outcome::Busy(after)) => after.unwrap_or(pause),
                Err(_elapsed) => pause,
            };
            if left == 0 {
                break;
            }
            tokio::time::sleep(wanted.min(limits::SPAN_SEND_TIMEOUT)).await;
            pause = pause.saturating_mul(2).max(Duration::from_millis(1));
        }
        tracing::debug!("the collector does not take spans");
        false
    }

    fn message(&self, spans: Vec<Span>) -> ExportRequest {
        let scope = Scope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        ExportRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: vec![attribute("service.name", self.service_name.as_str())],
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope),
                    spans,
                }],
            }],
        }
    }
}

fn note(sent: bool, count: usize) {
    let name = if sent { SPANS_EXPORTED } else { SPANS_DROPPED };
    counter!(name).increment(count as u64);
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("service_name", &self.service_name)
            .finish_non_exhaustive()
    }
}
