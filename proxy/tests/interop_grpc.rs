//! Does gRPC pass as it does without a proxy, between a client and a server that others wrote (PyPI's `grpcio`)?

mod support;

use support::interop::{self, By};
use tidegate_proxy::cluster::Protocol;

async fn check(case: &str, expected: &str) {
    interop::check("grpc_peer.py", By::Tcp, Protocol::Http2, case, expected).await;
}

#[tokio::test]
async fn a_unary_call_with_metadata_of_text_and_bytes() {
    let metadata = "x-bytes-bin=0001feff x-text=a b x-twice=1 x-twice=2";
    let expected = format!("OK re: hello; server saw {metadata}; initial {metadata}; trailing {metadata}");
    check("unary", &expected).await;
}

#[tokio::test]
async fn a_stream_of_requests() {
    check("client_streaming", "one,,three").await;
}

#[tokio::test]
async fn a_stream_of_responses() {
    check("server_streaming", "0 1 2 3 4").await;
}

#[tokio::test]
async fn both_sides_take_turns() {
    check("bidi_streaming", "0 1 2 3 4").await;
}

#[tokio::test]
async fn a_cancelled_call_is_over_at_the_server() {
    check("cancel", "first, then CANCELLED; server saw over").await;
}

#[tokio::test]
async fn a_deadline_reaches_the_server_and_passes() {
    let expected = "DEADLINE_EXCEEDED; server saw deadline, then over";
    check("deadline", expected).await;
}

#[tokio::test]
async fn messages_of_a_mebibyte() {
    let four = ["1048576 bytes 34bc6ad8"; 4].join(" ");
    check("large", &format!("1048580 bytes 06f3d2b7, {four}")).await;
}

#[tokio::test]
async fn an_error_without_a_message_is_trailers_only() {
    let trailing = "x-bytes-bin=0001feff x-text=a b x-twice=1 x-twice=2";
    let expected = format!("FAILED_PRECONDITION '100 % größer\\nals erlaubt'; trailing {trailing}");
    check("trailers_only", &expected).await;
}

#[tokio::test]
async fn a_method_that_nobody_has() {
    check("unknown_method", "UNIMPLEMENTED").await;
}

#[tokio::test]
async fn an_error_after_a_message() {
    check("error_in_a_stream", "first, then DATA_LOSS gone").await;
}

#[tokio::test]
async fn compressed_messages() {
    check("compressed", "1048580 bytes 4c2989e3").await;
}

#[tokio::test]
async fn two_hundred_calls_at_once_on_one_connection() {
    check("many_at_once", "200 of 200").await;
}

#[tokio::test]
async fn calls_and_streams_over_tls() {
    for (case, expected) in [
        ("client_streaming", "one,,three"),
        ("bidi_streaming", "0 1 2 3 4"),
        ("cancel", "first, then CANCELLED; server saw over"),
        ("error_in_a_stream", "first, then DATA_LOSS gone"),
    ] {
        interop::check("grpc_peer.py", By::Tls, Protocol::Http2, case, expected).await;
    }
}
