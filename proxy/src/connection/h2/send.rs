//! How a response's body is sent at the pace of its client, and when that is too slow.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};
use tokio::time::Instant;

use super::link::Link;
use crate::body::Body;
use crate::config::limits;
use crate::connection::alarm::Alarm;
use crate::error::{Error, Kind};
use crate::normalize;

/// Sends a body at the pace of the stream's window; drops it when the client resets the stream.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice, and there is a task for each stream"
)]
pub(super) fn body(
    mut stream: SendStream<Bytes>,
    mut body: Body,
    link: &Link,
    alarm: &mut Alarm,
    mut pace: Pace,
) -> impl Future<Output = ()> + Send {
    async move {
        loop {
            let next = poll_fn(|cx| poll_next(cx, (&mut stream, &mut body), link, alarm)).await;
            let sent = match next {
                Next::Frame(Some(Ok(frame))) => {
                    link.moved();
                    send_frame(&mut stream, frame, body.is_end_stream(), &mut pace).await
                }
                Next::Frame(None) => stream
                    .send_data(Bytes::new(), true)
                    .map(|()| Progress::Ended)
                    .map_err(Unsent::from),
                Next::Frame(Some(Err(error))) => {
                    tracing::debug!(%error, "response body failed");
                    // A reset overtakes what waits to be sent: the head, and what came of the body, go first.
                    tokio::task::yield_now().await;
                    return stream.send_reset(Reason::INTERNAL_ERROR);
                }
                Next::Reset => return,
                Next::Idle => {
                    // The response is cut short: say so, rather than end it as if it were complete.
                    body.break_off(Kind::IdleTimeout);
                    return stream.send_reset(Reason::CANCEL);
                }
            };
            match sent {
                Ok(Progress::More) => {}
                Ok(Progress::Ended) => return,
                Err(Unsent::TooSlow) => {
                    body.break_off(Kind::ClientStalled);
                    return stream.send_reset(Reason::CANCEL);
                }
                Err(Unsent::Stream(error)) => {
                    return tracing::debug!(%error, "response body could not be sent");
                }
            }
        }
    }
}

/// What comes next of a response.
enum Next {
    /// A frame of its body, its end, or why there is none.
    Frame(Option<Result<Frame<Bytes>, Error>>),
    /// The client wants no more.
    Reset,
    /// Nothing has moved for too long.
    Idle,
}

fn poll_next(
    cx: &mut Context<'_>,
    (stream, body): (&mut SendStream<Bytes>, &mut Body),
    link: &Link,
    alarm: &mut Alarm,
) -> Poll<Next> {
    if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
        return Poll::Ready(Next::Frame(frame));
    }
    if stream.poll_reset(cx).is_ready() {
        return Poll::Ready(Next::Reset);
    }
    link.poll_idle(cx, alarm).map(|()| Next::Idle)
}

/// Why no more of a response is sent.
enum Unsent {
    Stream(h2::Error),
    TooSlow,
}

impl From<h2::Error> for Unsent {
    fn from(error: h2::Error) -> Self {
        Self::Stream(error)
    }
}

enum Progress {
    More,
    Ended,
}

async fn send_frame(
    stream: &mut SendStream<Bytes>,
    frame: Frame<Bytes>,
    last: bool,
    pace: &mut Pace,
) -> Result<Progress, Unsent> {
    match frame.into_data() {
        Ok(data) => {
            send_data(stream, data, last, pace).await?;
            Ok(if last { Progress::Ended } else { Progress::More })
        }
        Err(frame) => match frame.into_trailers() {
            Ok(mut trailers) => {
                normalize::drop_from_trailers(&mut trailers);
                stream.send_trailers(trailers)?;
                Ok(Progress::Ended)
            }
            Err(_unknown_kind) => Ok(Progress::More),
        },
    }
}

async fn send_data(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    ends: bool,
    pace: &mut Pace,
) -> Result<(), Unsent> {
    if data.is_empty() {
        return Ok(stream.send_data(data, ends)?);
    }
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let granted = tokio::select! {
            biased;
            granted = poll_fn(|cx| stream.poll_capacity(cx)) => granted.ok_or(h2::Error::from(Reason::CANCEL))??,
            () = pace.too_slow() => return Err(Unsent::TooSlow),
        };
        let chunk = data.split_to(granted.min(data.len()));
        pace.took(chunk.len());
        stream.send_data(chunk, ends && data.is_empty())?;
    }
    pace.caught_up();
    Ok(())
}

/// How fast the client takes what waits for its window. Nothing is measured while nothing waits.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long it may take nearly nothing.
    stall: Option<Duration>,
    waits: Option<Period>,
}

#[derive(Debug)]
struct Period {
    end: Instant,
    bytes: usize,
}

impl Period {
    fn begin(stall: Duration) -> Self {
        Self {
            end: Instant::now() + stall,
            bytes: 0,
        }
    }
}

impl Pace {
    pub(super) fn new(stall: Option<Duration>) -> Self {
        Self { stall, waits: None }
    }

    /// Resolves when the client has taken too little for too long. Polled only while something waits. Cancel-safe.
    pub(super) async fn too_slow(&mut self) {
        let Some(stall) = self.stall else {
            return std::future::pending().await;
        };
        let end = self.waits.get_or_insert_with(|| Period::begin(stall)).end;
        tokio::time::sleep_until(end).await;
    }

    /// The client has taken so much.
    pub(super) fn took(&mut self, bytes: usize) {
        if let (Some(period), Some(stall)) = (&mut self.waits, self.stall) {
            period.bytes += bytes;
            if period.bytes >= limits::H2_PROGRESS_BYTES_MIN {
                *period = Period::begin(stall);
            }
        }
    }

    /// Nothing waits any more.
    pub(super) fn caught_up(&mut self) {
        self.waits = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wait(pace: &mut Pace, time: Duration) -> bool {
        tokio::time::timeout(time, pace.too_slow()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_opens_byte_by_byte_is_no_progress() {
        let mut pace = Pace::new(Some(limits::STALL_TIMEOUT));
        let almost = limits::STALL_TIMEOUT / 4;
        for _drip in 0..3 {
            assert!(!wait(&mut pace, almost).await);
            pace.took(1);
        }
        assert!(wait(&mut pace, almost).await);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bound_nothing_is_too_slow() {
        assert!(!wait(&mut Pace::new(None), 100 * limits::STALL_TIMEOUT).await);
    }

    #[tokio::test(start_paused = true)]
    async fn some_progress_in_each_period_is_enough() {
        let mut pace = Pace::new(Some(limits::STALL_TIMEOUT));
        let almost = limits::STALL_TIMEOUT - Duration::from_secs(1);
        for _slow_reader in 0..3 {
            assert!(!wait(&mut pace, almost).await);
            pace.took(limits::H2_PROGRESS_BYTES_MIN);
        }
        pace.caught_up();
        assert!(!wait(&mut pace, almost).await, "the time begins anew");
    }
}
