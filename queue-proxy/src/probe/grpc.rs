//! Does the gRPC health service answer `SERVING` (grpc.health.v1)?
//!
//! One unary call over our own HTTP/2 connection, with messages written down here: the sidecar stays free of a
//! gRPC stack.

use std::pin::pin;

use ::http::header::{CONTENT_TYPE, TE, USER_AGENT};
use ::http::{HeaderMap, HeaderValue, Method, Request, Uri};
use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use prost::Message;
use tidegate_knative::headers::KUBE_PROBE_USER_AGENT;
use tidegate_proxy::cluster::transport::Duplex;

use super::{Authority, Failure, tcp};
use crate::limits::HEALTH_RESPONSE_BYTES_MAX;

const PROTOCOL: &str = "HTTP/2";
const METHOD_PATH: &str = "/grpc.health.v1.Health/Check";
const GRPC_STATUS: &str = "grpc-status";
const GRPC_MESSAGE: &str = "grpc-message";
/// A message's prefix: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// The call of a probe. Each attempt has a connection of its own.
#[derive(Clone, Debug)]
pub(super) struct Check {
    message: Bytes,
}

impl Check {
    pub(super) fn new(service: &str) -> Self {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let mut message = BytesMut::new();
        message.put_u8(0);
        message.put_u32(u32::try_from(request.encoded_len()).unwrap_or(u32::MAX));
        message.extend_from_slice(&request.encode_to_vec());
        Self {
            message: message.freeze(),
        }
    }

    pub(super) async fn call(&self, authority: &Authority) -> Result<(), Failure> {
        let stream: Box<dyn Duplex> = Box::new(tcp::connect(authority).await?);
        let (sender, connection) = h2::client::handshake(stream).await.map_err(broken)?;
        let mut answer = pin!(self.exchange(sender, authority));
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // The answer may have come with the end of the connection; if not, it is an error by now.
            _ended = connection => answer.await,
        }
    }

    async fn exchange(
        &self,
        sender: h2::client::SendRequest<Bytes>,
        authority: &Authority,
    ) -> Result<(), Failure> {
        let mut sender = sender.ready().await.map_err(broken)?;
        let (response, mut body) = sender.send_request(request(authority)?, false).map_err(broken)?;
        body.send_data(self.message.clone(), true).map_err(broken)?;
        let (head, mut stream) = response.await.map_err(broken)?.into_parts();
        if head.status != ::http::StatusCode::OK {
            return Err(Failure::health(format!(
                "answered HTTP status {}",
                head.status.as_u16()
            )));
        }
        if head.headers.contains_key(GRPC_STATUS) {
            return Err(refused(&head.headers));
        }
        let message = read(&mut stream).await?;
        let trailers = stream.trailers().await.map_err(broken)?.unwrap_or_default();
        if trailers.get(GRPC_STATUS).is_none_or(|status| status != "0") {
            return Err(refused(&trailers));
        }
        judge(&message)
    }
}

fn request(authority: &Authority) -> Result<Request<()>, Failure> {
    let uri = Uri::builder()
        .scheme("http")
        .authority(authority.to_string())
        .path_and_query(METHOD_PATH)
        .build();
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.map_err(|error| Failure::protocol(PROTOCOL, error))?;
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(KUBE_PROBE_USER_AGENT));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    Ok(request)
}

/// The whole body, up to its bound.
async fn read(stream: &mut RecvStream) -> Result<Bytes, Failure> {
    let mut read = BytesMut::new();
    while let Some(data) = stream.data().await {
        let data = data.map_err(broken)?;
        if read.len() + data.len() > HEALTH_RESPONSE_BYTES_MAX {
            return Err(Failure::health(format!(
                "answered more than {HEALTH_RESPONSE_BYTES_MAX} bytes"
            )));
        }
        stream
            .flow_control()
            .release_capacity(data.len())
            .map_err(broken)?;
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

fn judge(body: &[u8]) -> Result<(), Failure> {
    let unreadable = || Failure::health("answered what is not a HealthCheckResponse");
    let (prefix, message) = body.split_first_chunk::<PREFIX_BYTES>().ok_or_else(unreadable)?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 || u32::from_be_bytes(length) as usize != message.len() {
        return Err(unreadable());
    }
    let response = HealthCheckResponse::decode(message).map_err(|_| unreadable())?;
    match response.status() {
        ServingStatus::Serving => Ok(()),
        other => Err(Failure::health(format!("answered {other:?}"))),
    }
}

fn refused(headers: &HeaderMap) -> Failure {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("none")
    };
    Failure::health(format!(
        "failed: grpc-status {}, message {}",
        text(GRPC_STATUS),
        text(GRPC_MESSAGE)
    ))
}

fn broken(error: h2::Error) -> Failure {
    Failure::protocol(PROTOCOL, error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A body with this message, and what is made of it: empty for success.
    fn check(body: &[u8], expected: &str) {
        let failure = judge(body)
            .err()
            .map(|failure| failure.to_string())
            .unwrap_or_default();
        assert!(
            failure.ends_with(expected) && failure.is_empty() == expected.is_empty(),
            "{body:?}: {failure}"
        );
    }

    #[test]
    fn only_serving_is_ready() {
        check(&[0, 0, 0, 0, 2, 0x08, 1], "");
        check(&[0, 0, 0, 0, 2, 0x08, 2], "answered NotServing");
        check(&[0, 0, 0, 0, 2, 0x08, 3], "answered ServiceUnknown");
        check(&[0, 0, 0, 0, 2, 0x08, 77], "answered Unknown");
        check(&[0, 0, 0, 0, 0], "answered Unknown");
    }

    #[test]
    fn what_is_no_message_is_not_ready() {
        for body in [
            &[][..],
            &[0, 0],
            &[1, 0, 0, 0, 0],
            &[0, 0, 0, 0, 9, 0x08, 1],
            &[0, 0, 0, 0, 1, 0x08],
        ] {
            check(body, "not a HealthCheckResponse");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_worse_than_a_failure(body in prop::collection::vec(any::<u8>(), 0..40)) {
            drop(judge(&body));
        }
    }
}
