//! The body of a gRPC response: messages in pieces, then the status.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use tidegate_proxy::process::give_way;
use tokio::sync::mpsc;

/// What a stream sends: a message in pieces, or its end.
#[derive(Debug)]
pub(super) enum Piece {
    Message(Vec<Bytes>),
    End(Code, &'static str),
}

/// The statuses of gRPC that the server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
}

/// Sends what comes from a stream's task. A peer that reads slowly is read for slowly: a message is taken when the one before it
/// was sent.
#[derive(Debug)]
pub(super) struct Messages {
    from: Option<mpsc::Receiver<Piece>>,
    pieces: VecDeque<Bytes>,
    end: Option<(Code, &'static str)>,
}

impl Messages {
    pub(super) fn from(from: mpsc::Receiver<Piece>) -> Self {
        Self {
            from: Some(from),
            pieces: VecDeque::new(),
            end: None,
        }
    }

    /// One message, or none, and the status.
    pub(super) fn only(message: Option<Bytes>, code: Code, text: &'static str) -> Self {
        Self {
            from: None,
            pieces: message.into_iter().collect(),
            end: Some((code, text)),
        }
    }
}

impl Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                give_way();
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let Some(from) = &mut self.from else {
                let end = self.end.take();
                return Poll::Ready(end.map(|(code, text)| Ok(Frame::trailers(trailers(code, text)))));
            };
            match ready!(from.poll_recv(cx)) {
                Some(Piece::Message(pieces)) => self.pieces.extend(pieces),
                Some(Piece::End(code, text)) => (self.end, self.from) = (Some((code, text)), None),
                // The stream's task has ended without a word, as in a drain that is forced.
                None => (self.end, self.from) = (Some((Code::Unavailable, "it ends")), None),
            }
        }
    }
}

fn trailers(code: Code, text: &'static str) -> HeaderMap {
    let status = (
        HeaderName::from_static("grpc-status"),
        HeaderValue::from(code as u16),
    );
    let message = (
        HeaderName::from_static("grpc-message"),
        HeaderValue::from_static(text),
    );
    HeaderMap::from_iter([status, message])
}
