//! The I/O around a [`Stream`]: connections, HTTP/2, requests in and responses out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tidegate_proxy::drain::Watch;
use tidegate_proxy::process::spawn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep_until, timeout};
use tonic::Streaming;
use tonic::codec::Codec;
use tonic_prost::ProstCodec;

use super::body::{Code, Messages, Piece};
use super::clients::{Client, Place};
use super::message;
use super::method::Method;
use super::stream::{Protocol, Stream};
use super::{NodeKey, Resources, Server};
use crate::limits;
use crate::resource::Kind;

/// A health check's answer: one message, whose field 1, the status, is 1: `SERVING`.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

impl Server {
    /// Serves the connections of a listener until the drain begins, and those that are open until it ends them.
    pub async fn serve(self: &Arc<Self>, listener: TcpListener, watch: Watch) {
        let room = Arc::new(Semaphore::new(limits::SERVER_CONNECTIONS_MAX));
        loop {
            let accepted = async {
                // Nobody closes it.
                let place = Arc::clone(&room).acquire_owned().await.ok();
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                accepted = accepted => accepted,
                () = watch.draining() => return,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of an xDS client");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // One that cannot be sped up still works.
            _ = stream.set_nodelay(true);
            let (server, watching) = (Arc::clone(self), watch.clone());
            spawn("xds-connection", watch.guard(), async move {
                server.serve_connection(stream, Some(address), watching).await;
                drop(place);
            });
        }
    }

    /// Serves one connection, for embedders that accept by themselves: behind TLS, over a Unix domain socket.
    pub async fn serve_connection<S>(self: &Arc<Self>, stream: S, address: Option<SocketAddr>, watch: Watch)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(Spawn(watch.clone()));
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(limits::SERVER_KEEPALIVE)
            .keep_alive_timeout(limits::SERVER_KEEPALIVE_TIMEOUT)
            .max_concurrent_streams(limits::SERVER_STREAMS_MAX)
            .initial_connection_window_size(limits::SERVER_WINDOW_BYTES)
            .initial_stream_window_size(limits::SERVER_WINDOW_BYTES);
        let (server, watching) = (Arc::clone(self), watch.clone());
        let answer = service_fn(move |request| {
            let response = server.answer(request, address, &watching);
            async move { Ok::<_, std::convert::Infallible>(response) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), answer);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = watch.draining() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(?address, %error, "the connection of an xDS client broke");
        }
    }

    fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        address: Option<SocketAddr>,
        watch: &Watch,
    ) -> Response<Messages> {
        let body = match Method::of_path(request.uri().path()) {
            None => Messages::only(None, Code::Unimplemented, "no such method"),
            Some(Method::Health) => Messages::only(Some(Bytes::from_static(SERVING)), Code::Ok, ""),
            Some(Method::Stream(protocol, kind)) => {
                let (to, from) = mpsc::channel(1);
                let session = Session {
                    server: Arc::clone(self),
                    address,
                    kind,
                    to,
                    watch: watch.clone(),
                };
                let body = request.into_body();
                match protocol {
                    Protocol::Sotw => session.start::<DiscoveryRequest>(body),
                    Protocol::Delta => session.start::<DeltaDiscoveryRequest>(body),
                }
                Messages::from(from)
            }
        };
        let mut response = Response::new(body);
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(CONTENT_TYPE, grpc);
        response
    }
}

/// A request of either protocol.
trait AnyRequest: prost::Message + Default + 'static {
    const PROTOCOL: Protocol;
    fn node(&self) -> Option<&Node>;
    fn type_url(&self) -> &str;
    fn give(&self, to: &mut Stream, kind: Kind, now: Instant);
}

impl AnyRequest for DiscoveryRequest {
    const PROTOCOL: Protocol = Protocol::Sotw;

    fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    fn type_url(&self) -> &str {
        &self.type_url
    }

    fn give(&self, to: &mut Stream, kind: Kind, now: Instant) {
        to.sotw(kind, self, now);
    }
}

impl AnyRequest for DeltaDiscoveryRequest {
    const PROTOCOL: Protocol = Protocol::Delta;

    fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    fn type_url(&self) -> &str {
        &self.type_url
    }

    fn give(&self, to: &mut Stream, kind: Kind, now: Instant) {
        to.delta(kind, self, now);
    }
}

