use std::task::Waker;

use super::*;

/// Takes all that is written, and sends it when it is flushed for the second time, as TLS does over a full socket.
#[derive(Default)]
struct Reluctant {
    taken: Vec<u8>,
    flushes: usize,
}

impl AsyncWrite for Reluctant {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.taken.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        match self.flushes {
            1 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_a_socket_holds_back_is_flushed_before_it_counts_as_sent() {
    let (mut out, mut socket) = (Outgoing::default(), Reluctant::default());
    out.head.extend_from_slice(b"head");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(out.poll_write(&mut cx, &mut socket).is_pending());
    assert!(!out.is_empty(), "it is written, and not sent");
    assert!(out.poll_write(&mut cx, &mut socket).is_ready());
    assert!(out.is_empty());
    assert_eq!((socket.taken.as_slice(), socket.flushes), (&b"head"[..], 2));
}

/// Takes so many bytes of each write, and says what was asked of it: how many slices, with how many bytes.
struct Taking {
    bytes_max: usize,
    taken: Vec<u8>,
    writes: Vec<(usize, usize)>,
}

impl Taking {
    fn at_most(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            taken: Vec::new(),
            writes: Vec::new(),
        }
    }
}

impl AsyncWrite for Taking {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let before = self.taken.len();
        for slice in slices {
            let left = self.bytes_max - (self.taken.len() - before);
            let taken = &slice[..slice.len().min(left)];
            self.taken.extend_from_slice(taken);
        }
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        self.writes.push((slices.len(), bytes));
        Poll::Ready(Ok(self.taken.len() - before))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const SMALL: usize = limits::WRITE_COPY_BYTES_MAX;
const LARGE: usize = SMALL + 1;

fn data(bytes: usize) -> Frame<Bytes> {
    Frame::data(Bytes::from(vec![b'x'; bytes]))
}

/// A head and a chunked body of these pieces, as it is to be written.
fn chunked(pieces: &[usize]) -> (Outgoing, Vec<u8>) {
    let (mut out, mut framing, mut plain) = (Outgoing::default(), Framing::Chunked, b"head".to_vec());
    out.head.extend_from_slice(b"head");
    for piece in pieces {
        out.frame(&mut framing, data(*piece)).unwrap();
        plain.extend_from_slice(format!("{piece:x}\r\n").as_bytes());
        plain.extend_from_slice(&vec![b'x'; *piece]);
        plain.extend_from_slice(b"\r\n");
    }
    out.end(&mut framing).unwrap();
    plain.extend_from_slice(b"0\r\n\r\n");
    (out, plain)
}

#[test]
fn what_is_written_at_once_stays_in_order_wherever_the_socket_stops() {
    let check = |pieces: &[usize], bytes_max: usize| {
        let (mut out, plain) = chunked(pieces);
        let mut socket = Taking::at_most(bytes_max);
        assert_eq!(out.len(), plain.len());
        let written = out.poll_write(&mut Context::from_waker(Waker::noop()), &mut socket);
        assert!(written.is_ready() && out.is_empty());
        assert!(socket.taken == plain, "{pieces:?} by {bytes_max}");
    };
    for pieces in [
        &[][..],
        &[5],
        &[LARGE],
        &[5, LARGE, 5],
        &[LARGE, LARGE, 5, 5, LARGE],
        &[SMALL, LARGE, LARGE],
    ] {
        for bytes_max in [1, 3, 7, LARGE, usize::MAX] {
            check(pieces, bytes_max);
        }
    }
}

#[test]
fn as_much_as_there_is_goes_out_in_one_write_and_nothing_empty_with_it() {
    let check = |framing: Framing, head: &[u8], pieces: &[usize], slices: usize| {
        let (mut out, mut framing) = (Outgoing::default(), framing);
        out.head.extend_from_slice(head);
        for piece in pieces {
            out.frame(&mut framing, data(*piece)).unwrap();
        }
        let (mut socket, bytes) = (Taking::at_most(usize::MAX), out.len());
        let written = out.poll_write(&mut Context::from_waker(Waker::noop()), &mut socket);
        assert!(written.is_ready());
        assert_eq!(socket.writes, [(slices, bytes)], "{pieces:?}");
    };
    check(Framing::Close, b"head", &[], 1);
    check(Framing::Close, b"", &[LARGE], 1);
    check(Framing::Close, b"head", &[5, 5], 1);
    check(Framing::Close, b"head", &[LARGE], 2);
    check(Framing::Close, b"head", &[LARGE, LARGE], 3);
    check(Framing::Close, b"head", &[5, LARGE, LARGE, 5], 4);
    check(Framing::Chunked, b"head", &[LARGE, LARGE], 5);
}

#[test]
fn there_is_room_up_to_a_bound_of_bytes_and_of_pieces() {
    let check = |piece: usize, expected: usize| {
        let (mut out, mut framing, mut count) = (Outgoing::default(), Framing::Close, 0);
        while out.has_room() {
            out.frame(&mut framing, data(piece)).unwrap();
            count += 1;
        }
        assert_eq!(count, expected, "pieces of {piece} bytes");
    };
    check(SMALL, limits::WRITE_BATCH_BYTES / SMALL);
    check(LARGE, limits::WRITE_PIECES_MAX);
    check(limits::WRITE_GATHER_BYTES / 2, 2);
    check(limits::WRITE_GATHER_BYTES, 1);
}

#[test]
fn for_who_does_not_keep_up_no_more_than_a_piece_is_collected() {
    let (mut reader_full, mut framing) = (Outgoing::default(), Framing::Close);
    let (_reader, mut socket) = tokio::io::duplex(1);
    reader_full.frame(&mut framing, data(LARGE)).unwrap();
    assert!(reader_full.has_room());
    let written = reader_full.poll_write(&mut Context::from_waker(Waker::noop()), &mut socket);
    assert!(written.is_pending() && !reader_full.has_room());
}
