//! How does a gRPC call end?

use http::{HeaderMap, HeaderName, HeaderValue};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The status codes used here (numbers as in the gRPC specification).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    Cancelled = 1,
    InvalidArgument = 3,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
}

/// A status code and a sentence for the caller.
#[derive(Debug)]
pub(super) struct Status {
    code: Code,
    message: String,
}

impl Status {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(super) fn ok() -> Self {
        Self::new(Code::Ok, "")
    }

    /// The status as it goes into trailers, or into the headers of a response without a body.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_STATUS, HeaderValue::from(self.code as u16));
        // Every sentence is visible ASCII: ours are, and a path is. One that is not goes without.
        if let (false, Ok(message)) = (self.message.is_empty(), HeaderValue::from_str(&self.message)) {
            headers.insert(GRPC_MESSAGE, message);
        }
        headers
    }
}
