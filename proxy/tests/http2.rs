//! Do HTTP/2 streams come through, to either kind of upstream, with their trailers, resets and rules?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use socket2::{Domain, Socket, Type};
use support::{Front, GRACE, HOST};
use tidegate_testkit::body::{fed, full};
use tidegate_testkit::client::{Answer, Client, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream, nobody};
use tidegate_testkit::wait::{eventually, soon};
use tidegate_testkit::wire::Wire;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

async fn fronts(upstream: &Upstream) -> [Front; 2] {
    [Front::to(upstream.address()), Front::to_http2(upstream.address())]
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-end".parse().unwrap(), HeaderValue::from_static("yes"))])
}

/// A client whose every frame is the test's own. The connection ends with the second value.
async fn connect(front: &Front) -> (SendRequest<Bytes>, JoinSet<()>) {
    let stream = TcpStream::connect(front.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async { connection.await.unwrap_or_default() });
    (soon("the settings", sender.ready()).await.unwrap(), driver)
}

fn get() -> Request<()> {
    Request::get("http://app.example/").body(()).unwrap()
}

#[tokio::test]
async fn streams_reach_upstreams_of_both_protocols() {
    let upstream = Upstream::echo().await;
    for front in fronts(&upstream).await {
        let mut client = Client::http2(front.address).await;
        let answer = client.call(post_request(HOST, "/x?y", full("hello"))).await;
        assert_eq!(
            (answer.status, answer.version, answer.text().as_str()),
            (StatusCode::OK, Version::HTTP_2, "hello")
        );
    }
    let [h1, h2] = upstream.seen().try_into().unwrap();
    assert_eq!((h1.version, h2.version), (Version::HTTP_11, Version::HTTP_2));
    assert_eq!(
        (h1.uri.to_string().as_str(), h1.header("host")),
        ("/x?y", Some(HOST))
    );
    assert_eq!(
        (h2.uri.to_string().as_str(), h2.header("host")),
        ("http://app.example/x?y", None)
    );
}

#[tokio::test]
async fn an_http1_client_reaches_an_http2_upstream() {
    let upstream = Upstream::echo().await;
    let front = Front::to_http2(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    for _ in 0..2 {
        wire.send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
            .await;
        assert_eq!(wire.message().await.text(), "hello");
    }
    assert_eq!(upstream.seen()[0].uri, "http://a/x");
    assert_eq!(upstream.counts().connections(), 1);
}

#[tokio::test]
async fn a_hundred_streams_run_at_once() {
    for (to_http2, connections) in [(false, 100), (true, 1)] {
        let gate = Gate::closed();
        let upstream = Upstream::held(&gate).await;
        let front = if to_http2 {
            Front::to_http2(upstream.address())
        } else {
            Front::to(upstream.address())
        };
        let mut client = Client::http2(front.address).await;
        let answers = join_all((0..100).map(|_| client.send(get_request(HOST, "/"))));
        let (answers, ()) = tokio::join!(answers, async {
            upstream.runs(100).await;
            gate.open();
        });
        for answer in answers {
            assert_eq!(Answer::read(answer.unwrap()).await.unwrap().text(), "held");
        }
        assert_eq!(upstream.counts().connections(), connections);
    }
}

#[tokio::test]
async fn streams_beyond_what_one_connection_takes_get_another() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to_http2(upstream.address());
    let mut client = Client::http2(front.address).await;
    let answers = join_all((0..150).map(|_| client.send(get_request(HOST, "/"))));
    let (answers, ()) = tokio::join!(answers, async {
        upstream.runs(150).await;
        gate.open();
    });
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(upstream.counts().connections(), 2);
}

#[tokio::test]
async fn a_dial_that_fails_fails_for_all_who_wait_for_it() {
    let front = Front::to_http2(nobody().await);
    let mut client = Client::http2(front.address).await;
    for answer in join_all((0..50).map(|_| client.send(get_request(HOST, "/")))).await {
        assert_eq!(answer.unwrap().status(), 503);
    }
}

