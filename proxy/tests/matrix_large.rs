//! Does memory stay flat while a gibibyte passes, whatever the client and the upstream speak?

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::fs;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::HOST;
use support::pair::Pair;
use tidegate_testkit::body::{Body, boxed, fed};
use tidegate_testkit::client::post_request;
use tidegate_testkit::wait::soon;

const PIECE: &[u8] = &[b'x'; 1 << 20];
const PIECES: usize = 1 << 10;
/// What all that flows both ways may have in memory at once: client, proxy, upstream and allocator together.
const GROWTH_BYTES_MAX: u64 = 96 << 20;

/// The most memory that this process has had since [`forget_peak`].
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.unwrap().trim().trim_end_matches("kB").trim();
    kibibytes.parse::<u64>().unwrap() << 10
}

/// The peak is what is in use from now on (proc_pid_clear_refs(5)).
fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

async fn echo(request: Request<Incoming>) -> Response<Body> {
    Response::new(boxed(request.into_body()))
}

/// Sends a gibibyte, and takes it back at the same time.
async fn a_gibibyte_through(pair: Pair) {
    let between = pair.start(echo).await;
    let mut client = between.client().await;
    let (feed, body) = fed();
    let feeding = async {
        for _ in 0..PIECES {
            assert!(feed.data(Bytes::from_static(PIECE)).await, "{pair:?}");
        }
        drop(feed);
    };
    let taking = async {
        let mut body = client
            .send(post_request(HOST, "/", body))
            .await
            .unwrap()
            .into_body();
        let mut taken = 0;
        while let Some(frame) = soon("more of it", body.frame()).await {
            taken += frame.unwrap().into_data().map_or(0, |data| data.len());
        }
        taken
    };
    let (taken, ()) = tokio::join!(taking, feeding);
    assert_eq!(taken, PIECE.len() * PIECES, "{pair:?}");
}

/// One test for all, one after the other: each looks at the memory of the whole process.
#[tokio::test]
async fn memory_is_flat_while_a_gibibyte_passes_both_ways() {
    for pair in Pair::all() {
        forget_peak();
        let before = peak_bytes();
        a_gibibyte_through(pair).await;
        let grown = peak_bytes().saturating_sub(before);
        assert!(grown <= GROWTH_BYTES_MAX, "{pair:?}: {} MiB more", grown >> 20);
    }
}
