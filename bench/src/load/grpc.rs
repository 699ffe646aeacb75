//! gRPC by its frames alone: a call for each message, or one call with a message after the other.

use std::io;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use h2::client::{self, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, header};
use tokio::task::JoinSet;

use super::class::{Shape, Traffic};
use super::dial::Dial;
use super::h1::invalid;
use super::{Counted, host};
use crate::backend::echo::SMALL_FRAMES_BUDGET;

/// A message of 32 bytes behind its prefix: not compressed, four bytes of length.
const MESSAGE: &[u8] = b"\0\0\0\0\x20abcdefghijklmnopqrstuvwxyz012345";
const STATUS: &str = "grpc-status";

/// Starts the streams of a closed loop.
pub(super) async fn start(
    senders: &mut JoinSet<io::Result<()>>,
    dial: &Dial,
    shape: &Shape,
    counted: &Counted,
) -> io::Result<()> {
    for _ in 0..shape.connections {
        let stream = dial.tcp().await?;
        let (sender, connection) = client::Builder::new()
            .data_frame_budget(SMALL_FRAMES_BUDGET)
            .handshake(stream)
            .await
            .map_err(io::Error::other)?;
        for _ in 0..shape.streams {
            let (sender, counted) = (sender.clone(), counted.clone());
            match shape.traffic {
                Traffic::Messages => senders.spawn(async move { converse(sender, &counted).await }),
                _ => senders.spawn(async move { call_again(sender, &counted).await }),
            };
        }
        // Ends by itself once its last sender is gone.
        senders.spawn(async move { connection.await.map_err(io::Error::other) });
    }
    Ok(())
}

async fn call_again(mut sender: SendRequest<Bytes>, counted: &Counted) -> io::Result<()> {
    loop {
        let started = Instant::now();
        if counted.is_over(started) {
            return Ok(());
        }
        sender = sender.ready().await.map_err(io::Error::other)?;
        match call(&mut sender).await {
            Ok(()) => counted.answered(started, Instant::now()),
            Err(_) => counted.failed(),
        }
    }
}

async fn call(sender: &mut SendRequest<Bytes>) -> io::Result<()> {
    let (response, mut messages) = sender.send_request(request()?, false).map_err(io::Error::other)?;
    messages
        .send_data(Bytes::from_static(MESSAGE), true)
        .map_err(io::Error::other)?;
    let mut answers = response.await.map_err(io::Error::other)?.into_body();
    receive(&mut answers).await?;
    finish(&mut answers).await
}

async fn finish(answers: &mut RecvStream) -> io::Result<()> {
    let trailers = answers.trailers().await.map_err(io::Error::other)?;
    let status = trailers.as_ref().and_then(|trailers| trailers.get(STATUS));
    if status.is_some_and(|status| status == "0") {
        Ok(())
    } else {
        Err(invalid("a call that did not end with status 0"))
    }
}

async fn converse(sender: SendRequest<Bytes>, counted: &Counted) -> io::Result<()> {
    let mut sender = sender.ready().await.map_err(io::Error::other)?;
    let (response, mut messages) = sender.send_request(request()?, false).map_err(io::Error::other)?;
    drop(sender);
    say(&mut messages, false)?;
    let mut answers = response.await.map_err(io::Error::other)?.into_body();
    receive(&mut answers).await?;
    loop {
        let started = Instant::now();
        if counted.is_over(started) {
            // To the end, since many streams that are reset at once look like an attack.
            say(&mut messages, true)?;
            receive(&mut answers).await?;
            return finish(&mut answers).await;
        }
        say(&mut messages, false)?;
        receive(&mut answers).await?;
        counted.answered(started, Instant::now());
    }
}

fn say(messages: &mut SendStream<Bytes>, last: bool) -> io::Result<()> {
    let sent = messages.send_data(Bytes::from_static(MESSAGE), last);
    sent.map_err(io::Error::other)
}

/// Reads one message and nothing behind it.
async fn receive(answers: &mut RecvStream) -> io::Result<()> {
    let mut message = BytesMut::new();
    while message.len() < MESSAGE.len() {
        let part = answers
            .data()
            .await
            .ok_or_else(|| invalid("a call that ended before its message"))?;
        let part = part.map_err(io::Error::other)?;
        answers
            .flow_control()
            .release_capacity(part.len())
            .map_err(io::Error::other)?;
        message.extend_from_slice(&part);
    }
    if message == MESSAGE {
        Ok(())
    } else {
        Err(invalid("a message that is not the one that was sent"))
    }
}

fn request() -> io::Result<Request<()>> {
    Request::post(format!("http://{}/bench.Echo/Say", host()))
        .version(http::Version::HTTP_2)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(())
        .map_err(io::Error::other)
}
