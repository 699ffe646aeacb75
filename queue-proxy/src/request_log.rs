//! What is written about a request when it is over, where the operator wants that?
//!
//! A line by a template, on standard output (Knative `pkg/http/request_log.go`). Lines are rendered where the request ends and
//! written by a thread of their own; who reads them slowly loses some rather than hold requests up.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tidegate_knative::template::{Template, TemplateError};
use tidegate_proxy::error::Error;
use tidegate_proxy::upstream::Client;
use tidegate_proxy::{Body, process};

use crate::limits::LOG_LINES_WAITING_MAX;
use crate::program::env::Identity;

mod view;

use view::{Asked, Exchange, Told};

/// Writes about requests.
#[derive(Debug)]
pub struct RequestLog {
    template: Template,
    logs_probes: bool,
    identity: Identity,
    lines: SyncSender<Line>,
    lost: AtomicU64,
}

/// What the writing thread is told.
#[derive(Debug)]
enum Line {
    Text(String),
    /// Everything before has to be written.
    Flush(SyncSender<()>),
}

/// What becomes a line when it is dropped: a request under way.
#[derive(Debug)]
pub struct Entry {
    log: Arc<RequestLog>,
    began: Instant,
    asked: Asked,
    status: StatusCode,
    sent: u64,
}

impl RequestLog {
    /// A log by this template, about the sidecar of `identity`; none where the template is empty.
    ///
    /// # Errors
    /// A template that cannot be read.
    pub fn new(
        template: &str,
        logs_probes: bool,
        identity: &Identity,
    ) -> Result<Option<Arc<Self>>, TemplateError> {
        if template.is_empty() {
            return Ok(None);
        }
        // One line for each entry, whatever the template ends with.
        let line_end = if template.ends_with('\n') { "" } else { "\n" };
        let template = Template::parse(&format!("{template}{line_end}"))?;
        let (lines, waiting) = sync_channel(LOG_LINES_WAITING_MAX);
        let writing = process::start_thread("request-log", move || write(&waiting));
        Ok(writing.is_ok().then(|| {
            Arc::new(Self {
                template,
                logs_probes,
                identity: identity.clone(),
                lines,
                lost: AtomicU64::new(0),
            })
        }))
    }

    /// Begins an entry, where this request gets one.
    #[must_use]
    pub fn begin(
        self: &Arc<Self>,
        request: &Request<Body>,
        client: Client,
        (began, is_probe): (Instant, bool),
    ) -> Option<Entry> {
        if is_probe && !self.logs_probes {
            return None;
        }
        Some(Entry {
            log: Arc::clone(self),
            began,
            asked: Asked::of(request, client),
            status: StatusCode::OK,
            sent: 0,
        })
    }

    /// How many lines nobody could be told.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was said is written, for a while.
    pub fn flush(&self, at_most: Duration) {
        let (tell, written) = sync_channel(1);
        if self.lines.try_send(Line::Flush(tell)).is_ok() {
            // Written or not, nobody waits longer.
            _ = written.recv_timeout(at_most);
        }
    }

    fn say(&self, line: String) {
        if self.lines.try_send(Line::Text(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The writing thread: ends with the last log.
fn write(lines: &Receiver<Line>) {
    let mut out = io::stdout();
    while let Ok(line) = lines.recv() {
        match line {
            // In one piece. Where nobody reads any more, there is nobody to tell.
            Line::Text(line) => drop(out.write_all(line.as_bytes()).and_then(|()| out.flush())),
            Line::Flush(written) => drop(written.send(())),
        }
    }
}

impl Entry {
    /// Says how the request ended, once its response has.
    #[must_use]
    pub fn finish(mut self, response: Response<Body>) -> Response<Body> {
        self.status = response.status();
        if self.status == StatusCode::SWITCHING_PROTOCOLS || response.body().is_end_stream() {
            return response.map(|body| body.hold(self));
        }
        response.map(|body| Body::new(Counted { body, entry: self }))
    }

    /// Says that it failed, in words of somebody else.
    pub fn fail(mut self, failure: &Error) {
        self.status = failure.status();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let told = Told {
            status: self.status.as_u16(),
            bytes: self.sent,
            latency: self.began.elapsed(),
        };
        let exchange = Exchange {
            asked: &self.asked,
            told,
            identity: &self.log.identity,
        };
        let line = self.log.template.render(&exchange);
        self.log
            .say(line.unwrap_or_else(|_| exchange.of_invalid_template()));
    }
}

/// A body whose bytes are counted.
struct Counted {
    body: Body,
    entry: Entry,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map(Bytes::len).unwrap_or_default();
                this.entry.sent += u64::try_from(bytes).unwrap_or_default();
            }
            // As Knative has it when a response breaks off.
            Poll::Ready(Some(Err(_))) => {
                this.entry.status = StatusCode::INTERNAL_SERVER_ERROR;
                this.entry.sent = 0;
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
