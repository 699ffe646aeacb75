use super::*;

/// The content, and the trailers if there are any; or why not.
type Outcome = Result<(Vec<u8>, Option<HeaderMap>), Error>;

fn decode_in_two(framing: Framing, bytes: &[u8], cut: usize) -> Outcome {
    let mut decoder = Decoder::of(framing).unwrap();
    let (mut buffer, mut rest) = (BytesMut::from(&bytes[..cut]), Some(&bytes[cut..]));
    let mut content = Vec::new();
    loop {
        match decoder.next(&mut buffer)? {
            Decoded::Data(data) => content.extend(data),
            Decoded::Trailers(trailers) => return Ok((content, Some(trailers))),
            Decoded::End => return Ok((content, None)),
            Decoded::More => match rest.take() {
                Some(rest) => buffer.extend_from_slice(rest),
                None => panic!("incomplete: {:?}", String::from_utf8_lossy(bytes)),
            },
        }
    }
}

#[track_caller]
fn decode(framing: Framing, bytes: &str) -> Result<(String, Option<HeaderMap>), ()> {
    let mut outcomes =
        (0..=bytes.len()).map(|cut| decode_in_two(framing, bytes.as_bytes(), cut).map_err(drop));
    let first = outcomes.next().unwrap();
    assert!(
        outcomes.all(|other| other == first),
        "{bytes:?} depends on where it is cut"
    );
    first.map(|(content, trailers)| (String::from_utf8(content).unwrap(), trailers))
}

#[test]
fn a_length_ends_a_body() {
    assert_eq!(
        decode(Framing::Length(5), "hellorest"),
        Ok(("hello".to_owned(), None))
    );
    let mut decoder = Decoder::of(Framing::Length(3)).unwrap();
    let mut buffer = BytesMut::from("onetwo");
    assert!(matches!(decoder.next(&mut buffer), Ok(Decoded::Data(_))));
    assert!(decoder.is_over());
    assert_eq!(buffer, "two");
}

#[test]
fn chunks_are_put_together() {
    for (bytes, expected) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\nrest", "hello"),
        ("2\r\nhe\r\n3\r\nllo\r\n000\r\n\r\n", "hello"),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("A;x\r\n0123456789\r\n0;y=\"z\"\r\n\r\n", "0123456789"),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5; a = b\t\r\nhello\r\n0\r\n\r\n", "hello"),
    ] {
        assert_eq!(
            decode(Framing::Chunked, bytes),
            Ok((expected.to_owned(), None)),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_chunk_has_one_form() {
    for bytes in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5 ;x\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";x\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "0_2e\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\nhello\r\n0\r\n\r\n",
        "5;x\ny\r\nhello\r\n0\r\n\r\n",
        "5;x\ry\r\nhello\r\n0\r\n\r\n",
        "5;x\0y\r\nhello\r\n0\r\n\r\n",
        "0\r\n\n",
        "0\r\nx : 1\r\n\r\n",
        "0\r\nx: 1\n\r\n",
        "0\r\nx: 1\r\n y\r\n\r\n",
    ] {
        assert_eq!(decode(Framing::Chunked, bytes), Err(()), "{bytes:?}");
    }
}

#[test]
fn trailers_follow_the_rules_of_fields() {
    let (_, trailers) = decode(Framing::Chunked, "0\r\nGrpc-Status: 0\r\nx:\r\n\r\n").unwrap();
    let trailers = trailers.unwrap();
    assert_eq!(
        (trailers.len(), trailers["grpc-status"].as_bytes()),
        (2, "0".as_bytes())
    );
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let long = "x".repeat(limits::CHUNK_EXTENSION_BYTES_MAX);
    let many = format!("1;{}\r\ny\r\n", &long[..limits::CHUNK_EXTENSION_BYTES_MAX / 3]).repeat(4);
    let fields = "x: y\r\n".repeat(limits::HEADER_FIELDS_MAX + 1);
    for bytes in [
        format!("5;{long}{long}"),
        format!("5;{long}\r\nhello\r\n0\r\n\r\n"),
        many,
        format!("0\r\nx: {long}"),
        format!("0\r\n{fields}\r\n"),
    ] {
        decode_in_two(Framing::Chunked, bytes.as_bytes(), 0).unwrap_err();
    }
}

#[test]
fn blanks_behind_a_size_are_taken_of_responses_alone() {
    for size in ["3  ", "3\t", "3 ;x=y"] {
        let chunk = format!("{size}\r\nabc\r\n");
        let mut response = Chunked::of_response();
        let found = response.next(&mut BytesMut::from(chunk.as_str()));
        assert!(
            matches!(found, Ok(Decoded::Data(data)) if data == "abc"),
            "{size:?}"
        );
        let mut request = Chunked::default();
        assert!(
            request.next(&mut BytesMut::from(chunk.as_str())).is_err(),
            "{size:?}"
        );
    }
}
