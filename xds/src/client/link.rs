//! One stream to a control plane: waited for, opening, or open.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::header::{CONTENT_TYPE, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;
use tonic::{Code, Status};

use super::messages::{Messages, framed, of_http};
use crate::limits;

/// Opens streams.
#[derive(Debug)]
pub(super) struct Caller<S> {
    pub(super) service: S,
    /// The method, at its control plane.
    pub(super) uri: Uri,
    pub(super) metadata: HeaderMap,
    /// How large a response may be.
    pub(super) bytes_max: usize,
}

type Opening = Pin<Box<dyn Future<Output = Result<Messages, Status>> + Send>>;

/// Where a stream stands.
pub(super) enum Link {
    /// There is none until then; or for as long as nothing is wanted.
    None(Option<Instant>),
    /// The head of the response has not come. Servers in Go send none before their first message, which answers our first: so
    /// requests go out meanwhile.
    Opening(mpsc::Sender<Bytes>, Opening),
    /// The head has come.
    Open(mpsc::Sender<Bytes>, Box<Messages>),
}

/// What a link has to tell.
pub(super) enum Event {
    /// It is time for the next stream.
    Due,
    /// The head of the response has come.
    Opened(Box<Messages>),
    /// A message.
    Message(Bytes),
    /// The stream is over; without a status it ended well.
    Ended(Option<Status>),
}

impl<S> Caller<S>
where
    S: GrpcService<Body, ResponseBody: Send + 'static, Future: Send> + Clone + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<StdError>,
{
    /// Begins a stream; what is put into it first goes out with the call.
    pub(super) fn open(&self) -> Link {
        let (sender, mut receiver) = mpsc::channel(limits::REQUESTS_QUEUED_MAX);
        let requests = stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let request = self.request(requests);
        let (mut service, bytes_max) = (self.service.clone(), self.bytes_max);
        let opening = async move {
            std::future::poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(|error| Status::unavailable(error.into().to_string()))?;
            let response = service.call(request).await;
            let response = response.map_err(|error| Status::from_error(error.into()))?;
            let status = response.status();
            // A response without a body says it all in its head.
            let status = match Status::from_header_map(response.headers()) {
                Some(said) if said.code() == Code::Ok => None,
                Some(refused) => return Err(refused),
                None if status.is_success() => Some(status),
                None => return Err(of_http(status)),
            };
            Ok(Messages::new(response.into_body(), status, bytes_max))
        };
        Link::Opening(sender, Box::pin(opening))
    }

    fn request(&self, requests: impl Stream<Item = Bytes> + Send + 'static) -> Request<Body> {
        let frames = requests.map(|message| Ok::<_, Infallible>(Frame::data(framed(&message))));
        let mut request = Request::new(Body::new(StreamBody::new(frames)));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.metadata.clone();
        let headers = request.headers_mut();
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        request
    }
}

/// A method of one control plane.
pub(super) fn method(authority: &str, path: &'static str) -> Uri {
    let path = PathAndQuery::from_static(path);
    let whole = Authority::try_from(authority).ok().and_then(|authority| {
        let whole = Uri::builder().scheme(Scheme::HTTP).authority(authority);
        whole.path_and_query(path.clone()).build().ok()
    });
    whole.unwrap_or_else(|| path.into())
}

impl Link {
    /// What happens next. May be dropped and called again: nothing is lost.
    ///
    /// There is no deadline for a message: a control plane with nothing to say is silent. Dials have one, and PINGs find out
    /// about a dead connection.
    pub(super) async fn next(&mut self) -> Event {
        match self {
            Self::None(None) => std::future::pending().await,
            Self::None(Some(until)) => {
                sleep_until(*until).await;
                Event::Due
            }
            Self::Opening(_, opening) => match opening.await {
                Ok(responses) => Event::Opened(Box::new(responses)),
                Err(status) => Event::Ended(Some(status)),
            },
            Self::Open(_, responses) => match responses.next().await {
                Ok(Some(message)) => Event::Message(message),
                Ok(None) => Event::Ended(None),
                Err(status) => Event::Ended(Some(status)),
            },
        }
    }

    /// Where requests go, if there is a stream.
    pub(super) fn requests(&self) -> Option<&mpsc::Sender<Bytes>> {
        match self {
            Self::None(_) => None,
            Self::Opening(requests, _) | Self::Open(requests, _) => Some(requests),
        }
    }

    /// The stream is open now.
    pub(super) fn opened(self, responses: Box<Messages>) -> Self {
        match self {
            Self::Opening(requests, _) | Self::Open(requests, _) => Self::Open(requests, responses),
            Self::None(until) => Self::None(until),
        }
    }
}
