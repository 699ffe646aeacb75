//! When do spans leave, how many at once, and what if the collector does not take them?

use std::fmt;
use std::time::Duration;

use metrics::counter;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::otlp::{ExportRequest, Resource, ResourceSpans, Scope, ScopeSpans, Span, attribute};
use super::send::{Collector, Outcome};
use super::stdout;
use crate::config::limits;
use crate::drain::Watch;
use crate::observe::lines::Lines;
use crate::observe::metrics::{SPANS_DROPPED, SPANS_EXPORTED};

/// Sends the spans of one [`Tracing`](super::Tracing) to a collector.
pub struct Exporter {
    spans: mpsc::Receiver<Span>,
    /// What was taken from the queue and not yet by the collector.
    batch: Vec<Span>,
    /// What the spans are told to be of.
    resource: Vec<(String, String)>,
    /// Where they are written that go to standard output, once there are any: it may be read slowly.
    lines: Option<Lines>,
}

impl Exporter {
    pub(super) fn new(spans: mpsc::Receiver<Span>, resource: Vec<(String, String)>) -> Self {
        Self {
            spans,
            batch: Vec::new(),
            resource,
            lines: None,
        }
    }

    /// Sends spans in batches until nobody makes any more, or the drain is over; then it sends what is left, and is done:
    /// a process should wait for that, it takes at most [`limits::SPAN_FLUSH_TIMEOUT`].
    ///
    /// What the collector does not take (after some tries, where it says that it is only busy) is dropped and counted. A
    /// batch that is under way when the drain ends is sent again: a collector tells spans by their ids.
    pub async fn run(mut self, collector: Collector, drain: Watch) {
        let mut forced = drain.forced();
        tokio::select! {
            () = self.export(&collector) => {}
            () = &mut forced => self.flush(&collector).await,
        }
        if let Some(lines) = &self.lines {
            lines.flushed(limits::SPAN_FLUSH_TIMEOUT).await;
        }
    }

    /// Cancel-safe: what is not sent is still in the batch, or in the queue.
    async fn export(&mut self, collector: &Collector) {
        while self.fill().await {
            self.empty(collector, None).await;
        }
    }

    /// Waits for a span, then a while for more. False when there will be none. Cancel-safe.
    async fn fill(&mut self) -> bool {
        let Some(first) = self.spans.recv().await else {
            return false;
        };
        self.batch.push(first);
        let until = Instant::now() + limits::SPAN_BATCH_DELAY;
        while self.batch.len() < limits::SPAN_BATCH {
            match timeout_at(until, self.spans.recv()).await {
                Ok(Some(span)) => self.batch.push(span),
                Ok(None) | Err(_) => break,
            }
        }
        true
    }

    async fn flush(&mut self, collector: &Collector) {
        self.spans.close();
        let deadline = Instant::now() + limits::SPAN_FLUSH_TIMEOUT;
        loop {
            while self.batch.len() < limits::SPAN_BATCH
                && let Ok(span) = self.spans.try_recv()
            {
                self.batch.push(span);
            }
            if self.batch.is_empty() {
                return;
            }
            self.empty(collector, Some(deadline)).await;
        }
    }

    /// Sends the batch, or drops it. Cancel-safe: then it is still there.
    async fn empty(&mut self, collector: &Collector, deadline: Option<Instant>) {
        if collector.is_stdout() {
            let (all, lost) = (self.batch.len() as u64, self.write());
            counter!(SPANS_EXPORTED).increment(all - lost);
            counter!(SPANS_DROPPED).increment(lost);
            self.batch.clear();
            return;
        }
        let message = self.message(self.batch.clone()).encode_to_vec();
        let sent = match deadline {
            Some(deadline) => timeout_at(deadline, send(collector, &message))
                .await
                .unwrap_or(false),
            None => send(collector, &message).await,
        };
        let name = if sent { SPANS_EXPORTED } else { SPANS_DROPPED };
        counter!(name).increment(self.batch.len() as u64);
        self.batch.clear();
    }

    /// Writes the batch to standard output; says how many of it found no room.
    fn write(&mut self) -> u64 {
        if self.lines.is_none() {
            self.lines = Lines::to_stdout("spans", limits::SPAN_QUEUE).ok();
        }
        match &self.lines {
            Some(lines) => stdout::write(lines, &self.resource, &self.batch),
            None => self.batch.len() as u64,
        }
    }

    fn message(&self, spans: Vec<Span>) -> ExportRequest {
        let scope = Scope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        ExportRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: self
                        .resource
                        .iter()
                        .map(|(key, value)| attribute(key, value.as_str()))
                        .collect(),
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope),
                    spans,
                }],
            }],
        }
    }
}

/// Whether the collector took the batch, after some tries at most.
async fn send(collector: &Collector, message: &[u8]) -> bool {
    let mut pause = limits::SPAN_RETRY_PAUSE;
    for left in (0..limits::SPAN_TRIES).rev() {
        let outcome = timeout(collector.timeout, collector.send(message)).await;
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

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}
