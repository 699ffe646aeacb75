//! Does every exchange work alike, whatever the client and the upstream speak?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::HOST;
use support::pair::Pair;
use tidegate_testkit::body::{Body, Feed, boxed, fed, full};
use tidegate_testkit::client::{Answer, get_request, post_request};
use tidegate_testkit::wait::{eventually, soon};
use tokio::sync::mpsc;

const PIECE_BYTES: usize = 64 * 1024;
const PIECES: usize = 16;

/// The request's body as the response's, trailers included.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let announced = request.headers().get("trailer").cloned();
    let mut response = Response::new(boxed(request.into_body()));
    if let Some(announced) = announced {
        response.headers_mut().insert("trailer", announced);
    }
    response
}

/// The bytes of one piece of a long body: each different from its neighbours.
fn piece(number: usize) -> Vec<u8> {
    let bytes = (0..PIECE_BYTES).map(|at| u8::try_from((at + number) % 251).unwrap());
    bytes.collect()
}

#[tokio::test]
async fn an_empty_exchange() {
    for pair in Pair::all() {
        let between = pair.start(echo).await;
        let answer = between.client().await.get(HOST, "/").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (200, ""),
            "{pair:?}"
        );
    }
}

#[tokio::test]
async fn a_byte_each_way() {
    for pair in Pair::all() {
        let between = pair.start(echo).await;
        let answer = between
            .client()
            .await
            .call(post_request(HOST, "/", full("x")))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (200, "x"),
            "{pair:?}"
        );
    }
}

#[tokio::test]
async fn a_mebibyte_each_way_piece_by_piece() {
    for pair in Pair::all() {
        let between = pair.start(echo).await;
        let mut client = between.client().await;
        let (feed, body) = fed();
        let feeding = async {
            for number in 0..PIECES {
                assert!(feed.data(piece(number)).await, "{pair:?}");
            }
            drop(feed);
        };
        let (answer, ()) = tokio::join!(client.call(post_request(HOST, "/", body)), feeding);
        let sent: Vec<u8> = (0..PIECES).flat_map(piece).collect();
        assert!(
            answer.body == sent,
            "{pair:?}: {} bytes came back",
            answer.body.len()
        );
    }
}

#[tokio::test]
async fn trailers_each_way() {
    let trailers = HeaderMap::from_iter([("x-end".parse().unwrap(), HeaderValue::from_static("yes"))]);
    for pair in Pair::all() {
        let between = pair.start(echo).await;
        let mut client = between.client().await;
        let (feed, body) = fed();
        let mut request = post_request(HOST, "/", body);
        // HTTP/1.1 sends the trailers that were announced, to those who want some (RFC 9110 §6.5.1).
        for (name, value) in [("te", "trailers"), ("trailer", "x-end")] {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        let feeding = async {
            assert!(feed.data("body").await, "{pair:?}");
            assert!(feed.trailers(trailers.clone()).await, "{pair:?}");
        };
        let (answer, ()) = tokio::join!(client.call(request), feeding);
        assert_eq!(
            (answer.text().as_str(), answer.trailers.as_ref()),
            ("body", Some(&trailers)),
            "{pair:?}"
        );
    }
}

#[tokio::test]
async fn a_response_overtakes_its_request() {
    for pair in Pair::all() {
        let between = pair.start(echo).await;
        let mut client = between.client().await;
        let (feed, body) = fed();
        let (response, _) = tokio::join!(client.send(post_request(HOST, "/", body)), feed.data("first"));
        let mut response = response.unwrap().into_body();
        for word in ["second", "third"] {
            let frame = soon("what was sent before", response.frame()).await;
            assert!(frame.unwrap().unwrap().is_data(), "{pair:?}");
            // The request goes on only now that its response has begun.
            assert!(feed.data(word).await, "{pair:?}");
        }
        drop(feed);
        let rest = soon("the end", response.collect()).await.unwrap().to_bytes();
        assert_eq!(rest, "third", "{pair:?}");
    }
}

/// An upstream that hands out what it reads and what it writes.
type Ends = (Incoming, Feed);

fn hand_out(ends: mpsc::Sender<Ends>) -> impl Fn(Request<Incoming>) -> HandedOut + Send + Sync + 'static {
    move |request| {
        let ends = ends.clone();
        Box::pin(async move {
            let (feed, body) = fed();
            ends.send((request.into_body(), feed)).await.unwrap();
            Response::new(body)
        })
    }
}

type HandedOut = std::pin::Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

#[tokio::test]
async fn a_client_that_leaves_takes_both_directions_with_it() {
    for pair in Pair::all() {
        let (ends, mut started) = mpsc::channel(1);
        let between = pair.start(hand_out(ends)).await;
        let mut client = between.client().await;
        let (feed, body) = fed();
        let (response, _) = tokio::join!(client.send(post_request(HOST, "/", body)), feed.data("begun"));
        let (mut request, answer) = started.recv().await.unwrap();
        let first = soon("the first bytes", request.frame()).await;
        assert!(first.unwrap().unwrap().is_data(), "{pair:?}");
        drop((response.unwrap(), feed.abort().await, client));
        let end = soon("the end of the request", request.frame()).await;
        assert!(
            end.is_none_or(|frame| frame.is_err()),
            "{pair:?}: the request must not look complete"
        );
        // A server may notice only when it writes.
        let writing = async { while answer.data("more").await {} };
        soon("nobody to read the response", writing).await;
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_leaves_no_response_that_looks_complete() {
    for pair in Pair::all() {
        let (ends, mut started) = mpsc::channel(1);
        let between = pair.start(hand_out(ends)).await;
        let mut client = between.client().await;
        let response = client.send(get_request(HOST, "/")).await.unwrap();
        let (_request, answer) = started.recv().await.unwrap();
        let mut body = response.into_body();
        let (first, _) = tokio::join!(soon("the first bytes", body.frame()), answer.data("half"));
        assert!(first.unwrap().unwrap().is_data(), "{pair:?}");
        answer.abort().await;
        assert!(
            soon("the break", body.frame()).await.unwrap().is_err(),
            "{pair:?}"
        );
        let failed = || between.front.books.totals().failures();
        eventually("a failure on the books", async || failed() == 1).await;
    }
}

#[tokio::test]
async fn connections_serve_again_after_all_of_it() {
    for pair in Pair::all() {
        let between = pair.start(echo).await;
        let mut client = between.client().await;
        for number in 0..10 {
            let word = number.to_string();
            client.ready().await.unwrap();
            let response = client
                .send(post_request(HOST, "/", full(word.clone())))
                .await
                .unwrap();
            assert_eq!(Answer::read(response).await.unwrap().text(), word, "{pair:?}");
        }
        assert_eq!(between.upstream.seen().len(), 10, "{pair:?}");
    }
}
