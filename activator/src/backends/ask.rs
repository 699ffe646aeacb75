//! How is one address asked whether it is a pod that is ready? As Knative's activator asks a sidecar.

use std::{future::Future, net::SocketAddr, pin::Pin};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{
    HeaderValue, Request, StatusCode,
    header::{HOST, USER_AGENT},
};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tidegate_knative::headers::{self, NetworkProbe};
use tokio::net::TcpStream;

use crate::{backends::Asked, limits::PROBE_ANSWER_BYTES_MAX};

/// The future of an answer.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Asked> + Send + 'a>>;

/// Asks addresses.
pub trait Ask: Send + Sync {
    /// Asks the one at `address`, in the name of `host` where a mesh needs it. The caller sets the deadline.
    fn ask<'a>(&'a self, address: SocketAddr, host: Option<&'a HeaderValue>) -> Answer<'a>;
}

/// Asks over HTTP/1.1 in the clear, whatever the pod's requests come by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Ask for Plain {
    fn ask<'a>(&'a self, address: SocketAddr, host: Option<&'a HeaderValue>) -> Answer<'a> {
        Box::pin(async move { exchange(address, host).await.unwrap_or(Asked::Failed) })
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(address: SocketAddr, host: Option<&HeaderValue>) -> Result<Asked, Failure> {
    let request = question(address, host)?;
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = Box::pin(async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), PROBE_ANSWER_BYTES_MAX);
        let body = body.collect().await?.to_bytes();
        Ok(judge(status, &body))
    });
    match select(answer, Box::pin(connection)).await {
        Either::Left((answer, _)) => answer,
        // The peer has closed; what it said before is still to be read.
        Either::Right((_, answer)) => answer.await,
    }
}

fn question(address: SocketAddr, host: Option<&HeaderValue>) -> Result<Request<Empty<Bytes>>, Failure> {
    let mut request = Request::get("/healthz").body(Empty::new())?;
    let head = request.headers_mut();
    let own = HeaderValue::try_from(address.to_string())?;
    head.insert(HOST, host.cloned().unwrap_or(own));
    head.insert(
        USER_AGENT,
        HeaderValue::from_static(headers::ACTIVATOR_USER_AGENT),
    );
    let probe = HeaderValue::from_static(NetworkProbe::Queue.as_str());
    head.insert(headers::NETWORK_PROBE, probe);
    if host.is_some() {
        head.insert(headers::PASSTHROUGH_LB, HeaderValue::from_static(headers::TRUE));
    }
    Ok(request)
}

fn judge(status: StatusCode, body: &[u8]) -> Asked {
    match status {
        StatusCode::OK if body == NetworkProbe::Queue.as_str().as_bytes() => Asked::Ready,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => Asked::PerhapsMesh,
        _ => Asked::NotReady,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_testkit::upstream::{Upstream, nobody};

    use super::*;

    #[tokio::test]
    async fn ac_30_only_a_sidecars_own_word_counts() {
        for (status, text, expected) in [
            (200, "queue", Asked::Ready),
            (200, "queue\n", Asked::NotReady),
            (200, "hello", Asked::NotReady),
            (404, "queue", Asked::NotReady),
            (503, "", Asked::PerhapsMesh),
            (502, "", Asked::PerhapsMesh),
        ] {
            let pod = Upstream::fixed(StatusCode::from_u16(status).unwrap(), text).await;
            assert_eq!(
                Plain.ask(pod.address(), None).await,
                expected,
                "{status} {text:?}"
            );
        }
        assert_eq!(Plain.ask(nobody().await, None).await, Asked::Failed);
    }

    #[tokio::test]
    async fn ac_33_a_question_says_who_asks_and_through_which_mesh() {
        let pod = Upstream::fixed(StatusCode::OK, "queue").await;
        let host = HeaderValue::from_static("rev-private.ns");
        Plain.ask(pod.address(), None).await;
        Plain.ask(pod.address(), Some(&host)).await;
        let seen = pod.seen();
        let own = pod.address().to_string();
        for (seen, host, passthrough) in [
            (&seen[0], &*own, None),
            (&seen[1], "rev-private.ns", Some("true")),
        ] {
            assert_eq!(seen.uri.path(), "/healthz");
            assert_eq!(seen.header("host"), Some(host));
            assert_eq!(seen.header("k-passthrough-lb"), passthrough);
            assert_eq!(seen.header("k-network-probe"), Some("queue"));
            assert_eq!(seen.header("user-agent"), Some("Knative-Activator-Probe"));
        }
    }
}
