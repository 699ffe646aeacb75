//! How do gRPC messages stand in a body? Each behind a flag and its length.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use prost::Message;

use super::status::{Code, Status};
use crate::sample::limits::MESSAGE_BYTES_MAX;

/// One byte that says whether the message is compressed, four of length.
const PREFIX_BYTES: usize = 5;

/// The one message of `tidegate.sample.Echo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Text {
    #[prost(string, tag = "1")]
    pub(super) message: String,
}

impl Text {
    pub(super) fn new(message: &str) -> Self {
        Self {
            message: message.to_owned(),
        }
    }
}

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Health {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HealthAnswer {
    #[prost(int32, tag = "1")]
    status: i32,
}

impl HealthAnswer {
    pub(super) fn serving() -> Self {
        Self { status: 1 }
    }
}

/// A message with its prefix.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let body = message.encode_to_vec();
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + body.len());
    framed.put_u8(0);
    // What came in under the bound goes out under it.
    framed.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    framed.put_slice(&body);
    framed.freeze()
}

/// The messages of a request's body, read as they come.
pub(super) struct Messages {
    body: Incoming,
    unread: BytesMut,
}

impl Messages {
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body,
            unread: BytesMut::new(),
        }
    }

    /// The one message that the call must have.
    ///
    /// # Errors
    /// As [`Messages::next`], or when there is none or more than one.
    pub(super) async fn only<M: Message + Default>(&mut self) -> Result<M, Status> {
        let first = self.next().await?;
        match (first, self.next::<M>().await?) {
            (Some(message), None) => Ok(message),
            _ => Err(Status::new(
                Code::InvalidArgument,
                "this method takes exactly one message",
            )),
        }
    }

    /// The next message; none at the end. Cancel-safe: what was read stays for the next call.
    ///
    /// # Errors
    /// When the body breaks off, or the message is compressed, too long or no protobuf.
    pub(super) async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = self.split_message()? {
                let decoded = M::decode(message);
                return decoded
                    .map(Some)
                    .map_err(|error| Status::new(Code::InvalidArgument, error.to_string()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.unread.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(Status::new(Code::Cancelled, error.to_string())),
                None if self.unread.is_empty() => return Ok(None),
                None => {
                    return Err(Status::new(
                        Code::InvalidArgument,
                        "the body ends within a message",
                    ));
                }
            }
        }
    }

    fn split_message(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((mut prefix, _)) = self.unread.split_at_checked(PREFIX_BYTES) else {
            return Ok(None);
        };
        if prefix.get_u8() != 0 {
            return Err(Status::new(
                Code::Unimplemented,
                "compressed messages are not taken",
            ));
        }
        let length = prefix.get_u32() as usize;
        if length > MESSAGE_BYTES_MAX {
            let message = format!("the message has {length} bytes, at most {MESSAGE_BYTES_MAX} are taken");
            return Err(Status::new(Code::ResourceExhausted, message));
        }
        if self.unread.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        self.unread.advance(PREFIX_BYTES);
        Ok(Some(self.unread.split_to(length).freeze()))
    }
}
