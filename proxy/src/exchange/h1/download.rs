//! The body of a response as it comes, while what is left of its request still goes out.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::super::response::Uploading;
use super::answer::Remaining;
use super::upload::{Broken, Upload};
use super::{broken_off, of_upload};
use crate::body::Body;
use crate::config::limits;
use crate::connection::h1::body::Decoded;
use crate::connection::h1::fill;
use crate::error::{Error, Kind};
use crate::pool::{Connection, WayBack};
use crate::process;

/// The response's side of a connection.
#[derive(Debug)]
pub(crate) struct Download {
    connection: Box<Connection>,
    rest: Remaining,
    /// The upload that its response has overtaken. Boxed: few responses are so early.
    overtaken: Option<Box<Overtaken>>,
    keeps: bool,
    /// Whether the last read was as large as it could be, so that the next one is worth a large buffer.
    flows: bool,
}

/// An upload that goes on behind the head of its response, in a task of its own: a client that sends all before it reads
/// anything must not wait for itself.
#[derive(Debug)]
pub(super) struct Overtaken {
    outcome: oneshot::Receiver<Result<(), Broken>>,
    task: Uploading,
}

impl Overtaken {
    /// Lets `upload` go on, with its side of the connection.
    pub(super) fn start(
        mut upload: Upload,
        mut body: Body,
        connection: Connection,
        back: &WayBack,
    ) -> (Box<Connection>, Self) {
        let (connection, mut stream) = connection.share();
        let (sender, outcome) = oneshot::channel();
        let task = process::spawn("upload", back.guard(), async move {
            let mut stall = Stall::default();
            let sent = poll_fn(|cx| {
                let sent = upload.poll(cx, &mut stream, &mut body);
                if sent.is_pending() {
                    stall.poll(cx, &upload)
                } else {
                    sent
                }
            });
            let sent = sent.await;
            drop(stream);
            // Nobody waits for it where the response has broken off.
            _ = sender.send(sent);
        });
        let task = Uploading::new(task);
        (connection, Self { outcome, task })
    }
}

/// How long an upstream has taken nothing of an upload.
#[derive(Default)]
struct Stall {
    written: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// Gives an upload up that has not moved for as long as a stream may be idle.
    fn poll(&mut self, cx: &mut Context<'_>, upload: &Upload) -> Poll<Result<(), Broken>> {
        if !upload.is_blocked() || upload.written() != self.written {
            *self = Self {
                written: upload.written(),
                timer: None,
            };
        }
        if upload.is_blocked() {
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep(limits::STREAM_IDLE_TIMEOUT)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Err(Broken::Write(io::ErrorKind::TimedOut.into())));
        }
        Poll::Pending
    }
}

impl Download {
    pub(super) fn new(
        connection: Box<Connection>,
        rest: Remaining,
        overtaken: Option<Box<Overtaken>>,
        keeps: bool,
    ) -> Self {
        Self {
            connection,
            rest,
            overtaken,
            keeps,
            flows: false,
        }
    }

    pub(in super::super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Err(error) = self.look_after(cx) {
            self.rest = Remaining::Nothing;
            self.keeps = false;
            return Poll::Ready(Some(Err(error)));
        }
        let decoded = match ready!(self.poll_next(cx)) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.rest = Remaining::Nothing;
                self.keeps = false;
                return Poll::Ready(Some(Err(error)));
            }
        };
        Poll::Ready(match decoded {
            Decoded::Data(data) => Some(Ok(Frame::data(data))),
            Decoded::Trailers(trailers) => {
                self.rest = Remaining::Nothing;
                Some(Ok(Frame::trailers(trailers)))
            }
            Decoded::End | Decoded::More => {
                self.rest = Remaining::Nothing;
                None
            }
        })
    }

    /// Looks after the upload. That the upstream takes no more of it does not keep the response from coming.
    ///
    /// # Errors
    /// When the request itself broke off.
    fn look_after(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let Some(overtaken) = &mut self.overtaken else {
            return Ok(());
        };
        let Poll::Ready(outcome) = Pin::new(&mut overtaken.outcome).poll(cx) else {
            return Ok(());
        };
        self.overtaken = None;
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(Broken::Write(_))) | Err(_) => self.keeps = false,
            Ok(Err(broken)) => return Err(of_upload(broken)),
        }
        Ok(())
    }

    /// The next piece of the body, and [`Decoded::End`] behind the last.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decoded, Error>> {
        loop {
            let buffer = &mut self.connection.buffer;
            match &mut self.rest {
                Remaining::Nothing => return Poll::Ready(Ok(Decoded::End)),
                Remaining::Framed(decoder) => {
                    let decoded = decoder.next(buffer).map_err(of_framing)?;
                    if buffer.is_empty() {
                        *buffer = BytesMut::new();
                    }
                    if !matches!(decoded, Decoded::More) {
                        return Poll::Ready(Ok(decoded));
                    }
                }
                Remaining::UntilClose if buffer.is_empty() => {}
                Remaining::UntilClose => return Poll::Ready(Ok(Decoded::Data(buffer.split().freeze()))),
            }
            let read = ready!(self.poll_fill(cx)).map_err(broken_off)?;
            if read == 0 {
                return Poll::Ready(match self.rest {
                    Remaining::UntilClose => Ok(Decoded::End),
                    _ => Err(broken_off("the upstream closed within a response")),
                });
            }
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = match &self.rest {
            Remaining::Framed(decoder) if decoder.left().is_some() => {
                fill::room(decoder.left(), limits::UPSTREAM_BUFFER_BYTES)
            }
            _ if self.flows => limits::UPSTREAM_BUFFER_BYTES,
            _ => limits::HEAD_READ_BYTES,
        };
        let read = ready!(self.connection.poll_fill_room(cx, room))?;
        self.flows = read >= limits::HEAD_READ_BYTES;
        Poll::Ready(Ok(read))
    }

    pub(in super::super) fn is_end_stream(&self) -> bool {
        match &self.rest {
            Remaining::Nothing => true,
            Remaining::Framed(decoder) => decoder.is_over(),
            Remaining::UntilClose => false,
        }
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Remaining::Nothing => SizeHint::with_exact(0),
            Remaining::Framed(decoder) => decoder.left().map(SizeHint::with_exact).unwrap_or_default(),
            Remaining::UntilClose => SizeHint::default(),
        }
    }

    /// Gives the connection back after a complete response, behind what is left of the request: an upstream that answers
    /// early may still want it.
    pub(in super::super) fn check_in(self, back: WayBack) {
        let Self {
            connection,
            overtaken,
            keeps,
            ..
        } = self;
        if !keeps {
            return;
        }
        let give_back = |back: WayBack, connection: Box<Connection>| {
            if let Some(connection) = connection.unshare() {
                back.check_in(connection);
            }
        };
        let Some(overtaken) = overtaken else {
            return give_back(back, connection);
        };
        overtaken.task.let_finish();
        let outcome = overtaken.outcome;
        process::spawn("upload-end", back.guard(), async move {
            if let Ok(Ok(())) = outcome.await {
                give_back(back, connection);
            }
        });
    }
}

/// The framing of a response is broken: its decoder, which is that of requests, speaks of a client's fault.
fn of_framing(error: Error) -> Error {
    let fault = error
        .static_detail()
        .unwrap_or("the body of a response is broken");
    Error::new(Kind::UpstreamProtocol).with_source(fault)
}
