//! A response as it comes from the upstream, and what its exchange occupies until it is complete.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{Response, Version};
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::{h1, of_h2};
use crate::body::Body;
use crate::cluster::InFlight;
use crate::error::Error;
use crate::normalize;
use crate::pool::{StreamSlot, WayBack};

/// The body of a response as it comes from the upstream; gives the connection back at its end.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    received: Received,
    rest: Option<Rest>,
}

/// Where it comes from.
#[derive(Debug)]
pub(super) enum Received {
    H1(h1::Download),
    H2(Download),
    Nothing,
}

/// The response's side of an HTTP/2 stream; its window opens as the body is read.
#[derive(Debug)]
pub(super) struct Download {
    stream: RecvStream,
    /// Whether it was at its end when it was looked at last, after each frame: looking takes the lock of its connection.
    ended: bool,
    /// How much is still to come, where `Content-Length` says it.
    declared: Option<u64>,
}

/// What an exchange occupies until its response is complete.
#[derive(Debug)]
pub(super) struct Rest {
    connection: Occupied,
    _in_flight: InFlight,
}

#[derive(Debug)]
enum Occupied {
    H1(WayBack),
    H2(Arc<StreamSlot>, Option<Uploading>),
}

/// The task of an upload that outlasts the head of its response. Whoever drops the response before its end gives
/// the upload up too; a complete response lets it finish, as long as the upstream takes it.
#[derive(Debug)]
pub(super) struct Uploading(Option<JoinHandle<()>>);

/// The response that goes on to the client.
pub(super) fn from_upstream(mut head: Parts, received: Received, rest: Rest) -> Response<Body> {
    normalize::drop_hop_by_hop(&mut head.headers);
    head.version = Version::HTTP_11;
    let mut body = ResponseBody {
        received,
        rest: Some(rest),
    };
    if body.is_end_stream() {
        body.complete();
    }
    Response::from_parts(head, Body::upstream(body))
}

impl ResponseBody {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.received.poll_frame(cx));
        match &frame {
            Some(Err(_)) => self.give_up(),
            None => self.complete(),
            Some(Ok(_)) if self.received.is_end_stream() => self.complete(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.received.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.received {
            Received::H1(body) => body.size_hint(),
            Received::H2(body) => body.declared.map(SizeHint::with_exact).unwrap_or_default(),
            Received::Nothing => SizeHint::with_exact(0),
        }
    }

    /// The connection ends with a response that broke off.
    fn give_up(&mut self) {
        self.rest = None;
        if matches!(self.received, Received::H1(_)) {
            self.received = Received::Nothing;
        }
    }

    fn complete(&mut self) {
        let Some(rest) = self.rest.take() else {
            return;
        };
        match rest.connection {
            Occupied::H1(back) => {
                if let Received::H1(body) = mem::replace(&mut self.received, Received::Nothing) {
                    body.check_in(back);
                }
            }
            Occupied::H2(_stream, upload) => _ = upload.map(Uploading::let_finish),
        }
    }
}

impl Received {
    /// A stream whose response says how long it is, or not.
    pub(super) fn of_h2(head: &Parts, stream: RecvStream) -> Self {
        let length = head.headers.get(CONTENT_LENGTH);
        let declared = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Self::H2(Download {
            ended: stream.is_end_stream(),
            stream,
            declared,
        })
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match self {
            Self::H1(body) => ready!(body.poll_frame(cx)),
            Self::H2(body) => ready!(body.poll_frame(cx)),
            Self::Nothing => None,
        };
        Poll::Ready(frame.map(|frame| {
            frame.map(|mut frame| {
                if let Some(fields) = frame.trailers_mut() {
                    normalize::drop_from_trailers(fields);
                }
                frame
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::H1(body) => body.is_end_stream(),
            Self::H2(body) => body.ended,
            Self::Nothing => true,
        }
    }
}

impl Download {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match ready!(self.stream.poll_data(cx)) {
            Some(Ok(data)) => {
                if let Some(declared) = &mut self.declared {
                    *declared = declared.saturating_sub(data.len() as u64);
                }
                self.ended = self.stream.is_end_stream();
                let released = self.stream.flow_control().release_capacity(data.len());
                Poll::Ready(Some(released.map(|()| Frame::data(data)).map_err(of_h2)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(of_h2(error)))),
            None => {
                let trailers = ready!(self.stream.poll_trailers(cx)).map_err(of_h2).transpose();
                self.ended = !matches!(trailers, Some(Err(_)));
                Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
            }
        }
    }
}

impl Rest {
    pub(super) fn of_h1(back: WayBack, in_flight: InFlight) -> Self {
        Self {
            connection: Occupied::H1(back),
            _in_flight: in_flight,
        }
    }

    pub(super) fn of_h2(stream: Arc<StreamSlot>, upload: Option<Uploading>, in_flight: InFlight) -> Self {
        Self {
            connection: Occupied::H2(stream, upload),
            _in_flight: in_flight,
        }
    }
}

impl Uploading {
    pub(super) fn new(task: JoinHandle<()>) -> Self {
        Self(Some(task))
    }

    pub(super) fn let_finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
