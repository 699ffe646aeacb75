//! One request on one upstream connection: heads, bodies both ways, trailers.

use std::error::Error as _;
use std::sync::Arc;

use http::{Request, Response};

use crate::body::Body;
use crate::cluster::InFlight;
use crate::error::{Error, Kind};
use crate::pool::Checkout;

pub(crate) mod h1;
mod h2;
mod response;
mod tunnel;
mod upload;

pub(crate) use response::ResponseBody;

/// Why an exchange has no response.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Whether it is the connection that ended, without a word to this request, and it had served another before.
    pub(crate) died: bool,
    /// Whether the pool has no use for the connection any more: another request will not get it.
    pub(crate) retired: bool,
    /// Whether the upstream has seen nothing of the request: it is where it was, whole.
    pub(crate) unsent: bool,
}

/// Takes `request`, sends it, and waits for the head of the final response.
pub(crate) async fn send(
    connection: Checkout,
    in_flight: InFlight,
    request: &mut Request<Body>,
) -> Result<Response<Body>, Failure> {
    match connection {
        Checkout::H1 {
            connection,
            back,
            reused,
        } => {
            let sent = h1::send(connection, back, in_flight, request).await;
            sent.map_err(|fault| Failure {
                error: fault.error,
                died: reused && fault.silent,
                retired: false,
                unsent: fault.unsent,
            })
        }
        Checkout::H2 { stream, reused } => {
            let farewell = Arc::clone(stream.farewell());
            // Boxed, as the future of every request, HTTP/1.1's too, would have room for it; made where it stays.
            let sending = Box::write(Box::new_uninit(), h2::send(stream, in_flight, request));
            let sent = Box::into_pin(sending).await;
            sent.map_err(|(error, unsent)| Failure {
                died: reused && !is_reset(&error),
                retired: farewell.said(),
                error,
                unsent,
            })
        }
    }
}

/// Whether only a stream ended: the endpoint has looked at its request, and its connection goes on.
fn is_reset(error: &Error) -> bool {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<::h2::Error>());
    cause.is_some_and(::h2::Error::is_reset)
}

/// What a broken HTTP/2 stream was about.
fn of_h2(error: ::h2::Error) -> Error {
    let refused = error.is_reset() && error.reason() == Some(::h2::Reason::REFUSED_STREAM);
    let kind = if refused && error.is_remote() {
        Kind::StreamRefused
    } else if error.is_library() && error.reason() != Some(::h2::Reason::NO_ERROR) {
        // HTTP/2's rules are checked on this side: where they were broken, we end it.
        Kind::UpstreamProtocol
    } else if error.is_reset() && !error.is_remote() && error.reason() == Some(::h2::Reason::CANCEL) {
        // The upload reset it, because the client's body broke off.
        Kind::ClientClosed
    } else {
        Kind::UpstreamReset
    };
    Error::new(kind).with_source(error)
}
