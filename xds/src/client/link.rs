//! One stream to a control plane: waited for, opening, or open.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Uri};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};

use super::codec::Raw;
use crate::limits;

/// Opens streams.
#[derive(Debug)]
pub(super) struct Caller<S> {
    pub(super) grpc: Grpc<S>,
    pub(super) path: &'static str,
    pub(super) metadata: HeaderMap,
}

type Opening = Pin<Box<dyn Future<Output = Result<Streaming<Bytes>, Status>> + Send>>;

/// Where a stream stands.
pub(super) enum Link {
    /// There is none until then; or for as long as nothing is wanted.
    None(Option<Instant>),
    /// The head of the response has not come. Servers in Go send none before their first message, which answers our first: so
    /// requests go out meanwhile.
    Opening(mpsc::Sender<Bytes>, Opening),
    /// The head has come.
    Open(mpsc::Sender<Bytes>, Box<Streaming<Bytes>>),
}

/// What a link has to tell.
pub(super) enum Event {
    /// It is time for the next stream.
    Due,
    /// The head of the response has come.
    Opened(Box<Streaming<Bytes>>),
    /// A message.
    Message(Bytes),
    /// The stream is over; without a status it ended well.
    Ended(Option<Status>),
}

impl<S> Caller<S>
where
    S: GrpcService<Body, ResponseBody: Send + 'static, Future: Send> + Clone + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError>,
{
    /// Begins a stream; what is put into it first goes out with the call.
    pub(super) fn open(&self) -> Link {
        let (sender, mut receiver) = mpsc::channel(limits::REQUESTS_QUEUED_MAX);
        let requests = stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let mut grpc = self.grpc.clone();
        let path = PathAndQuery::from_static(self.path);
        let mut request = Request::new(requests);
        *request.metadata_mut() = MetadataMap::from_headers(self.metadata.clone());
        let opening = async move {
            grpc.ready()
                .await
                .map_err(|error| Status::unavailable(error.into().to_string()))?;
            let response = grpc.streaming(request, path, Raw).await?;
            Ok(response.into_inner())
        };
        Link::Opening(sender, Box::pin(opening))
    }
}

/// What calls the methods of one control plane.
pub(super) fn grpc<S>(service: S, authority: &str, bytes_max: usize) -> Grpc<S> {
    let authority = Authority::try_from(authority);
    let origin = authority.ok().and_then(|authority| {
        let origin = Uri::builder().scheme(Scheme::HTTP).authority(authority);
        origin.path_and_query("/").build().ok()
    });
    Grpc::with_origin(service, origin.unwrap_or_default()).max_decoding_message_size(bytes_max)
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
            Self::Open(_, responses) => match responses.message().await {
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
    pub(super) fn opened(self, responses: Box<Streaming<Bytes>>) -> Self {
        match self {
            Self::Opening(requests, _) | Self::Open(requests, _) => Self::Open(requests, responses),
            Self::None(until) => Self::None(until),
        }
    }
}
