//! Who is told what passes of a response's body, and that it is over?

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::Body;
use crate::error::Error;

/// Is told of a response's body; dropped when that is over, however it ended.
pub trait Watcher: Send + 'static {
    /// So many bytes of it were taken to be sent.
    fn passed(&mut self, bytes: u64);

    /// All of it was.
    fn ended(&mut self) {}

    /// It broke off.
    fn broke(&mut self);
}

/// A response whose body `watcher` is told of; one without a body is over when whoever sends it drops it. Costs an allocation.
#[must_use]
pub fn watched(response: Response<Body>, watcher: impl Watcher) -> Response<Body> {
    if !is_to_pass(&response) {
        return response.map(|body| body.hold(watcher));
    }
    response.map(|body| {
        Body::new(Watched {
            body,
            watcher: Some(watcher),
        })
    })
}

/// Whether there is a body to be told of: not where there is none, nor where a tunnel takes its place.
#[must_use]
pub fn is_to_pass(response: &Response<Body>) -> bool {
    response.status() != StatusCode::SWITCHING_PROTOCOLS && !response.body().is_end_stream()
}

struct Watched<W> {
    body: Body,
    /// Until it is over.
    watcher: Option<W>,
}

// Nothing in it is pinned.
impl<W> Unpin for Watched<W> {}

impl<W: Watcher> HttpBody for Watched<W> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let (Poll::Ready(Some(result)), Some(watcher)) = (&polled, &mut this.watcher) {
            match result {
                Ok(frame) => watcher.passed(frame.data_ref().map_or(0, |data| data.len() as u64)),
                Err(_) => watcher.broke(),
            }
        }
        let is_broken = matches!(polled, Poll::Ready(Some(Err(_))));
        let is_over = is_broken || matches!(polled, Poll::Ready(None)) || this.body.is_end_stream();
        if is_over
            && let Some(mut watcher) = this.watcher.take()
            && !is_broken
        {
            watcher.ended();
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::error::BoxError;

    struct Noting(Sender<String>);

    impl Watcher for Noting {
        fn passed(&mut self, bytes: u64) {
            _ = self.0.send(bytes.to_string());
        }

        fn ended(&mut self) {
            _ = self.0.send("ended".to_owned());
        }

        fn broke(&mut self) {
            _ = self.0.send("broke".to_owned());
        }
    }

    impl Drop for Noting {
        fn drop(&mut self) {
            _ = self.0.send("over".to_owned());
        }
    }

    fn noted(body: Body) -> (Body, Receiver<String>) {
        let (notes, noted) = channel();
        (watched(Response::new(body), Noting(notes)).into_body(), noted)
    }

    #[tokio::test]
    async fn a_body_is_told_of_and_its_end() {
        let (body, noted) = noted(Body::full("hello"));
        body.collect().await.unwrap();
        assert_eq!(noted.iter().collect::<Vec<_>>(), ["5", "ended", "over"]);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_told_of_as_one() {
        let broken = futures_util::stream::iter([Err::<Frame<Bytes>, BoxError>("broken".into())]);
        let (body, noted) = noted(Body::new(StreamBody::new(broken)));
        body.collect().await.unwrap_err();
        assert_eq!(noted.iter().collect::<Vec<_>>(), ["broke", "over"]);
    }

    #[tokio::test]
    async fn a_response_without_a_body_is_over_when_it_is_sent() {
        let (body, noted) = noted(Body::empty());
        assert!(noted.try_recv().is_err());
        drop(body);
        assert_eq!(noted.iter().collect::<Vec<_>>(), ["over"]);
    }
}
