//! Is a PROXY header read the same at whatever byte it is cut, and what is written read again?
//!
//! Input: the first bytes of a connection.

use tidegate_proxy::proxy_protocol::{Parse, encode_v1, encode_v2, parse};

/// Runs one input.
///
/// # Panics
/// When a part of the input says something else than the whole, or a header that was written is read as another.
pub fn run(data: &[u8]) {
    let whole = parse(data);
    for end in 0..data.len().min(PARTS_MAX) {
        let part = parse(data.get(..end).unwrap_or_default());
        match (&part, &whole) {
            // More bytes may decide what was open, and nothing else.
            (Ok(Parse::Incomplete), _) => {}
            _ => assert_eq!(part, whole, "{end} bytes of {data:?}"),
        }
    }
    let Ok(Parse::Complete(header, length)) = whole else {
        return;
    };
    assert!(length <= data.len(), "{length} of {} bytes", data.len());
    for written in [encode_v1(header.addresses), encode_v2(header.addresses)] {
        match parse(&written) {
            Ok(Parse::Complete(again, length)) => {
                assert_eq!((again.addresses, length), (header.addresses, written.len()));
            }
            other => panic!("{written:?} is read as {other:?}"),
        }
    }
}

/// Beyond it there are only extensions.
const PARTS_MAX: usize = 300;
