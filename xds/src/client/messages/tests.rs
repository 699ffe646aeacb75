//! Messages come whole, whatever the pieces, and an end within one is none.

use std::collections::VecDeque;
use std::convert::Infallible;

use super::*;

/// A body of these pieces and trailers.
struct Pieces(VecDeque<Frame<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

fn messages(bytes: &[u8], piece: usize, trailers: Option<&'static str>) -> Messages {
    let pieces = bytes.chunks(piece).map(Bytes::copy_from_slice);
    let mut frames: VecDeque<_> = pieces.map(Frame::data).collect();
    frames.extend(trailers.map(|code| {
        let code = (
            http::HeaderName::from_static("grpc-status"),
            code.parse().unwrap(),
        );
        Frame::trailers(HeaderMap::from_iter([code]))
    }));
    Messages::new(Pieces(frames), Some(StatusCode::OK), 8)
}

#[tokio::test]
async fn messages_come_whole_whatever_the_pieces() {
    let sent = [&b"one"[..], b"", b"three", b"12345678"];
    let bytes: Vec<u8> = sent
        .iter()
        .flat_map(|message| framed(&Bytes::from_static(message)))
        .collect();
    for piece in 1..=bytes.len() {
        let mut messages = messages(&bytes, piece, Some("0"));
        for expected in sent {
            assert_eq!(messages.next().await.unwrap().unwrap(), expected, "{piece}");
        }
        assert!(messages.next().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_end_is_what_the_server_says_and_never_within_a_message() {
    let check = async |bytes: &[u8], trailers, expected: Code| {
        let error = messages(bytes, 100, trailers).next().await.unwrap_err();
        assert_eq!(error.code(), expected, "{bytes:?} {trailers:?}: {error}");
    };
    check(b"", Some("14"), Code::Unavailable).await;
    check(b"", None, Code::Unknown).await;
    check(&[0, 0, 0], Some("0"), Code::Internal).await;
    check(&[0, 0, 0, 0, 4, 1, 2, 3], None, Code::Internal).await;
    check(&[0, 0, 0, 0, 9], Some("0"), Code::OutOfRange).await;
    check(&[1, 0, 0, 0, 0], Some("0"), Code::Internal).await;
}
