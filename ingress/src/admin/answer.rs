//! What an answer is made of: status, type, and a body that is made while it is sent.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, SERVER};
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use tidegate_proxy::observe::access_log::JournalEntry;
use tokio::sync::mpsc;

use crate::limits;

const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");
pub(super) const TEXT: &str = "text/plain; charset=UTF-8";
/// What errors of `/config_dump` have.
pub(super) const PLAIN: &str = "text/plain";
pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=UTF-8";

/// An answer before it is sent.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) content: Content,
}

/// What an answer says.
pub(super) enum Content {
    /// Something short.
    Text(String),
    /// Something that may be long: written on a thread where that may take its time.
    Written(Writer),
}

/// Writes an answer.
type Writer = Box<dyn FnOnce(&mut dyn fmt::Write) -> fmt::Result + Send>;

impl Answer {
    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            content_type: TEXT,
            content: Content::Text(text.into()),
        }
    }

    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self::text(StatusCode::OK, text)
    }

    pub(super) fn json(text: impl Into<String>) -> Self {
        Self {
            content_type: JSON,
            ..Self::ok(text)
        }
    }

    pub(super) fn written(
        content_type: &'static str,
        write: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result + Send + 'static,
    ) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            content: Content::Written(Box::new(write)),
        }
    }

    /// The response, whose body is made as fast as it is taken.
    pub(super) fn into_response(self) -> Response<Chunks> {
        let body = match self.content {
            Content::Text(text) => Chunks::of(text),
            Content::Written(write) => {
                let (sender, receiver) = mpsc::channel(limits::ADMIN_CHUNKS_MAX);
                // It ends with the body: sending fails then.
                drop(tokio::task::spawn_blocking(move || {
                    let mut out = Out {
                        chunk: String::new(),
                        sender,
                    };
                    if write(&mut out).is_ok() {
                        // Who has left misses nothing.
                        _ = out.flush();
                    }
                }));
                Chunks {
                    receiver,
                    entry: None,
                }
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
        headers.insert(NO_SNIFF, HeaderValue::from_static("nosniff"));
        headers.insert(SERVER, HeaderValue::from_static("envoy"));
        response
    }
}

/// A body in pieces, of which few wait at a time. Its length is never said, as Envoy never says it.
#[derive(Debug)]
pub(super) struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    /// What is written about it at its end.
    entry: Option<JournalEntry>,
}

impl Chunks {
    fn of(text: String) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        if !text.is_empty() {
            // There is room for one.
            _ = sender.try_send(text.into());
        }
        Self {
            receiver,
            entry: None,
        }
    }

    /// Counts for what is written about it.
    pub(super) fn noted(self, entry: JournalEntry) -> Self {
        Self {
            entry: Some(entry),
            ..self
        }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = ready!(self.receiver.poll_recv(cx));
        match (&mut self.entry, &chunk) {
            (Some(entry), Some(chunk)) => entry.sent(chunk.len()),
            (entry, _) => drop(entry.take()),
        }
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// Gathers text to pieces and waits while too many are not taken yet.
struct Out {
    chunk: String,
    sender: mpsc::Sender<Bytes>,
}

impl Out {
    fn flush(&mut self) -> fmt::Result {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.sender
            .blocking_send(chunk.into())
            .map_err(|_gone| fmt::Error)
    }
}

impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.chunk.push_str(text);
        if self.chunk.len() >= limits::ADMIN_CHUNK_BYTES {
            self.flush()?;
        }
        Ok(())
    }
}
