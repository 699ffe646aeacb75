//! The messages of a stream as gRPC frames them: each in memory of its own, which goes when nobody keeps any of it.
//!
//! tonic gathers messages in one buffer that never gets smaller: after one push of 40 MB it would hold 40 MB for as long as the
//! stream is open. Here a message is gathered in a buffer of its size, and given away with it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame};
use tidegate_proxy::process::give_way;
use tonic::codegen::StdError;
use tonic::{Code, Status};

/// The body of a response, read message by message.
pub(crate) struct Messages {
    body: Pin<Box<dyn Body<Data = Bytes, Error = Status> + Send>>,
    /// The status of its response; none where the head has said that it ends well.
    status: Option<StatusCode>,
    bytes_max: usize,
    /// What has come and is not read.
    rest: Bytes,
    prefix: BytesMut,
    /// The message that is being gathered, and how much of it has not come.
    message: Option<(BytesMut, usize)>,
}

/// How long the prefix of a message is: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

impl Messages {
    /// Of a response with this status, none where its head has said that it ends well; no message may be longer than `bytes_max`.
    pub(super) fn new<B>(body: B, status: Option<StatusCode>, bytes_max: usize) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<StdError>,
    {
        Self {
            body: Box::pin(Plain(Box::pin(body))),
            status,
            bytes_max,
            rest: Bytes::new(),
            prefix: BytesMut::new(),
            message: None,
        }
    }

    /// The next message; none at an end that is well. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// What the server, or whoever is between, says about the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.read()? {
                return Ok(Some(message));
            }
            give_way();
            let frame = std::future::poll_fn(|cx| self.body.as_mut().poll_frame(cx)).await;
            match frame.transpose()? {
                None => return self.ended(None),
                Some(frame) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return self.ended(frame.into_trailers().ok().as_ref()),
                },
            }
        }
    }

    /// A message, if all of it is there.
    fn read(&mut self) -> Result<Option<Bytes>, Status> {
        while self.rest.has_remaining() || self.message.as_ref().is_some_and(|(_, missing)| *missing == 0) {
            if let Some((mut message, missing)) = self.message.take() {
                let part = self.rest.split_to(missing.min(self.rest.len()));
                message.put_slice(&part);
                if part.len() == missing {
                    return Ok(Some(message.freeze()));
                }
                self.message = Some((message, missing - part.len()));
                continue;
            }
            let missing = PREFIX_BYTES - self.prefix.len();
            self.prefix
                .put_slice(&self.rest.split_to(missing.min(self.rest.len())));
            if self.prefix.len() == PREFIX_BYTES {
                self.begin()?;
            }
        }
        Ok(None)
    }

    /// The prefix is there.
    fn begin(&mut self) -> Result<(), Status> {
        if self.prefix.get_u8() != 0 {
            return Err(Status::internal(
                "a message is compressed, which was not asked for",
            ));
        }
        let length = usize::try_from(self.prefix.get_u32()).unwrap_or(usize::MAX);
        if length > self.bytes_max {
            let most = self.bytes_max;
            return Err(Status::out_of_range(format!(
                "a message has {length} bytes, and {most} are the most that is read"
            )));
        }
        self.message = Some((BytesMut::with_capacity(length), length));
        Ok(())
    }

    /// The body is over.
    fn ended(&self, trailers: Option<&HeaderMap>) -> Result<Option<Bytes>, Status> {
        if self.message.is_some() || !self.prefix.is_empty() {
            return Err(Status::internal("the stream ends within a message"));
        }
        match trailers.and_then(Status::from_header_map) {
            Some(status) if status.code() == Code::Ok => Ok(None),
            Some(status) => Err(status),
            None => self.status.map_or(Ok(None), |status| Err(of_http(status))),
        }
    }
}

/// What a response without a status of gRPC's own comes to.
pub(super) fn of_http(status: StatusCode) -> Status {
    let code = match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("HTTP status {status}, and no status of gRPC"))
}

/// A message with its prefix.
pub(super) fn framed(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    // A request is bounded far below that.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// Whatever body, as bytes.
struct Plain<B>(Pin<Box<B>>);

impl<B> Body for Plain<B>
where
    B: Body,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(self.0.as_mut().poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
            Err(error) => Err(Status::from_error(error.into())),
        }))
    }
}

#[cfg(test)]
mod tests;
