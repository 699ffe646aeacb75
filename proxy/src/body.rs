//! The one body type of the data plane: bytes and trailers that stream, and what must live as long as they do.
//!
//! ```
//! use http_body_util::BodyExt;
//! use tidegate_proxy::Body;
//! use tidegate_proxy::error::Kind;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tidegate_proxy::Error> {
//! let whole = Body::from("hello").collect().await?;
//! assert_eq!(whole.to_bytes(), "hello");
//! let broken = Body::from("hello").at_most(3).collect().await;
//! assert_eq!(broken.err().map(|error| error.kind()), Some(Kind::BodyTooLarge));
//! # Ok(()) }
//! ```

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use crate::connection;
use crate::connection::interim::Interim;
use crate::error::{BoxError, Error, Kind};
use crate::exchange;
use crate::observe::{Account, Observation, Received};

mod watched;

pub use watched::{Watcher, is_to_pass, watched};

/// A request or response body. It streams: no variant collects what it carries.
///
/// Something can be tied to its life with [`Body::hold`]: a lease or a permit goes back when the last byte
/// has passed, when the body is dropped, or, for a 101 response, when the tunnel has ended.
pub struct Body {
    source: Source,
    held: Option<Box<dyn Any + Send>>,
    account: Account,
}

enum Source {
    Empty,
    Full(Bytes),
    Downstream(connection::RequestBody),
    Upstream(exchange::ResponseBody),
    Foreign(UnsyncBoxBody<Bytes, BoxError>),
    Limited(Box<Limited>),
}

/// A body that breaks when it turns out to be longer than it may be.
struct Limited {
    body: Body,
    left: u64,
}

impl Body {
    /// A body without a byte.
    #[must_use]
    pub fn empty() -> Self {
        Self::from_source(Source::Empty)
    }

    /// A body that is known whole.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::empty()
        } else {
            Self::from_source(Source::Full(bytes))
        }
    }

    /// Any other body; costs one allocation, and none where `body` is a [`Body`] already.
    #[must_use]
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let mut body = Some(body);
        if let Some(ours) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>()
            && let Some(ours) = ours.take()
        {
            return ours;
        }
        match body {
            Some(foreign) => Self::from_source(Source::Foreign(foreign.map_err(Into::into).boxed_unsync())),
            None => Self::empty(),
        }
    }

    /// Keeps `value` until this body has ended or is dropped.
    #[must_use]
    pub fn hold(mut self, value: impl Send + 'static) -> Self {
        self.held = Some(match self.held.take() {
            // One pair in the other: most bodies hold one thing, and all have room for this field.
            Some(others) => Box::new((others, value)),
            None => Box::new(value),
        });
        self
    }

    /// The response body with which an exchange ends.
    pub(crate) fn observed(self, observation: Observation) -> Self {
        // The answer of a proxy behind this one has an exchange of its own to end.
        let mut body = match self.account {
            Account::Response(_) => {
                Self::from_source(Source::Foreign(self.map_err(Into::into).boxed_unsync()))
            }
            Account::None | Account::Request(_) => self,
        };
        body.account = Account::Response(observation);
        body
    }

    /// Counts what passes of a request's body.
    pub(crate) fn count(&mut self, received: Received) {
        if matches!(self.account, Account::None) {
            self.account = Account::Request(received);
        }
    }

    /// Where the bytes of a client's body are counted as they come; none where there is no such body.
    pub fn tally(&mut self) -> Option<Arc<AtomicU64>> {
        match &mut self.account {
            Account::Request(received) => Some(received.tally()),
            Account::None | Account::Response(_) => None,
        }
    }

    /// The same body, which breaks with [`Kind::BodyTooLarge`] once more than `bytes_max` bytes have come.
    #[must_use]
    pub fn at_most(self, bytes_max: u64) -> Self {
        if self.size_hint().exact().is_some_and(|bytes| bytes <= bytes_max) {
            return self;
        }
        Self::from_source(Source::Limited(Box::new(Limited {
            body: self,
            left: bytes_max,
        })))
    }

    /// Where interim responses to the request of this body go, while it is the client's own.
    pub(crate) fn interim(&self) -> Option<&Interim> {
        match &self.source {
            Source::Downstream(body) => body.interim(),
            Source::Limited(limited) => limited.body.interim(),
            _ => None,
        }
    }

    /// Changes how long a client may pause within its own body.
    pub(crate) fn may_pause(&mut self, idle: Option<Duration>) {
        if let Source::Downstream(body) = &mut self.source {
            body.may_pause(idle);
        }
    }

    /// Drops the rest of a response that its codec cannot go on with, and accounts for it as this kind of failure.
    pub(crate) fn break_off(mut self, kind: Kind) {
        self.account.broke(&Error::new(kind));
    }

    /// `response` in the place of the one with this body, which its codec cannot send: the exchange ends with it, as
    /// this failure.
    pub(crate) fn replaced(mut self, error: &Error, response: Response<Self>) -> Response<Self> {
        match std::mem::take(&mut self.account) {
            Account::Response(observation) => observation.replaced(error, response),
            Account::None | Account::Request(_) => response,
        }
    }

    pub(crate) fn downstream(body: connection::RequestBody) -> Self {
        Self::from_source(Source::Downstream(body))
    }

    pub(crate) fn upstream(body: exchange::ResponseBody) -> Self {
        Self::from_source(Source::Upstream(body))
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            held: None,
            account: Account::None,
        }
    }
}

