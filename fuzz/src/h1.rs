//! Does the HTTP/1 codec mean the same wherever its input is cut, and what everybody else would mean?
//!
//! Input: what a client sends on one connection. Whatever our codec accepts, hyper's server must read as the same
//! requests: it is laxer, so it may go on where ours stops.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::fuzzing::{Whole, requests};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// Where an input is cut, at most so often.
const CUTS_MAX: usize = 64;
/// What hyper's answers need at most, for each byte of input.
const ANSWERS_BYTES: usize = 1 << 20;

/// Runs one input.
///
/// # Panics
/// When a property is broken.
pub fn run(data: &[u8]) {
    let settings = HttpSettings::default();
    let (ours, refused) = requests(&[data], &settings);
    for cut in (0..=data.len()).step_by(data.len() / CUTS_MAX + 1) {
        let (first, second) = data.split_at_checked(cut).unwrap_or_default();
        let (again, refused_again) = requests(&[first, second], &settings);
        assert_eq!(refused_again, refused, "refused differently, cut at {cut}");
        assert_eq!(shown(&again), shown(&ours), "read differently, cut at {cut}");
    }
    // After CONNECT, hyper leaves HTTP where we answer 405.
    let comparable = ours
        .iter()
        .take_while(|whole| whole.request.method() != Method::CONNECT);
    let comparable: Vec<_> = comparable.map(|whole| described(&whole.request)).collect();
    if !comparable.is_empty() {
        let theirs = as_hyper_reads(data);
        assert_eq!(
            theirs.get(..comparable.len()),
            Some(comparable.as_slice()),
            "hyper reads something else"
        );
    }
}

fn shown(read: &[Whole]) -> String {
    format!("{read:?}")
}

/// What two readers of a request must agree on.
fn described(request: &Request<Vec<u8>>) -> String {
    let (method, uri) = (request.method(), request.uri());
    format!("{method} {uri} {:?} {:?}", request.headers(), request.body())
}

fn as_hyper_reads(data: &[u8]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(data.len() + ANSWERS_BYTES);
        client
            .write_all(data)
            .await
            .expect("the pipe has room for the input");
        client.shutdown().await.expect("a pipe can be shut down");
        serve_requests(server).await
    })
}

/// Answers requests by nothing, and says which they were.
async fn serve_requests<S>(stream: S) -> Vec<String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            // One that breaks off is no request.
            if let Ok(body) = body.collect().await {
                let request = Request::from_parts(head, body.to_bytes().to_vec());
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(described(&request));
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    // What hyper finds fault with ends the connection; what it has read until then counts.
    drop(connection.await);
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.clone()
}
