//! HTTP/2 requests by prior knowledge: streams side by side, each with one request after the other.

use std::io;
use std::time::Instant;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::Request;
use tokio::task::JoinSet;

use super::class::Shape;
use super::dial::Dial;
use super::{Counted, host};

/// Starts the streams of a closed loop.
pub(super) async fn start(
    senders: &mut JoinSet<io::Result<()>>,
    dial: &Dial,
    shape: &Shape,
    counted: &Counted,
) -> io::Result<()> {
    let uri = format!("http://{}/", host());
    for _ in 0..shape.connections {
        let stream = dial.tcp().await?;
        let (sender, connection) = client::handshake(stream).await.map_err(io::Error::other)?;
        for _ in 0..shape.streams {
            let (sender, uri, counted) = (sender.clone(), uri.clone(), counted.clone());
            senders.spawn(async move { repeat(sender, &uri, &counted).await });
        }
        // Ends by itself once its last sender is gone.
        senders.spawn(async move { connection.await.map_err(io::Error::other) });
    }
    Ok(())
}

async fn repeat(mut sender: SendRequest<Bytes>, uri: &str, counted: &Counted) -> io::Result<()> {
    loop {
        let started = Instant::now();
        if counted.is_over(started) {
            return Ok(());
        }
        sender = sender.ready().await.map_err(io::Error::other)?;
        match exchange(&mut sender, uri).await {
            Ok(()) => counted.answered(started, Instant::now()),
            Err(_) => counted.failed(),
        }
    }
}

async fn exchange(sender: &mut SendRequest<Bytes>, uri: &str) -> Result<(), h2::Error> {
    let mut request = Request::new(());
    *request.uri_mut() = uri
        .parse()
        .map_err(|_| h2::Error::from(h2::Reason::INTERNAL_ERROR))?;
    *request.version_mut() = http::Version::HTTP_2;
    let (response, _) = sender.send_request(request, true)?;
    let (head, mut body) = response.await?.into_parts();
    while let Some(data) = body.data().await {
        let length = data?.len();
        body.flow_control().release_capacity(length)?;
    }
    match head.status {
        http::StatusCode::OK => Ok(()),
        _ => Err(h2::Reason::INTERNAL_ERROR.into()),
    }
}