/// The kernel takes no connection until the one in its queue is accepted.
#[tokio::test]
async fn who_waits_for_a_dial_that_is_given_up_dials() {
    let busy = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    busy.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    busy.listen(0).unwrap();
    busy.set_nonblocking(true).unwrap();
    let address = busy.local_addr().unwrap().as_socket().unwrap();
    let _in_its_queue = Wire::connect(address).await;
    let front = Front::to_http2(address);
    let mut client = Client::http2(front.address).await;
    let (first, second) = (
        client.send(get_request(HOST, "/")),
        client.send(get_request(HOST, "/")),
    );
    tokio::select! { _ = first => panic!("nobody accepts"), () = tokio::task::yield_now() => {} }
    let listener = tokio::net::TcpListener::from_std(busy.into()).unwrap();
    let upstream = Upstream::start_on(listener, async |_| Response::new(full("here")));
    assert_eq!(Answer::read(second.await.unwrap()).await.unwrap().text(), "here");
    drop(upstream);
}

#[tokio::test]
async fn request_and_response_trailers_pass() {
    let upstream = Upstream::echo().await;
    let front = Front::to_http2(upstream.address());
    let mut client = Client::http2(front.address).await;
    let (feed, body) = fed();
    let mut request = post_request(HOST, "/", body);
    request
        .headers_mut()
        .insert("te", HeaderValue::from_static("trailers"));
    let response = client.send(request).await.unwrap();
    assert_eq!(
        upstream.seen()[0].header("te"),
        Some("trailers"),
        "gRPC insists on it"
    );
    assert!(feed.data("hello").await);
    let (answer, _) = tokio::join!(Answer::read(response), feed.trailers(trailers()));
    let answer = answer.unwrap();
    assert_eq!(
        (answer.text().as_str(), answer.trailers),
        ("hello", Some(trailers()))
    );
}

#[tokio::test]
async fn trailers_pass_between_the_protocols_where_http1_announces_them() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        let message = connection.wire.message().await;
        assert_eq!(message.trailers, ["x-end: yes"]);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n";
        connection
            .wire
            .send(format!("{head}2\r\nhi\r\n0\r\nx-end: yes\r\n\r\n"))
            .await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut client = Client::http2(front.address).await;
    let (feed, body) = fed();
    let mut request = post_request(HOST, "/", body);
    request
        .headers_mut()
        .insert("trailer", HeaderValue::from_static("x-end"));
    request
        .headers_mut()
        .insert("te", HeaderValue::from_static("trailers"));
    let (response, _) = tokio::join!(client.send(request), feed.trailers(trailers()));
    let answer = Answer::read(response.unwrap()).await.unwrap();
    assert_eq!(
        (answer.text().as_str(), answer.trailers),
        ("hi", Some(trailers()))
    );
    upstream.finish().await;
}

#[tokio::test]
async fn announced_trailers_pass_from_http1_to_http1() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        let message = connection.wire.message().await;
        assert_eq!(message.trailers, ["x-end: yes"]);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n";
        connection
            .wire
            .send(format!("{head}2\r\nhi\r\n0\r\nx-end: yes\r\n\r\n"))
            .await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    let head =
        "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n";
    wire.send(format!(
        "{head}trailer: x-end\r\n\r\n2\r\nhi\r\n0\r\nx-end: yes\r\n\r\n"
    ))
    .await;
    let message = wire.message().await;
    assert_eq!(
        (message.text().as_str(), message.trailers),
        ("hi", vec!["x-end: yes".to_owned()])
    );
    upstream.finish().await;
}

