//! How a request's body is sent more than once, and who hears that it has come to its end?

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;

use crate::body::Body;
use crate::connection::interim::Interim;
use crate::error::{Error, Kind};
use crate::overload::{Budget, Reservation};

/// The body of a request whose tries may be several. Each try reads it by a [`Body`] of its own, from the beginning: first
/// what was kept of what earlier tries read, then on from there.
#[derive(Debug)]
pub(crate) struct Upload {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    source: Body,
    /// What was read so far, while it may be needed again.
    kept: Vec<Kept>,
    kept_bytes: usize,
    /// The most bytes that are kept.
    bound: usize,
    /// What the process has room for in all, and how much of that this body takes.
    budget: Budget,
    reserved: Option<Reservation>,
    /// Whether some of what was read is not kept.
    lost: bool,
    ended: bool,
    /// Which try reads on; a body of an earlier one is of no use any more.
    turn: u64,
    /// Dropped at the end of the source, or with it.
    end: Option<watch::Sender<()>>,
}

/// Sees a body come to its end.
#[derive(Clone, Debug)]
pub(crate) struct Uploaded(watch::Receiver<()>);

#[derive(Clone, Debug)]
enum Kept {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// The body as one try reads it.
#[derive(Debug)]
struct Reader {
    shared: Arc<Mutex<Shared>>,
    turn: u64,
    /// How many of the kept parts were read.
    at: usize,
    /// How many bytes are to come, where that is known.
    left: Option<u64>,
}

impl Upload {
    /// Takes the body of `request` and puts one in its place that is the first try's. At most `bound` bytes are kept for
    /// further tries, and no more than `budget` has room for. The second value tells of its end.
    ///
    /// None for a request without a body: it can be sent as often as anybody likes.
    pub(crate) fn of(request: &mut Request<Body>, bound: usize, budget: &Budget) -> Option<(Self, Uploaded)> {
        if request.body().is_end_stream() {
            return None;
        }
        // Interim responses find their way by the client's own body, which is hidden from here on.
        if let Some(interim) = Interim::of(request).cloned() {
            request.extensions_mut().insert(interim);
        }
        let left = request.body().size_hint().exact();
        let (end, ended) = watch::channel(());
        let shared = Shared {
            source: std::mem::take(request.body_mut()),
            kept: Vec::new(),
            kept_bytes: 0,
            bound,
            budget: budget.clone(),
            reserved: None,
            lost: false,
            ended: false,
            turn: 0,
            end: Some(end),
        };
        let upload = Self {
            shared: Arc::new(Mutex::new(shared)),
        };
        *request.body_mut() = upload.reader(0, left);
        Some((upload, Uploaded(ended)))
    }

    /// The body for another try, from the beginning, unless some of it is lost. The one before reads no further.
    pub(crate) fn again(&self) -> Option<Body> {
        let mut shared = lock(&self.shared);
        if shared.lost {
            return None;
        }
        shared.turn += 1;
        let turn = shared.turn;
        let kept = shared.kept_bytes as u64;
        let left = shared.source.size_hint().exact().map(|rest| rest + kept);
        drop(shared);
        Some(self.reader(turn, left))
    }

    /// Whether some of it cannot be sent again.
    pub(super) fn is_lost(&self) -> bool {
        lock(&self.shared).lost
    }

    /// Keeps nothing any more: there will not be another try.
    pub(crate) fn settle(&self) {
        let mut shared = lock(&self.shared);
        shared.bound = 0;
        // The try that reads may still need what it has not come to.
        shared.lost = true;
    }

    fn reader(&self, turn: u64, left: Option<u64>) -> Body {
        Body::new(Reader {
            shared: Arc::clone(&self.shared),
            turn,
            at: 0,
            left,
        })
    }
}

impl Uploaded {
    /// Resolves when the body has been read to its end, or is given up.
    pub(super) async fn wait(mut self) {
        // Nothing is ever sent: an error, which says that the sender is gone, is the message.
        _ = self.0.changed().await;
    }

    #[cfg(test)]
    pub(super) fn pending() -> (impl Send, Self) {
        let (end, ended) = watch::channel(());
        (end, Self(ended))
    }
}

impl Shared {
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Kept, Error>>> {
        let frame = match ready!(Pin::new(&mut self.source).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                // There is nothing to repeat: its client broke off.
                self.lost = true;
                self.finish();
                return Poll::Ready(Some(Err(error)));
            }
            None => {
                self.finish();
                return Poll::Ready(None);
            }
        };
        if self.source.is_end_stream() {
            self.finish();
        }
        let part = match frame.into_data().map_err(Frame::into_trailers) {
            Ok(data) => Kept::Data(data),
            Err(Ok(trailers)) => Kept::Trailers(trailers),
            Err(Err(_)) => Kept::Data(Bytes::new()),
        };
        Poll::Ready(Some(Ok(part)))
    }

