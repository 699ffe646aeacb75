//! Which headers are read, and which are refused at which byte.

use super::*;

fn both(source: &str, destination: &str) -> Addresses {
    Addresses {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

fn complete(bytes: &[u8]) -> (Header, usize) {
    match parse(bytes) {
        Ok(Parse::Complete(header, length)) => (header, length),
        other => panic!("{bytes:?}: {other:?}"),
    }
}

/// Version 2 with this command, family and content.
fn v2_with(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [V2, [command, family].as_slice(), &length, content].concat()
}

#[test]
fn what_is_written_is_read_at_whatever_byte_it_is_cut() {
    for addresses in [
        Some(both("203.0.113.9:4711", "198.51.100.1:443")),
        Some(both("[2001:db8::9]:65535", "[::1]:0")),
        None,
    ] {
        for header in [encode_v1(addresses), encode_v2(addresses)] {
            for end in 0..header.len() {
                assert_eq!(
                    parse(&header[..end]),
                    Ok(Parse::Incomplete),
                    "{end} of {header:?}"
                );
            }
            let followed = [header.as_slice(), b"\r\nGET / HTTP/1.1"].concat();
            let (read, length) = complete(&followed);
            assert_eq!((read.addresses, length), (addresses, header.len()));
        }
    }
}

#[test]
fn two_families_become_one() {
    let mixed = Some(both("203.0.113.9:1", "[::1]:2"));
    let expected = Some(both("[::ffff:203.0.113.9]:1", "[::1]:2"));
    for header in [encode_v1(mixed), encode_v2(mixed)] {
        assert_eq!(complete(&header).0.addresses, expected);
    }
}

#[test]
fn other_bytes_are_no_header() {
    for bytes in [
        b"G".as_slice(),
        b"PRI * HTTP/2.0",
        b"PROXYX",
        b"\r\n\r\nG",
        b"\x16\x03\x01",
    ] {
        assert_eq!(parse(bytes), Ok(Parse::Absent), "{bytes:?}");
    }
    for bytes in [b"".as_slice(), b"P", b"PR", b"PROXY", b"\r\n\r\n\0"] {
        assert_eq!(parse(bytes), Ok(Parse::Incomplete), "{bytes:?}");
    }
}

#[test]
fn version_1_is_read_strictly() {
    assert_eq!(
        complete(b"PROXY UNKNOWN ffff::1 what ever\r\n").0,
        Header::default()
    );
    for line in [
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r ",
        "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        "PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
    ] {
        assert!(parse(line.as_bytes()).is_err(), "{line:?}");
    }
    let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 93]].concat();
    assert_eq!(parse(&long[..106]), Ok(Parse::Incomplete));
    assert!(parse(&long).is_err());
    let longest = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 91], b"\r\n"].concat();
    assert_eq!(complete(&longest).1, 107);
}

#[test]
fn version_2_is_read_strictly() {
    let block = [1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2];
    for (bytes, why) in [
        (v2_with(0x11, TCP4, &block), "another version"),
        (v2_with(0x22, TCP4, &block), "an unknown command"),
        (v2_with(0x21, 0x12, &block), "a datagram"),
        (v2_with(0x21, 0x41, &block), "an unknown family"),
        (v2_with(0x21, TCP4, &block[..11]), "short for IPv4"),
        (v2_with(0x21, TCP6, &[0; 35]), "short for IPv6"),
        (v2_with(0x21, UNIX_STREAM, &[0; 215]), "short for a unix socket"),
        (v2_with(0x21, TCP4, &[&block[..], &[1]].concat()), "a type alone"),
        (
            v2_with(0x21, TCP4, &[&block[..], &[1, 0, 2, 9]].concat()),
            "a cut value",
        ),
        (
            v2_with(0x21, TCP4, &[&block[..], &[2, 0, 1, 0xff]].concat()),
            "not UTF-8",
        ),
        (v2_with(0x21, TCP4, &[0; 5000]), "too long"),
    ] {
        assert!(parse(&bytes).is_err(), "{why}");
    }
    let too_long = v2_with(0x21, TCP4, &[&block[..], &[5, 0, 129], &[0; 129]].concat());
    assert!(parse(&too_long).is_err());
}

#[test]
fn extensions_are_kept_and_unknown_ones_passed_over() {
    let content = [
        &[1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2][..],
        b"\x01\x00\x02h2",
        b"\x04\x00\x01\x00",
        b"\x02\x00\x09a.example",
        b"\x05\x00\x03\x00id",
    ];
    let (header, _) = complete(&v2_with(0x21, TCP4, &content.concat()));
    assert_eq!(header.alpn.as_deref(), Some(b"h2".as_slice()));
    assert_eq!(header.authority.as_deref(), Some("a.example"));
    assert_eq!(header.unique_id.as_deref(), Some(b"\0id".as_slice()));
    // Of its own connection, a sender's addresses and extensions say nothing.
    assert_eq!(complete(&v2_with(0x20, TCP4, &[1])).0, Header::default());
    assert_eq!(complete(&v2_with(0x21, UNSPECIFIED, &[1])).0, Header::default());
    assert_eq!(
        complete(&v2_with(0x21, UNIX_STREAM, &[0; 216])).0,
        Header::default()
    );
}