impl Limited {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        match self.left.checked_sub(bytes.map_or(0, |bytes| bytes.len() as u64)) {
            Some(left) => {
                self.left = left;
                Poll::Ready(frame)
            }
            None => {
                // What is left of the client's body has no reader any more.
                self.body = Body::empty();
                Poll::Ready(Some(Err(Error::new(Kind::BodyTooLarge))))
            }
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let frame = match &mut this.source {
            Source::Empty => None,
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.source = Source::Empty;
                Some(Ok(Frame::data(bytes)))
            }
            Source::Downstream(body) => ready!(body.poll_frame(cx)),
            Source::Upstream(body) => ready!(body.poll_frame(cx)),
            Source::Limited(limited) => ready!(limited.poll_frame(cx)),
            Source::Foreign(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Error::from_boxed))
            }
        };
        match &frame {
            Some(Ok(frame)) => this.account.moved(frame),
            Some(Err(error)) => this.account.broke(error),
            None => {}
        }
        if frame.as_ref().is_none_or(Result::is_err) || this.is_end_stream() {
            this.held = None;
            this.account.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Full(_) => false,
            Source::Downstream(body) => body.is_end_stream(),
            Source::Upstream(body) => body.is_end_stream(),
            Source::Foreign(body) => body.is_end_stream(),
            Source::Limited(limited) => limited.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Downstream(body) => body.size_hint(),
            Source::Upstream(body) => body.size_hint(),
            Source::Foreign(body) => body.size_hint(),
            Source::Limited(limited) => limited.body.size_hint(),
        }
    }
}

impl Drop for Body {
    /// A codec does not ask for the rest of a body that says that it has none.
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.account.complete();
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Empty => "empty",
            Source::Full(_) => "full",
            Source::Downstream(_) => "downstream",
            Source::Upstream(_) => "upstream",
            Source::Foreign(_) => "foreign",
            Source::Limited(_) => "limited",
        };
        f.debug_struct("Body")
            .field("source", &source)
            .field("holds", &self.held.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn what_is_held_goes_when_the_last_byte_has_passed() {
        let token = Arc::new(());
        let mut body = Body::full("x").hold(Arc::clone(&token));
        assert_eq!(Arc::strong_count(&token), 2);
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "x");
        assert_eq!(Arc::strong_count(&token), 1);
    }

    #[tokio::test]
    async fn what_is_held_goes_when_the_body_is_dropped() {
        let token = Arc::new(());
        drop(Body::full("x").hold(Arc::clone(&token)));
        assert_eq!(Arc::strong_count(&token), 1);
    }

    #[tokio::test]
    async fn what_is_held_goes_when_the_body_breaks() {
        let token = Arc::new(());
        let broken = futures_util::stream::iter([Err::<Frame<Bytes>, BoxError>("broken".into())]);
        let mut body = Body::new(http_body_util::StreamBody::new(broken)).hold(Arc::clone(&token));
        body.frame().await.unwrap().unwrap_err();
        assert_eq!(Arc::strong_count(&token), 1);
    }

    #[tokio::test]
    async fn a_body_is_not_wrapped_twice_and_a_foreign_one_passes() {
        let ours = Body::new(Body::full("ours"));
        assert!(matches!(ours.source, Source::Full(_)));
        let foreign = Body::new(Full::new(Bytes::from_static(b"foreign")));
        assert_eq!(foreign.collect().await.unwrap().to_bytes(), "foreign");
    }
}
