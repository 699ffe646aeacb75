//! A check by a request over HTTP/1.1.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::grpc::USER_AGENT;
use super::{Finding, HttpProbe};
use crate::config::limits;
use crate::error::BoxError;

/// Asks what `probe` says by `stream`. The body of the answer is not read. The caller sets the deadline.
pub(super) async fn get<S>(stream: S, probe: &HttpProbe, host: &str) -> Result<Finding, BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut request = Request::builder()
        .method(&probe.method)
        .uri(&*probe.path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    request.headers_mut().extend(probe.fields.clone());
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(limits::CHECK_ANSWER_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut asking = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut asking => answer?,
        ended = connection => {
            // It may have ended with the answer, which is there then.
            ended?;
            asking.await?
        }
    };
    let degraded = probe.degraded_header.as_ref();
    let degraded = degraded.is_some_and(|name| answer.headers().contains_key(name));
    Ok(probe.finding(answer.status().as_u16(), degraded))
}
