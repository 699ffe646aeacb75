//! Who holds streams open all the time, and what becomes of them?

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tidegate_testkit::body::{self, Feed};
use tidegate_testkit::client::{Client, post_request};
use tidegate_testkit::wait::soon;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message};

use crate::app::ID;
use crate::clients::{Caller, value};
use crate::ledger::Ticket;

/// The pace of one stream.
const PACE: Duration = Duration::from_millis(50);

/// How a stream ended.
enum End {
    /// Because the test is over.
    Ours,
    /// In order, by the other side.
    Theirs,
}

/// What kind of stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    WebSocket,
    Call,
}

impl Caller {
    /// This many streams.
    pub(crate) fn start_streams(&self, stream: Stream, count: usize, clients: &mut JoinSet<()>) {
        for _ in 0..count {
            clients.spawn(self.clone().keep_open(stream));
        }
    }

    /// Opens a stream, and another whenever one ends.
    async fn keep_open(self, stream: Stream) {
        while !self.ledger.is_over() {
            let mut ticket = self.ledger.stream();
            let ended = match stream {
                Stream::WebSocket => self.websocket(&mut ticket).await,
                Stream::Call => self.call(&mut ticket).await,
            };
            match ended {
                Ok(End::Ours) => self.ledger.closed(),
                Ok(End::Theirs) => self.ledger.asked_to_end(),
                Err(error) => self
                    .ledger
                    .failed(ticket, format!("{stream:?} of {}: {error}", self.host)),
            }
        }
    }

    async fn websocket(&self, ticket: &mut Ticket) -> Result<End, String> {
        let stream = self.doors.enter().await;
        let request = ClientRequestBuilder::new(format!("ws://{}/", self.host).parse().expect("a URL"));
        let request = request.with_header(ID, &*ticket.number);
        let opened = soon("the upgrade", tokio_tungstenite::client_async(request, stream)).await;
        let (mut socket, _) = opened.map_err(|error| format!("the upgrade: {error}"))?;
        let mut pace = interval(PACE);
        while !self.ledger.is_over() {
            let (said, then) = (Message::text(self.ledger.number()), Instant::now());
            if socket.send(said.clone()).await.is_err() {
                // What it heard before says whether it was asked to close.
                return last_words(socket).await;
            }
            match soon("the echo", socket.next()).await {
                Some(Ok(heard)) if heard == said => self.ledger.said_back(ticket, then),
                Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 1001 => {
                    return last_words(socket).await;
                }
                other => return Err(format!("said {said}, heard {other:?}")),
            }
            pace.tick().await;
        }
        socket
            .close(None)
            .await
            .map_err(|error| format!("at the close: {error}"))?;
        last_words(socket).await.map(|_| End::Ours)
    }

    async fn call(&self, ticket: &mut Ticket) -> Result<End, String> {
        let mut client = Client::http2_over(self.doors.enter().await).await;
        let (feed, body) = body::fed();
        let mut request = post_request(&self.host, "/echo.Echo/Converse", body);
        let kind = HeaderValue::from_static("application/grpc");
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, kind);
        headers.insert("te", HeaderValue::from_static("trailers"));
        headers.insert(ID, value(&ticket.number));
        let mut response = match client.send(request).await {
            Ok(response) if response.status() == 200 => response,
            Ok(response) => return Err(format!("{response:?}")),
            // A connection that was let go of before anything was sent on it.
            Err(error) if error.is_canceled() => return Ok(End::Theirs),
            Err(error) => return Err(format!("the head: {error:?}")),
        };
        let mut pace = interval(PACE);
        while !self.ledger.is_over() {
            if let Some(end) = self.exchange(ticket, &feed, &mut response).await? {
                return Ok(end);
            }
            pace.tick().await;
        }
        drop(feed);
        while let Some(frame) = soon("the end of the call", response.frame()).await {
            frame.map_err(|error| format!("at the end: {error:?}"))?;
        }
        Ok(End::Ours)
    }

    /// One message and its echo; or the end, if the application ends the call.
    async fn exchange(
        &self,
        ticket: &mut Ticket,
        feed: &Feed,
        response: &mut Response<Incoming>,
    ) -> Result<Option<End>, String> {
        let (said, then) = (message(&self.ledger.number()), Instant::now());
        // Nobody reads it any more where the call has ended, which is then heard.
        feed.data(said.clone()).await;
        let mut heard = Vec::new();
        while heard.len() < said.len() {
            let frame = soon("the echo", response.frame()).await;
            let frame = frame.ok_or("ended without a status")?;
            let frame = frame.map_err(|error| format!("{error:?}"))?;
            match frame.into_data() {
                Ok(data) => heard.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let status = trailers.get("grpc-status");
                    let went_well = status.is_some_and(|status| status == "0");
                    return if went_well {
                        Ok(Some(End::Theirs))
                    } else {
                        Err(format!("{trailers:?}"))
                    };
                }
            }
        }
        if heard != said {
            return Err(format!("said {said:?}, heard {heard:?}"));
        }
        self.ledger.said_back(ticket, then);
        Ok(None)
    }
}

/// A message with gRPC's prefix.
fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).expect("a short text").to_be_bytes();
    [&[0], &length[..], text.as_bytes()].concat().into()
}

/// Closes in order: whatever comes is heard until the end.
async fn last_words(mut socket: WebSocketStream<TcpStream>) -> Result<End, String> {
    // It may have been answered already.
    _ = socket.close(None).await;
    while let Some(message) = soon("the end of the WebSocket", socket.next()).await {
        message.map_err(|error| format!("at the close: {error}"))?;
    }
    Ok(End::Theirs)
}