    /// Keeps a part if there is room; says whether.
    fn keep(&mut self, part: &Kept) -> bool {
        let bytes = match part {
            Kept::Data(data) => data.len(),
            Kept::Trailers(_) => 0,
        };
        if self.lost || self.kept_bytes + bytes > self.bound || !self.reserve(bytes) {
            self.lost = true;
            (self.kept, self.reserved) = (Vec::new(), None);
            return false;
        }
        self.kept_bytes += bytes;
        self.kept.push(part.clone());
        true
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        match &mut self.reserved {
            Some(reserved) => reserved.stretch(bytes),
            None => {
                self.reserved = self.budget.spare(bytes);
                self.reserved.is_some()
            }
        }
    }

    fn finish(&mut self) {
        self.ended = true;
        self.end = None;
    }
}

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let shared = Arc::clone(&self.shared);
        let mut shared = lock(&shared);
        if shared.turn != self.turn {
            let over = "another try reads this body now";
            return Poll::Ready(Some(Err(Error::new(Kind::UpstreamReset).with_source(over))));
        }
        let part = match shared.kept.get(self.at).cloned() {
            Some(part) => {
                self.at += 1;
                part
            }
            None if shared.ended => return Poll::Ready(None),
            None => match ready!(shared.poll_source(cx)) {
                Some(Ok(part)) => {
                    self.at = if shared.keep(&part) { self.at + 1 } else { 0 };
                    part
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            },
        };
        drop(shared);
        Poll::Ready(Some(Ok(match part {
            Kept::Data(data) => {
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                Frame::data(data)
            }
            Kept::Trailers(trailers) => Frame::trailers(trailers),
        })))
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        shared.ended && self.at >= shared.kept.len()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::overload::{Overload, OverloadSettings};

    fn request(parts: &[&'static str]) -> Request<Body> {
        let frames: Vec<_> = parts
            .iter()
            .map(|part| Ok::<_, Error>(Frame::data(Bytes::from_static(part.as_bytes()))))
            .collect();
        Request::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))))
    }

    fn budget(bytes_max: usize) -> Budget {
        let settings = OverloadSettings {
            buffered_bytes_max: bytes_max,
            ..OverloadSettings::default()
        };
        Overload::new(settings).buffered().clone()
    }

    async fn next(body: &mut Body) -> String {
        let frame = body.frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }

    async fn text(body: Body) -> String {
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn another_try_reads_from_the_beginning() {
        let mut request = request(&["one ", "two ", "three"]);
        let (upload, _ended) = Upload::of(&mut request, 100, &budget(1000)).unwrap();
        let mut first = request.into_body();
        assert_eq!(next(&mut first).await, "one ");
        assert_eq!(next(&mut first).await, "two ");
        assert_eq!(text(upload.again().unwrap()).await, "one two three");
        first.frame().await.unwrap().unwrap_err();
        assert_eq!(text(upload.again().unwrap()).await, "one two three");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_sent_once() {
        let mut request = request(&["one ", "two ", "three"]);
        let (upload, _ended) = Upload::of(&mut request, 7, &budget(1000)).unwrap();
        let mut first = request.into_body();
        assert_eq!(next(&mut first).await, "one ");
        assert!(upload.again().is_some());
        let body = upload.again().unwrap();
        assert_eq!(text(body).await, "one two three");
        assert!(upload.again().is_none());
    }

    #[tokio::test]
    async fn what_the_process_has_no_room_for_is_sent_once() {
        let budget = budget(5);
        let mut one = request(&["one ", "two"]);
        let (upload, _ended) = Upload::of(&mut one, 100, &budget).unwrap();
        let mut first = one.into_body();
        assert_eq!(next(&mut first).await, "one ");
        assert_eq!((upload.is_lost(), budget.used()), (false, 4));
        assert_eq!(text(first).await, "two");
        assert_eq!((upload.is_lost(), budget.used()), (true, 0));
        let mut other = request(&["other"]);
        let (upload, _ended) = Upload::of(&mut other, 100, &budget).unwrap();
        assert_eq!(text(other.into_body()).await, "other");
        assert_eq!((upload.is_lost(), budget.used()), (false, 5));
        drop(upload);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_known_length_stays_known() {
        let mut request = Request::new(Body::full("hello"));
        let (upload, _ended) = Upload::of(&mut request, 100, &budget(1000)).unwrap();
        assert_eq!(request.body().size_hint().exact(), Some(5));
        assert_eq!(text(request.into_body()).await, "hello");
        let again = upload.again().unwrap();
        assert_eq!(again.size_hint().exact(), Some(5));
        assert_eq!(text(again).await, "hello");
    }

    #[tokio::test]
    async fn its_end_is_told_once_it_is_read_or_given_up() {
        let mut one = request(&["one"]);
        let (upload, ended) = Upload::of(&mut one, 0, &budget(1000)).unwrap();
        assert!(ended.clone().wait().now_or_never().is_none());
        assert_eq!(text(one.into_body()).await, "one");
        assert!(ended.wait().now_or_never().is_some());
        drop(upload);
        let mut other = request(&["one"]);
        let (upload, ended) = Upload::of(&mut other, 0, &budget(1000)).unwrap();
        drop((upload, other));
        assert!(ended.wait().now_or_never().is_some());
        assert!(Upload::of(&mut Request::new(Body::empty()), 0, &budget(1000)).is_none());
    }
}
