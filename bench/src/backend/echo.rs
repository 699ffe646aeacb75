//! What answers gRPC behind the proxies: HTTP/2 by prior knowledge, every message said back, status 0.

use std::io;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Room for small messages of many streams at once, which h2 would take for an attack: what it thinks each holds, in bytes.
pub const SMALL_FRAMES_BUDGET: usize = 4 * 1024 * 1024;

/// Answers every call on `listener`'s connections, until it is dropped.
///
/// # Errors
/// When accepting fails.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        connections.spawn(async move { connection(stream).await });
        while connections.try_join_next().is_some() {}
    }
}

/// What goes wrong with one client is that client's.
async fn connection(stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut builder = server::Builder::new();
    builder.data_frame_budget(SMALL_FRAMES_BUDGET);
    let mut connection = builder.handshake(stream).await.ok()?;
    let mut calls = JoinSet::new();
    while let Some(call) = connection.accept().await {
        let (request, respond) = call.ok()?;
        calls.spawn(async move { answer(request, respond).await });
        while calls.try_join_next().is_some() {}
    }
    Some(())
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut head = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    head.headers_mut().insert(header::CONTENT_TYPE, grpc);
    let mut answers = respond.send_response(head, false)?;
    let mut messages = request.into_body();
    while let Some(data) = messages.data().await {
        let data = data?;
        messages.flow_control().release_capacity(data.len())?;
        answers.send_data(data, false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    answers
        .send_trailers(trailers)
        .map_err(|_| h2::Error::from(Reason::CANCEL))
}
