//! Does a wire read exactly what was sent?

use tokio::net::TcpListener;

use super::*;

async fn pair() -> (Wire, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (near, far) = tokio::join!(Wire::connect(address), listener.accept());
    (near, Wire::new(far.expect("a connection").0))
}

async fn check(sent: &str, body: &str, trailers: &[&str], left: &str) {
    let (mut near, mut far) = pair().await;
    far.send(sent).await;
    drop(far);
    let message = near.message().await;
    assert_eq!(message.text(), body, "body of {sent:?}");
    assert_eq!(message.trailers, trailers, "trailers of {sent:?}");
    assert_eq!(near.rest().await, left.as_bytes(), "left of {sent:?}");
}

#[tokio::test]
async fn a_body_is_framed_as_its_head_says() {
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP",
        "hi",
        &[],
        "HTTP",
    )
    .await;
    check("HTTP/1.1 200 OK\r\n\r\nto the end", "to the end", &[], "").await;
    check("HTTP/1.1 204 No Content\r\n\r\nnext", "", &[], "next").await;
    check("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET", "", &[], "GET").await;
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n1;x\r\n!\r\n0\r\na: b\r\n\r\n.";
    check(chunked, "hi!", &["a: b"], ".").await;
}

#[tokio::test]
async fn headers_are_found_whatever_their_case() {
    let head = Head::new(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie:b=2\r\n\r\n".to_vec());
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers("SET-COOKIE"), ["a=1", "b=2"]);
    assert_eq!(head.header("cookie"), None);
}

#[tokio::test]
async fn an_end_and_a_reset_are_told_apart() {
    let (mut near, far) = pair().await;
    drop(far);
    near.ends().await;
    let (mut near, far) = pair().await;
    far.reset();
    near.reset_by_peer().await;
}

#[tokio::test]
#[should_panic(expected = "expected silence")]
async fn silence_is_broken_by_one_byte() {
    let (mut near, mut far) = pair().await;
    far.send("x").await;
    near.stays_silent(crate::wait::DEADLINE).await;
}

#[tokio::test]
async fn the_other_direction_survives_a_half_close() {
    let (mut near, mut far) = pair().await;
    near.half_close().await;
    far.ends().await;
    far.send("still here").await;
    assert_eq!(near.bytes(10).await, b"still here");
}
