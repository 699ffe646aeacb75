//! Does the codec of upstream connections mean the same wherever its input is cut, and what everybody else would mean?
//!
//! Input: a byte for the method of the request, then what the upstream sends before it closes. Whatever our codec accepts as a
//! whole response, hyper's client must read as the same: it is laxer, so it may accept what ours refuses.

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tidegate_proxy::fuzzing::{WholeAnswer, answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where an input is cut, at most so often.
const CUTS_MAX: usize = 64;
/// What hyper's request needs at most.
const REQUEST_BYTES: usize = 1 << 12;

/// Runs one input.
///
/// # Panics
/// When a property is broken.
pub fn run(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let method = match first % 2 {
        0 => Method::GET,
        _ => Method::HEAD,
    };
    let ours = answer(&[data], &method);
    for cut in (0..=data.len()).step_by(data.len() / CUTS_MAX + 1) {
        let (first, second) = data.split_at_checked(cut).unwrap_or_default();
        let again = answer(&[first, second], &method);
        assert_eq!(shown(&again), shown(&ours), "read differently, cut at {cut}");
    }
    // After a 101 hyper leaves HTTP, as we do.
    if let Ok(Some(whole)) = ours
        && whole.response.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        let (head, content) = (whole.response.headers(), whole.response.body());
        let ours = described(whole.response.status(), head, content);
        assert_eq!(
            as_hyper_reads(data, method),
            Some(ours),
            "hyper reads something else"
        );
    }
}

fn shown(read: &Result<Option<WholeAnswer>, String>) -> String {
    format!("{read:?}")
}

/// What two readers of a response must agree on.
fn described(status: StatusCode, fields: &HeaderMap, content: &[u8]) -> String {
    format!("{status} {fields:?} {content:?}")
}

fn as_hyper_reads(data: &[u8], method: Method) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (client, mut server) = tokio::io::duplex(data.len() + REQUEST_BYTES);
        let (mut sender, connection) = http1::handshake(TokioIo::new(client))
            .await
            .expect("a pipe is open");
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method;
        let answering = async {
            // What comes before the request would belong to no request.
            let mut head = [0; 1];
            server
                .read_exact(&mut head)
                .await
                .expect("hyper sends the request");
            server
                .write_all(data)
                .await
                .expect("the pipe has room for the input");
            server.shutdown().await.expect("a pipe can be shut down");
            // It stays open in the other direction until all is read.
            server
        };
        let asking = async {
            let response = sender.send_request(request).await.ok()?;
            let (head, body) = response.into_parts();
            let content = body.collect().await.ok()?.to_bytes();
            Some(described(head.status, &head.headers, &content))
        };
        let (read, _server, _ended) = tokio::join!(asking, answering, connection);
        read
    })
}
