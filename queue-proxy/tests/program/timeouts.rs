//! What does a client see of a request that takes too long?

use http::Version;
use tidegate_testkit::client::{Client, get, get_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::soon;
use tidegate_testkit::websocket::WebSocket;
use tidegate_testkit::wire::Wire;

use crate::rig::{HOST, Sidecar, fed_app, told};

const REQUEST: (&str, &str) = ("REVISION_TIMEOUT_SECONDS", "1");
const START: (&str, &str) = ("REVISION_RESPONSE_START_TIMEOUT_SECONDS", "1");
const IDLE: (&str, &str) = ("REVISION_IDLE_TIMEOUT_SECONDS", "1");

#[tokio::test]
async fn qp_51_a_response_that_does_not_start_is_a_504_with_a_text_and_nothing_else() {
    let app = Upstream::held(&Gate::closed()).await;
    for variable in [REQUEST, START, IDLE] {
        let sidecar = Sidecar::start(app.address(), &[variable]).await;
        let answer = get(sidecar.main, HOST, "/").await;
        assert_eq!(
            told(&answer),
            (504, "request timeout".to_owned(), false),
            "{variable:?}"
        );
        assert_eq!(answer.header("content-length"), Some("15"));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[tokio::test]
async fn qp_51_one_that_waits_for_its_turn_is_a_504_too() {
    let app = Upstream::held(&Gate::closed()).await;
    let sidecar = Sidecar::start(app.address(), &[REQUEST, ("CONTAINER_CONCURRENCY", "1")]).await;
    let (first, second) = tokio::join!(get(sidecar.main, HOST, "/"), get(sidecar.main, HOST, "/"));
    let expected = (504, "request timeout".to_owned(), false);
    assert_eq!([told(&first), told(&second)], [expected.clone(), expected]);
}

/// The text of a response that says `foo` and then nothing, over a connection of `client`.
async fn silent_after_foo(variable: (&str, &str), version: Version) -> (u16, String) {
    let (feed, app) = fed_app().await;
    let sidecar = Sidecar::start(app.address(), &[variable]).await;
    let mut client = match version {
        Version::HTTP_2 => Client::http2(sidecar.main).await,
        _ => Client::http1(sidecar.main).await,
    };
    let (answer, _) = tokio::join!(client.call(get_request(HOST, "/")), feed.data("foo"));
    feed.dropped().await;
    (answer.status.as_u16(), answer.text())
}

#[tokio::test]
async fn qp_53_qp_55_qp_57_a_response_that_has_started_ends_in_order_with_the_text() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for variable in [IDLE, REQUEST] {
            let (status, text) = silent_after_foo(variable, version).await;
            assert_eq!(
                (status, text.as_str()),
                (200, "foorequest timeout"),
                "{variable:?} {version:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_response_whose_length_was_told_is_cut() {
    let app = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection
            .wire
            .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfoo")
            .await;
        connection.wire.ends().await;
    })
    .await;
    let sidecar = Sidecar::start(app.address(), &[REQUEST]).await;
    let mut wire = Wire::connect(sidecar.main).await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(wire.head().await.status(), 200);
    assert_eq!(wire.rest().await, b"foo");
}

#[tokio::test]
async fn qp_50_qp_52_qp_54_a_response_in_time_is_untouched_and_may_take_its_time() {
    let (feed, app) = fed_app().await;
    let sidecar = Sidecar::start(app.address(), &[START]).await;
    let later = async {
        feed.data("response started ").await;
        // Longer than the response may take to start.
        tokio::time::timeout(std::time::Duration::from_millis(1500), feed.dropped())
            .await
            .expect_err("nobody lets go of it");
        feed.data("and finished").await;
        drop(feed);
    };
    let (answer, ()) = tokio::join!(get(sidecar.main, HOST, "/"), later);
    assert_eq!(answer.text(), "response started and finished");
}

#[tokio::test]
async fn each_period_ends_a_websocket_too_whatever_it_says() {
    let app = Upstream::websocket().await;
    for variable in [REQUEST, START, IDLE] {
        let sidecar = Sidecar::start(app.address(), &[variable]).await;
        let mut socket = WebSocket::connect(sidecar.main, HOST, "/")
            .await
            .expect("a socket");
        let listening = async { while matches!(socket.next().await, Some(Ok(_))) {} };
        soon("the end of the socket", listening).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_has_until_the_timeout_and_no_longer() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (feed, app) = fed_app().await;
        let sidecar = Sidecar::start(app.address(), &[REQUEST]).await;
        let mut client = match version {
            Version::HTTP_2 => Client::http2(sidecar.main).await,
            _ => Client::http1(sidecar.main).await,
        };
        let response = client.send(get_request(HOST, "/")).await;
        let piece = bytes::Bytes::from(vec![0; 1024 * 1024]);
        // More than all that lies between takes.
        soon("the end of the request", async {
            while feed.data(piece.clone()).await {}
        })
        .await;
        assert_eq!(response.expect("it began").status(), 200, "{version:?}");
    }
}
