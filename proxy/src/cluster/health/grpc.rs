//! A check by `grpc.health.v1.Health/Check`, and one by a GET over HTTP/2.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client;
use http::{HeaderMap, Request, Response, Version, header};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Finding, HttpProbe};
use crate::config::limits;
use crate::error::BoxError;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    /// 1 is `SERVING`.
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;
const CHECK: &str = "/grpc.health.v1.Health/Check";
/// What stands before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Asks for `service` by `stream`. The caller sets the deadline.
pub(super) async fn check<S>(stream: S, service: &str, authority: &str) -> Result<Finding, BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = Request::post(format!("http://{authority}{CHECK}"))
        .version(Version::HTTP_2)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(())?;
    let message = HealthCheckRequest {
        service: service.to_owned(),
    };
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(message.encoded_len())?);
    message.encode(&mut body)?;
    let (answer, body, trailers) = exchange(stream, request, body.freeze()).await?;
    let status = trailers
        .get(GRPC_STATUS)
        .or_else(|| answer.headers().get(GRPC_STATUS));
    if !answer.status().is_success() || status.is_none_or(|status| status != "0") {
        // It answers, but not that it serves: an unknown service, or no health service at all.
        return Ok(Finding::Unhealthy);
    }
    Ok(match read(&body) {
        Some(response) if response.status == SERVING => Finding::Healthy,
        Some(_) | None => Finding::Unhealthy,
    })
}

/// Asks what `probe` says over HTTP/2.
pub(super) async fn get<S>(stream: S, probe: &HttpProbe, host: &str) -> Result<Finding, BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Request::builder()
        .method(&probe.method)
        .uri(format!("http://{host}{}", probe.path))
        .version(Version::HTTP_2)
        .header(header::USER_AGENT, USER_AGENT)
        .body(())?;
    request.headers_mut().extend(probe.fields.clone());
    let (answer, _body, _trailers) = exchange(stream, request, Bytes::new()).await?;
    let degraded = probe.degraded_header.as_ref();
    let degraded = degraded.is_some_and(|name| answer.headers().contains_key(name));
    Ok(probe.finding(answer.status().as_u16(), degraded))
}

const GRPC_STATUS: &str = "grpc-status";
/// Who asks.
pub(super) const USER_AGENT: &str = "tidegate-health-check";

/// One exchange on a connection of its own.
async fn exchange<S>(
    stream: S,
    request: Request<()>,
    body: Bytes,
) -> Result<(Response<()>, Bytes, HeaderMap), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (sender, connection) = client::Builder::new()
        .enable_push(false)
        .max_header_list_size(u32::try_from(limits::CHECK_ANSWER_BYTES_MAX).unwrap_or(u32::MAX))
        .handshake::<_, Bytes>(stream)
        .await?;
    let exchange = async {
        let mut sender = sender.ready().await?;
        let (response, mut upload) = sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            upload.send_data(body, true)?;
        }
        let (head, mut body) = response.await?.into_parts();
        let mut received = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            if received.len() + data.len() > limits::CHECK_ANSWER_BYTES_MAX {
                return Err("the answer to a health check is too long".into());
            }
            received.extend_from_slice(&data);
        }
        let trailers = body.trailers().await?.unwrap_or_default();
        Ok((Response::from_parts(head, ()), received.freeze(), trailers))
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        ended = connection => {
            // It may have ended with the answer, which is there then.
            ended?;
            exchange.await
        }
    }
}

/// The message of a unary answer; none where it is compressed, broken or not whole.
fn read(mut body: &[u8]) -> Option<HealthCheckResponse> {
    if body.len() < PREFIX_BYTES || body.get_u8() != 0 {
        return None;
    }
    let length = usize::try_from(body.get_u32()).ok()?;
    HealthCheckResponse::decode(body.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_prefix_and_a_message() {
        let check = |bytes: &[u8], expected: Option<i32>| {
            assert_eq!(read(bytes).map(|response| response.status), expected, "{bytes:?}");
        };
        check(&[0, 0, 0, 0, 2, 8, 1], Some(SERVING));
        check(&[0, 0, 0, 0, 2, 8, 2], Some(2));
        check(&[0, 0, 0, 0, 0], Some(0));
        check(&[1, 0, 0, 0, 2, 8, 1], None);
        check(&[0, 0, 0, 0, 9, 8, 1], None);
        check(&[0, 255, 255, 255, 255], None);
        check(&[0, 0, 0, 0, 1, 255], None);
        check(&[0, 0], None);
    }
}
