//! A request's body as whoever forwards it reads it, off the wire that it shares with its connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::body::Decoded;
use super::wire::{Wire, lock};
use crate::config::http::HttpSettings;
use crate::config::limits;
use crate::connection::interim::Interim;
use crate::connection::pace::Pace;
use crate::error::{Error, Kind};
use crate::normalize;

/// A body of HTTP/1.1; also the empty one, which has no part in the wire.
pub(crate) struct Incoming {
    flow: Option<Box<Flow>>,
    interim: Interim,
}

/// A body that is not over.
struct Flow {
    wire: Arc<Mutex<Wire>>,
    settings: Arc<HttpSettings>,
    left: Option<u64>,
    /// Whether the wire knows that this body is over: from then on it may be another's.
    settled: bool,
    pace: Pace,
    /// Until when the client, which waits for it, is left without permission to send; from the first poll on.
    permission: Permission,
    alarm: Option<Pin<Box<Sleep>>>,
}

enum Permission {
    /// Not needed, or given.
    Given,
    Asked,
    By(Instant),
}

impl Incoming {
    pub(super) fn empty(interim: Interim) -> Self {
        Self { flow: None, interim }
    }

    /// The body that the wire has been set up for. `whole` is when all of it must have come.
    pub(super) fn flowing(
        wire: Arc<Mutex<Wire>>,
        interim: Interim,
        settings: Arc<HttpSettings>,
        whole: Option<Instant>,
    ) -> Self {
        let left = lock(&wire).left();
        let flow = Flow {
            wire,
            left,
            settled: false,
            pace: Pace::new(settings.timeouts.stream_idle, settings.timeouts.stall, whole),
            settings,
            permission: if interim.is_expecting() {
                Permission::Asked
            } else {
                Permission::Given
            },
            alarm: None,
        };
        Self {
            flow: Some(Box::new(flow)),
            interim,
        }
    }

    pub(in super::super) fn may_pause(&mut self, idle: Option<Duration>) {
        if let Some(flow) = &mut self.flow {
            flow.pace.may_pause(idle);
        }
    }

    pub(in super::super) fn interim(&self) -> &Interim {
        &self.interim
    }

    pub(in super::super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(flow) = &mut self.flow else {
            return Poll::Ready(None);
        };
        let found = ready!(flow.poll_next(cx, &self.interim));
        let (frame, over) = match found {
            Ok(Decoded::Data(data)) => (Some(Ok(Frame::data(data))), flow.left == Some(0)),
            Ok(Decoded::Trailers(mut trailers)) => {
                keep_forwardable(&mut trailers, &flow.settings);
                (
                    (!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers))),
                    true,
                )
            }
            Ok(Decoded::End | Decoded::More) => (None, true),
            Err(error) => (Some(Err(error)), true),
        };
        if over {
            self.flow = None;
        }
        Poll::Ready(frame)
    }

    pub(in super::super) fn is_end_stream(&self) -> bool {
        self.flow.is_none()
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        match self.flow.as_ref().map(|flow| flow.left) {
            None => SizeHint::with_exact(0),
            Some(Some(left)) => SizeHint::with_exact(left),
            Some(None) => SizeHint::default(),
        }
    }
}

impl Flow {
    fn poll_next(&mut self, cx: &mut Context<'_>, interim: &Interim) -> Poll<Result<Decoded, Error>> {
        let mut wire = lock(&self.wire);
        match wire.poll_wanted(cx) {
            Poll::Ready(found) => {
                self.settled = !wire.is_flowing();
                drop(wire);
                if let Ok(Decoded::Data(data)) = &found {
                    self.came(data.len(), interim);
                }
                Poll::Ready(found)
            }
            Poll::Pending => {
                let responding = wire.is_responding();
                drop(wire);
                self.poll_late(cx, responding, interim).map(Err)
            }
        }
    }

    fn came(&mut self, bytes: usize, interim: &Interim) {
        self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
        self.pace.came(bytes, Instant::now());
        if !matches!(self.permission, Permission::Given) {
            // It sends without permission; RFC 9110 §10.1.1 lets a server leave that out then.
            interim.expect_nothing();
            self.permission = Permission::Given;
        }
    }

    /// Nothing has come: gives permission, or says that it took too long, when the time is there.
    fn poll_late(&mut self, cx: &mut Context<'_>, responding: bool, interim: &Interim) -> Poll<Error> {
        let now = Instant::now();
        self.pace.wait(now);
        if matches!(self.permission, Permission::Asked) {
            self.permission = Permission::By(now + limits::EXPECT_CONTINUE_WAIT);
        }
        loop {
            let late = self.pace.deadline(responding);
            let permit = match self.permission {
                Permission::By(time) => Some(time),
                Permission::Asked | Permission::Given => None,
            };
            let Some(next) = late.into_iter().chain(permit).min() else {
                return Poll::Pending;
            };
            let alarm = self
                .alarm
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
            if alarm.deadline() != next {
                alarm.as_mut().reset(next);
            }
            ready!(alarm.as_mut().poll(cx));
            let passed = |time: Option<Instant>| time.is_some_and(|time| time <= Instant::now());
            if passed(permit) {
                self.permission = Permission::Given;
                interim.send_continue();
            } else if passed(late) {
                self.give_up();
                return Poll::Ready(Error::new(Kind::RequestIncomplete));
            }
        }
    }
}

impl Flow {
    /// Once: the next body on the wire is not this one's to give up.
    fn give_up(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            lock(&self.wire).give_up();
        }
    }
}

/// Trailers must not say what only a head may (RFC 9110 §6.5.1), nor what no client is believed.
fn keep_forwardable(trailers: &mut HeaderMap, settings: &HttpSettings) {
    normalize::drop_from_trailers(trailers);
    settings.edge.remove_from(trailers);
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::super::body::Decoder;
    use super::super::head::framing::Framing;
    use super::super::linger::{self, Input};
    use super::super::wire::Line;
    use super::*;
    use crate::config::limits::LINGER_TIME;
    use crate::connection::socket::Socket;
    use crate::connection::stream::{Presence, Stream};
    use futures_util::FutureExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    fn five() -> Decoder {
        Decoder::of(Framing::Length(5)).expect("a body")
    }

    /// A client, and the server's side of its connection, on which a body of five bytes begins.
    async fn begun() -> (TcpStream, Presence, Line, Incoming) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let stream = Stream::from(server);
        let presence = stream.presence();
        let mut line = Line::new(Socket::plain(stream));
        let wire = line.share(five());
        let body = Incoming::flowing(wire, Interim::default(), Arc::default(), None);
        (client, presence, line, body)
    }

    #[tokio::test]
    async fn a_body_that_was_read_to_its_end_does_not_give_up_the_next_one() {
        let (mut client, _presence, mut line, mut body) = begun().await;
        client.write_all(b"hello").await.unwrap();
        let mut flow = body.flow.take().unwrap();
        let read = std::future::poll_fn(|cx| flow.poll_next(cx, &body.interim)).await;
        assert!(matches!(read, Ok(Decoded::Data(data)) if data == "hello"));
        let next = line.share(five());
        drop(flow);
        assert!(lock(&next).is_flowing());
    }

    #[tokio::test]
    async fn a_body_is_not_read_on_once_its_connection_drops_what_comes() {
        let (_client, presence, line, mut body) = begun().await;
        let mut closing = Box::pin(linger::close(line, Input::Expected, &presence, LINGER_TIME));
        assert!(closing.as_mut().now_or_never().is_none());
        let read = body.poll_frame(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(read, Poll::Ready(Some(Err(_)))));
    }
}