#[tokio::test]
async fn an_authority_that_differs_from_the_host_is_refused() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut client = Client::http2(front.address).await;
    for (host, status) in [("other.example", 400), (HOST, 200)] {
        let mut request = get_request(HOST, "/");
        request
            .headers_mut()
            .insert("host", HeaderValue::from_static(host));
        assert_eq!(client.call(request).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn cookies_that_were_split_arrive_as_one() {
    let upstream = Upstream::echo().await;
    for front in fronts(&upstream).await {
        let mut request = get_request(HOST, "/");
        for crumb in ["a=1", "b=2", "c=3"] {
            request
                .headers_mut()
                .append("cookie", HeaderValue::from_static(crumb));
        }
        Client::http2(front.address).await.call(request).await;
    }
    for seen in upstream.seen() {
        assert_eq!(
            seen.headers.get_all("cookie").iter().collect::<Vec<_>>(),
            ["a=1; b=2; c=3"]
        );
    }
}

#[tokio::test]
async fn a_reset_stream_is_cancelled_at_the_upstream() {
    for to_http2 in [false, true] {
        let upstream = Upstream::held(&Gate::closed()).await;
        let front = if to_http2 {
            Front::to_http2(upstream.address())
        } else {
            Front::to(upstream.address())
        };
        let mut client = Client::http2(front.address).await;
        let request = client.send(get_request(HOST, "/"));
        let other = client.send(get_request(HOST, "/"));
        tokio::select! {
            _ = request => panic!("the gate is closed"),
            _ = other => panic!("the gate is closed"),
            () = upstream.runs(2) => {}
        }
        upstream.runs(0).await;
        assert!(!client.is_closed());
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_all_its_streams() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let front = Front::to(upstream.address());
    let (mut sender, connection) = connect(&front).await;
    let answers: Vec<_> = (0..10)
        .map(|_| sender.send_request(get(), true).unwrap().0)
        .collect();
    upstream.runs(10).await;
    drop(connection);
    upstream.runs(0).await;
    drop(answers);
}

#[tokio::test]
async fn a_drain_says_goaway_and_lets_streams_finish() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to(upstream.address());
    let (mut sender, _connection) = connect(&front).await;
    let answer = sender.send_request(get(), true).unwrap().0;
    upstream.runs(1).await;
    front.drain.start();
    eventually("GOAWAY", async || sender.clone().ready().await.is_err()).await;
    gate.open();
    let mut body = soon("the answer", answer).await.unwrap().into_body();
    assert_eq!(soon("its body", body.data()).await.unwrap().unwrap(), "held");
    assert_eq!(front.finish(GRACE).await.forced, 0);
}

#[tokio::test]
async fn an_idle_connection_ends_with_the_drain() {
    let upstream = Upstream::echo().await;
    let front = Front::to_http2(upstream.address());
    let mut client = Client::http2(front.address).await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
    assert_eq!(front.finish(GRACE).await.forced, 0);
    assert!(client.is_closed());
}

#[tokio::test]
async fn a_body_that_waits_for_permission_gets_it_when_it_is_wanted() {
    let upstream = Upstream::start(async |request| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(body))
    })
    .await;
    let front = Front::to(upstream.address());
    let (mut sender, _connection) = connect(&front).await;
    let request = Request::post("http://a/")
        .header("expect", "100-continue")
        .body(())
        .unwrap();
    let (mut response, mut body) = sender.send_request(request, false).unwrap();
    let interim = soon("100 Continue", poll_fn(|cx| response.poll_informational(cx))).await;
    assert_eq!(interim.unwrap().unwrap().status(), 100);
    body.send_data(Bytes::from_static(b"wanted"), true).unwrap();
    let mut answer = soon("the answer", response).await.unwrap().into_body();
    assert_eq!(soon("the body", answer.data()).await.unwrap().unwrap(), "wanted");
}

#[tokio::test]
async fn early_hints_come_first_without_fields_of_the_hop() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n";
        connection.wire.send(hints).await;
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        connection.wire.send(answer).await;
    })
    .await;
    let front = Front::to(upstream.address());
    let (mut sender, _connection) = connect(&front).await;
    let (mut response, _) = sender.send_request(get(), true).unwrap();
    let hints = soon("the hints", poll_fn(|cx| response.poll_informational(cx))).await;
    let hints = hints.unwrap().unwrap();
    assert_eq!(hints.status(), 103);
    assert_eq!(hints.headers()["link"], "</a.css>");
    assert!(!hints.headers().contains_key("x-hop"));
    assert_eq!(soon("the answer", response).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_port_that_speaks_no_http2_is_a_bad_gateway() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.bytes(24).await;
        connection
            .wire
            .send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .await;
        connection.wire.rest().await;
    })
    .await;
    let front = Front::to_http2(upstream.address());
    let answer = tidegate_testkit::client::get(front.address, HOST, "/").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::BAD_GATEWAY, "upstream sent an invalid response\n")
    );
}

#[tokio::test]
async fn large_bodies_pass_both_ways_at_once() {
    let upstream = Upstream::echo().await;
    for front in fronts(&upstream).await {
        let mut client = Client::http2(front.address).await;
        let bytes = Bytes::from(vec![b'x'; 3 << 20]);
        assert_eq!(
            client
                .call(post_request(HOST, "/", full(bytes.clone())))
                .await
                .body,
            bytes
        );
    }
}