/// One stream's task.
struct Session {
    server: Arc<Server>,
    address: Option<SocketAddr>,
    /// Of a stream that is for one kind.
    kind: Option<Kind>,
    to: mpsc::Sender<Piece>,
    watch: Watch,
}

impl Session {
    fn start<R: AnyRequest>(self, body: Incoming) {
        let decoder = ProstCodec::<R, R>::default().decoder();
        let bytes_max = Some(limits::SERVER_REQUEST_BYTES_MAX);
        let requests = Streaming::new_request(decoder, body, None, bytes_max);
        spawn("xds-stream", self.watch.guard(), self.run(requests));
    }

    async fn run<R: AnyRequest>(self, mut requests: Streaming<R>) {
        let (code, text) = tokio::select! {
            end = self.converse(&mut requests) => end,
            () = self.watch.draining() => (Code::Unavailable, "the server ends"),
            // The client is gone; nobody reads this.
            () = self.to.closed() => return,
        };
        // One who does not read until then is cut off.
        _ = timeout(limits::SEND_STALL_MAX, self.to.send(Piece::End(code, text))).await;
    }

    async fn converse<R: AnyRequest>(&self, requests: &mut Streaming<R>) -> (Code, &'static str) {
        let first = match timeout(limits::FIRST_REQUEST_TIMEOUT, requests.message()).await {
            Ok(Ok(Some(first))) => first,
            Ok(Ok(None)) => return (Code::Ok, ""),
            Ok(Err(_)) => return (Code::InvalidArgument, "no discovery request"),
            Err(_) => return (Code::DeadlineExceeded, "no request came"),
        };
        let node = NodeKey::of(first.node());
        let Some(mut resources) = (self.server.selector)(&node) else {
            return (Code::NotFound, "no resources for this node");
        };
        let mut stream = Stream::new(R::PROTOCOL, Arc::clone(&resources.borrow_and_update()));
        let place = self.server.clients.enter(Client {
            node,
            address: self.address,
            protocol: R::PROTOCOL,
            kinds: Default::default(),
        });
        self.take(&first, &mut stream);
        loop {
            if !self.send_due(&mut stream, &place).await {
                return (Code::ResourceExhausted, "what was sent is not read");
            }
            let request = tokio::select! {
                request = requests.message() => request,
                news = next(&mut resources) => {
                    stream.follow(news);
                    continue;
                }
                () = until(stream.deadline()) => {
                    stream.wake(Instant::now());
                    continue;
                }
            };
            match request {
                Ok(Some(request)) => self.take(&request, &mut stream),
                Ok(None) => return (Code::Ok, ""),
                Err(error) => {
                    tracing::debug!(address = ?self.address, %error, "the stream of an xDS client broke");
                    return (Code::InvalidArgument, "no discovery request");
                }
            }
        }
    }

    fn take<R: AnyRequest>(&self, request: &R, stream: &mut Stream) {
        let kind = self.kind.or_else(|| Kind::of_url(request.type_url()));
        match kind {
            Some(kind) => request.give(stream, kind, Instant::now()),
            None => {
                let url = request.type_url();
                tracing::debug!(address = ?self.address, %url, "an xDS client asks for a kind that is not served");
            }
        }
    }

    /// Sends what is due; whether the client reads it.
    async fn send_due(&self, stream: &mut Stream, place: &Place) -> bool {
        let protocol = stream.protocol();
        for outgoing in stream.due(Instant::now()) {
            let Some(pieces) = message::encode(&outgoing, protocol) else {
                tracing::error!(kind = ?outgoing.kind, "what an xDS client is to get is too large for a message");
                return false;
            };
            place.show(stream);
            let sent = self.to.send(Piece::Message(pieces));
            if !matches!(timeout(limits::SEND_STALL_MAX, sent).await, Ok(Ok(()))) {
                return false;
            }
        }
        place.show(stream);
        true
    }
}

/// The next resources; never, when nobody publishes any more. May be dropped at any time.
async fn next(resources: &mut watch::Receiver<Arc<Resources>>) -> Arc<Resources> {
    match resources.changed().await {
        Ok(()) => Arc::clone(&resources.borrow_and_update()),
        Err(_) => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Starts hyper's tasks as the house does.
#[derive(Clone)]
struct Spawn(Watch);

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        spawn("xds-http2", self.0.guard(), future);
    }
}
