use std::task::Waker;

use super::*;

const LITTLE: usize = limits::HEAD_READ_BYTES;
const MAX: usize = 8 * LITTLE;

#[test]
fn the_next_read_asks_for_as_much_as_the_last_ones_have_brought() {
    let check = |reads: &[usize], expected: usize| {
        let mut appetite = Appetite::default();
        for read in reads {
            appetite.saw((*read).min(appetite.bytes()), MAX);
        }
        assert_eq!(appetite.bytes(), expected, "{reads:?}");
    };
    check(&[], LITTLE);
    check(&[LITTLE - 1; 9], LITTLE);
    check(&[LITTLE], 2 * LITTLE);
    check(&[usize::MAX; 2], 4 * LITTLE);
    check(&[usize::MAX; 3], MAX);
    check(&[usize::MAX; 9], MAX);
    // What fills more than half stays as it is.
    check(
        &[LITTLE, LITTLE + 1, LITTLE + 1, LITTLE + 1, LITTLE + 1],
        2 * LITTLE,
    );
    check(&[LITTLE, 1, 1, 1], 2 * LITTLE);
    check(&[LITTLE, 1, 1, 1, 1], LITTLE);
    check(&[LITTLE, 1, 1, 1, LITTLE + 1, 1], 2 * LITTLE);
    check(&[usize::MAX, usize::MAX, usize::MAX, 1, 1, 1, 1], 4 * LITTLE);
    check(&[LITTLE, 1, 1, 1, 1, 1, 1, 1, 1], LITTLE);
}

#[test]
fn only_the_beginning_of_a_message_says_how_much_comes_of_the_next() {
    let (mut appetite, mut buffer) = (Appetite::default(), BytesMut::new());
    let mut cx = Context::from_waker(Waker::noop());
    let mut source = &vec![b'x'; 4 * MAX][..];
    let mut read = |buffer: &mut BytesMut| match appetite.poll_fill(&mut cx, &mut source, buffer, MAX) {
        Poll::Ready(read) => read.expect("bytes"),
        Poll::Pending => unreachable!("there are bytes"),
    };
    assert_eq!(read(&mut buffer), LITTLE);
    // More of the same head.
    assert_eq!(read(&mut buffer), LITTLE);
    for expected in [2 * LITTLE, 4 * LITTLE, MAX, MAX] {
        buffer.clear();
        assert_eq!(read(&mut buffer), expected);
    }
}

#[test]
fn a_byte_more_than_what_is_left_is_asked_for_within_the_bound() {
    let check = |left, expected| assert_eq!(room(left, MAX), expected, "{left:?}");
    check(Some(1), 2);
    check(Some(MAX as u64 - 1), MAX);
    check(Some(MAX as u64), MAX);
    check(Some(u64::MAX), MAX);
    check(None, MAX);
}

/// Reads once of what there is.
fn fill(source: &[u8], buffer: &mut BytesMut, room: usize) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut source = source;
    match poll_fill(&mut cx, &mut source, buffer, room) {
        Poll::Ready(read) => read.expect("bytes"),
        Poll::Pending => unreachable!("there are bytes"),
    }
}

#[test]
fn much_stays_where_it_was_read_and_little_is_kept_in_little() {
    let check = |bytes: usize, room: usize, capacity_max: usize| {
        let mut buffer = BytesMut::new();
        assert_eq!(fill(&vec![b'x'; bytes], &mut buffer, room), bytes);
        assert_eq!(buffer.len(), bytes);
        assert!(
            buffer.capacity() <= capacity_max,
            "{bytes} of {room}: {}",
            buffer.capacity()
        );
    };
    check(MAX, MAX, MAX);
    check(MAX / 2, MAX, MAX);
    check(MAX / 4 - 1, MAX, MAX / 4 - 1);
    check(100, MAX, 100);
    check(100, LITTLE, 100);
}

#[test]
fn what_is_there_already_stays_in_front() {
    let mut buffer = BytesMut::from(&b"one "[..]);
    assert_eq!(fill(b"two", &mut buffer, MAX), 3);
    assert_eq!(buffer, "one two");
}

#[tokio::test]
async fn nothing_is_held_while_nothing_comes() {
    let (_writer, mut reader) = tokio::io::duplex(64);
    let mut cx = Context::from_waker(Waker::noop());
    for room in [LITTLE, MAX] {
        let mut buffer = BytesMut::with_capacity(MAX);
        assert!(poll_fill(&mut cx, &mut reader, &mut buffer, room).is_pending());
        assert_eq!(buffer.capacity(), 0);
    }
}
