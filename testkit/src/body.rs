//! Which bodies do tests send? Empty, whole, or fed piece by piece by the test itself.

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use crate::BoxError;

/// A body of a request or response made by a test.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// No body.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A whole body with a known length.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Any body, boxed.
pub fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// A body that the test feeds through the [`Feed`]; it ends when the feed is dropped.
#[must_use]
pub fn fed() -> (Feed, Body) {
    let (frames, mut received) = mpsc::channel(1);
    let stream = stream::poll_fn(move |context| received.poll_recv(context));
    (Feed { frames }, StreamBody::new(stream).boxed_unsync())
}

/// The writing end of a [`fed`] body.
#[derive(Debug)]
pub struct Feed {
    frames: mpsc::Sender<Result<Frame<Bytes>, BoxError>>,
}

impl Feed {
    /// Hands over the next bytes, once the one before was taken. False when nobody reads the body any more.
    pub async fn data(&self, bytes: impl Into<Bytes>) -> bool {
        self.frames.send(Ok(Frame::data(bytes.into()))).await.is_ok()
    }

    /// Ends the body with trailers. False when nobody reads the body any more.
    pub async fn trailers(self, trailers: HeaderMap) -> bool {
        self.frames.send(Ok(Frame::trailers(trailers))).await.is_ok()
    }

    /// Breaks the body off: the connection (HTTP/1) or stream (HTTP/2) is cut.
    pub async fn abort(self) -> bool {
        self.frames
            .send(Err("the script breaks the body off here".into()))
            .await
            .is_ok()
    }

    /// Waits until nobody reads the body any more.
    pub async fn dropped(&self) {
        self.frames.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fed_body_carries_data_then_trailers() {
        let (feed, body) = fed();
        let writer = async move {
            assert!(feed.data("one").await);
            assert!(feed.trailers(HeaderMap::new()).await);
        };
        let (collected, ()) = tokio::join!(body.collect(), writer);
        let collected = collected.expect("the body ends well");
        assert!(collected.trailers().is_some());
        assert_eq!(collected.to_bytes(), "one");
    }

    #[tokio::test]
    async fn a_fed_body_can_break_off() {
        let (feed, body) = fed();
        let (collected, _) = tokio::join!(body.collect(), feed.abort());
        assert!(collected.is_err());
    }
}
