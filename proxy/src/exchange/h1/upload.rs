//! A request on its way out: its head, then its body as it comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, Request};
use http_body::Body as _;

use crate::body::Body;
use crate::connection::h1::encode::{self, Framing};
use crate::connection::h1::outgoing::{Outgoing, Progress};
use crate::error::Error;
use crate::pool::Stream;

/// What is to be written of a request.
#[derive(Debug)]
pub(super) struct Upload {
    out: Outgoing,
    framing: Framing,
    ended: bool,
    /// Bytes that the upstream's side has taken.
    written: usize,
    /// Whether anything of the body has been taken.
    touched: bool,
}

/// Why the rest of a request is not sent.
#[derive(Debug)]
pub(super) enum Broken {
    /// The upstream does not take it.
    Write(io::Error),
    /// The request itself broke off.
    Body(Error),
    /// It is longer or shorter than it said.
    Length(&'static str),
}

impl Upload {
    /// The request with this head; its body is polled where it is.
    pub(super) fn of(request: &Request<Body>) -> Self {
        let mut out = Outgoing::default();
        let ended = request.body().is_end_stream();
        let framing = head(request, ended, &mut out);
        Self {
            out,
            framing,
            ended,
            written: 0,
            touched: false,
        }
    }

    /// Whether nothing of the request was sent, and nothing of its body taken: it may be sent elsewhere as it is.
    pub(super) fn is_unsent(&self) -> bool {
        self.written == 0 && !self.touched
    }

    /// Whether it waits for the upstream to take more.
    pub(super) fn is_blocked(&self) -> bool {
        !self.out.is_empty()
    }

    /// How much the upstream has taken so far, in bytes.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Sends what there is of `body` behind what is not written yet; resolves when all of it is written.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        body: &mut Body,
    ) -> Poll<Result<(), Broken>> {
        loop {
            let mut failed = None;
            while !self.ended && failed.is_none() && self.out.has_room() {
                match self.poll_frame(cx, body) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(broken)) => failed = Some(broken),
                    Poll::Pending => break,
                }
            }
            if let Some(broken) = failed {
                return Poll::Ready(Err(broken));
            }
            if self.out.is_empty() {
                return if self.ended {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            let before = self.out.len();
            let written = self.out.poll_write(cx, stream);
            self.written += before - self.out.len();
            ready!(written).map_err(Broken::Write)?;
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>, body: &mut Body) -> Poll<Result<(), Broken>> {
        let frame = ready!(Pin::new(body).poll_frame(cx));
        self.touched = true;
        let progress = match frame {
            Some(Ok(frame)) => self.out.frame(&mut self.framing, frame),
            Some(Err(error)) => return Poll::Ready(Err(Broken::Body(error))),
            None => self.out.end(&mut self.framing).map(|()| Progress::Ended),
        };
        self.ended = progress.map_err(Broken::Length)? == Progress::Ended;
        Poll::Ready(Ok(()))
    }
}

/// Writes the head; says how the body is framed (RFC 9112 §6.3).
fn head(request: &Request<Body>, bodiless: bool, out: &mut Outgoing) -> Framing {
    let (headers, out) = (request.headers(), &mut out.head);
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    out.reserve(request.method().as_str().len() + target.len() + encode::room(headers));
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.extend_from_slice(b" ");
    if !target.starts_with(['/', '*']) {
        // A URI with an authority may have no path (RFC 9112 §3.2.1).
        out.extend_from_slice(b"/");
    }
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let ours = |name: &HeaderName| [TRANSFER_ENCODING, CONTENT_LENGTH].contains(name);
    headers
        .iter()
        .filter(|(name, _)| !ours(name))
        .for_each(|(name, value)| encode::field(name, value, out));
    let length = request.body().size_hint().exact();
    let framing = match length.or_else(|| encode::declared(headers)) {
        _ if bodiless => Framing::Empty,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    match framing {
        Framing::Length(length) => encode::length_field(length, out),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        // A client that says that it has nothing to say is believed.
        Framing::Empty if headers.contains_key(CONTENT_LENGTH) => encode::length_field(0, out),
        Framing::Empty | Framing::Close => {}
    }
    out.extend_from_slice(encode::LINE_END);
    framing
}
