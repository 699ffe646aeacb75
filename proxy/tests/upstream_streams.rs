//! Do early hints, trailers and early responses come through, whichever protocol is spoken on either side?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::future::poll_fn;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame as BodyFrame, Incoming};
use support::{Front, HOST};
use tidegate_testkit::body::{boxed, fed, full};
use tidegate_testkit::client::{Answer, Client, post_request};
use tidegate_testkit::frames::{Frame, Frames, PREFACE, hpack, kind};
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::soon;
use tidegate_testkit::wire::Wire;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

async fn hinting_h1() -> RawUpstream {
    RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: x\r\nx: y\r\n\r\n";
        connection.wire.send(hint).await;
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        connection.wire.send(answer).await;
        connection.wire.rest().await;
    })
    .await
}

async fn hinting_h2() -> RawUpstream {
    RawUpstream::start(async |connection: RawConnection| {
        let mut stream = connection.wire.into_stream();
        stream.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        let mut frames = Frames::over(stream);
        frames.send(Frame::settings(&[])).await;
        let head = |frame: &Frame| frame.kind == kind::HEADERS;
        let stream = frames.find("a request", head).await.stream;
        let hint = hpack::block([(":status", "103"), ("link", "</a.css>")]);
        frames.send(Frame::head(stream, hint)).await;
        let answer = hpack::block([(":status", "200")]);
        frames.send(Frame::request(stream, answer)).await;
        frames.ending().await;
    })
    .await
}

/// A proxy before a hinting upstream of either protocol.
async fn hinting() -> [(Front, RawUpstream); 2] {
    let (h1, h2) = (hinting_h1().await, hinting_h2().await);
    [(Front::to(h1.address()), h1), (Front::to_http2(h2.address()), h2)]
}

#[tokio::test]
async fn early_hints_reach_http1_clients() {
    for (front, _upstream) in hinting().await {
        let mut wire = Wire::connect(front.address).await;
        wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let hint = wire.head().await;
        assert_eq!(hint.status(), 103);
        assert_eq!(hint.header("link").as_deref(), Some("</a.css>"));
        assert_eq!(hint.header("x"), None, "it was hop-by-hop");
        assert_eq!(wire.head().await.status(), 200);
    }
}

#[tokio::test]
async fn early_hints_reach_http2_clients() {
    for (front, _upstream) in hinting().await {
        let stream = TcpStream::connect(front.address).await.unwrap();
        let (sender, connection) = h2::client::handshake::<_>(stream).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(async { connection.await.unwrap_or_default() });
        let mut sender = soon("the settings", sender.ready()).await.unwrap();
        let request = Request::get("http://a/").body(()).unwrap();
        let (mut response, _) = sender.send_request(request, true).unwrap();
        let hint = soon("the hint", poll_fn(|cx| response.poll_informational(cx))).await;
        let hint = hint.unwrap().unwrap();
        assert_eq!(
            (hint.status().as_u16(), &hint.headers()["link"]),
            (103, &HeaderValue::from_static("</a.css>"))
        );
        assert_eq!(soon("the answer", response).await.unwrap().status(), 200);
        drop::<h2::client::SendRequest<Bytes>>(sender);
    }
}

/// Clients and upstreams of either protocol, in all four combinations; whether the client speaks HTTP/2.
async fn combinations(upstream: &Upstream) -> Vec<(Client, bool, Front)> {
    let mut all = Vec::new();
    for to_http2 in [false, true] {
        for http2 in [false, true] {
            let front = if to_http2 {
                Front::to_http2(upstream.address())
            } else {
                Front::to(upstream.address())
            };
            let client = if http2 {
                Client::http2(front.address).await
            } else {
                Client::http1(front.address).await
            };
            all.push((client, http2, front));
        }
    }
    all
}

fn trailers() -> HeaderMap {
    let field = |name: &'static str, value| (name.parse().unwrap(), HeaderValue::from_static(value));
    HeaderMap::from_iter([field("x-end", "yes"), field("content-length", "1")])
}

#[tokio::test]
async fn trailers_pass_both_ways_and_what_frames_does_not() {
    let upstream = Upstream::start(async |request: Request<Incoming>| {
        let collected = request.into_body().collect().await.unwrap();
        let got = collected.trailers().unwrap().clone();
        assert!(got.contains_key("x-end") && !got.contains_key("content-length"));
        let data = BodyFrame::data(Bytes::from_static(b"bye"));
        let frames = [data, BodyFrame::trailers(trailers())].map(Ok::<_, std::convert::Infallible>);
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let mut response = Response::new(boxed(body));
        let announced = HeaderValue::from_static("x-end");
        response.headers_mut().insert("trailer", announced);
        response
    })
    .await;
    for (mut client, http2, _front) in combinations(&upstream).await {
        let (feed, body) = fed();
        let mut request = post_request(HOST, "/", body);
        let mut add = |name, value| {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static(value))
        };
        add("trailer", "x-end");
        add("te", "trailers");
        if !http2 {
            add("connection", "te");
        }
        let sending = async {
            feed.data("hello").await;
            feed.trailers(trailers()).await
        };
        let (response, _) = tokio::join!(client.send(request), sending);
        let answer = Answer::read(response.unwrap()).await.unwrap();
        let got = answer
            .trailers
            .unwrap_or_else(|| panic!("no trailers: {:?} {:?}", answer.version, answer.headers));
        assert_eq!(got.get("x-end").unwrap(), "yes");
        assert!(!got.contains_key("content-length"));
    }
}

#[tokio::test]
async fn a_response_comes_before_its_request_has_ended_and_both_go_on() {
    let upstream = Upstream::echo().await;
    for (mut client, _, _front) in combinations(&upstream).await {
        let (feed, body) = fed();
        let response = client.send(post_request(HOST, "/", body));
        let (response, _) = tokio::join!(response, feed.data("0"));
        let mut echoed = response.unwrap().into_body();
        for piece in ["0", "1", "2"] {
            let frame = soon("a piece", echoed.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
            assert!(feed.data((piece.parse::<u8>().unwrap() + 1).to_string()).await);
        }
        drop(feed);
        assert_eq!(soon("the rest", echoed.collect()).await.unwrap().to_bytes(), "3");
    }
}

#[tokio::test]
async fn an_answer_that_ignores_the_rest_of_a_large_request_arrives() {
    let upstream = Upstream::start(async |_| Response::new(full("enough"))).await;
    for (mut client, _, _front) in combinations(&upstream).await {
        let (feed, body) = fed();
        let response = client.send(post_request(HOST, "/", body));
        let (response, _) = tokio::join!(response, feed.data("much"));
        assert_eq!(Answer::read(response.unwrap()).await.unwrap().text(), "enough");
    }
}
