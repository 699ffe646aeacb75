//! Does the gRPC sample keep gRPC's wire rules?

use bytes::{BufMut as _, BytesMut};
use tidegate_testkit::body::{Body as Sent, fed, full};
use tidegate_testkit::client::{Answer, Client, post_request};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;
use crate::sample::{App, Sample, server};

const HOST: &str = "grpc.example";

struct Caller {
    client: Client,
    stop: watch::Sender<bool>,
    _serving: JoinSet<()>,
}

impl Caller {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = watch::channel(false);
        let mut serving = JoinSet::new();
        serving.spawn(server::serve(listener, App::new(Sample::Grpc), Stop::by(stopped)));
        Self {
            client: Client::http2(address).await,
            stop,
            _serving: serving,
        }
    }

    async fn call(&mut self, path: &str, body: impl Into<bytes::Bytes>) -> Answer {
        self.client.call(request(path, full(body))).await
    }
}

fn request(path: &str, body: Sent) -> Request<Sent> {
    let mut request = post_request(HOST, path, body);
    request
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request
}

fn message(text: &str) -> BytesMut {
    BytesMut::from(framed(&Text::new(text)).as_ref())
}

fn status(answer: &Answer) -> (&str, &str) {
    let headers = answer.trailers.as_ref().unwrap_or(&answer.headers);
    let text = |name| {
        headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    };
    (text("grpc-status"), text("grpc-message"))
}

#[tokio::test]
async fn say_answers_the_same_message_and_a_status_in_the_trailers() {
    let answer = Caller::start()
        .await
        .call("/tidegate.sample.Echo/Say", message("hi"))
        .await;
    assert_eq!(answer.body.as_ref(), b"\0\0\0\0\x04\x0a\x02hi");
    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
}

#[tokio::test]
async fn stream_answers_word_by_word() {
    let answer = Caller::start()
        .await
        .call("/tidegate.sample.Echo/Stream", message("two words"))
        .await;
    let mut expected = message("two");
    expected.extend(message("words"));
    assert_eq!(answer.body, expected);
    assert_eq!(status(&answer).0, "0");
}

#[tokio::test]
async fn chat_answers_each_message_before_the_next_is_sent() {
    let mut caller = Caller::start().await;
    let (feed, body) = fed();
    let response = caller
        .client
        .send(request("/tidegate.sample.Echo/Chat", body))
        .await
        .expect("a head");
    let mut answers = response.into_body();
    for text in ["one", "two"] {
        assert!(feed.data(message(text)).await);
        let frame = answers.frame().await.expect("a frame").expect("a whole one");
        assert_eq!(frame.into_data().expect("data"), message(text));
    }
    drop(feed);
    let trailers = answers
        .frame()
        .await
        .expect("a frame")
        .expect("a whole one")
        .into_trailers();
    assert_eq!(trailers.expect("trailers")["grpc-status"], "0");
}

#[tokio::test]
async fn chat_ends_with_unavailable_when_the_server_stops() {
    let mut caller = Caller::start().await;
    let (_feed, body) = fed();
    let response = caller
        .client
        .send(request("/tidegate.sample.Echo/Chat", body))
        .await
        .expect("a head");
    caller.stop.send_replace(true);
    let answer = Answer::read(response).await.expect("an orderly end");
    assert_eq!(status(&answer), ("14", "the server stops"));
}

#[tokio::test]
async fn the_health_check_says_serving() {
    let answer = Caller::start()
        .await
        .call("/grpc.health.v1.Health/Check", vec![0, 0, 0, 0, 0])
        .await;
    assert_eq!(answer.body.as_ref(), b"\0\0\0\0\x02\x08\x01");
}

#[tokio::test]
async fn faulty_calls_get_a_status_that_says_why() {
    let mut caller = Caller::start().await;
    let mut check = async |path: &str, body: &[u8], code: &str, part: &str| {
        let answer = caller.call(path, body.to_vec()).await;
        let found = status(&answer);
        assert!(
            answer.status == 200 && found.0 == code && found.1.contains(part),
            "{path} {body:?}: {found:?}"
        );
    };
    let say = "/tidegate.sample.Echo/Say";
    check(
        "/tidegate.sample.Echo/Shout",
        b"",
        "12",
        "/tidegate.sample.Echo/Shout",
    )
    .await;
    check(say, b"", "3", "exactly one message").await;
    check(say, b"\0\0\0\0\0\0\0\0\0\0", "3", "exactly one message").await;
    check(say, b"\0\0\0\0\x09abc", "3", "ends within a message").await;
    check(say, b"\0\0\0\0\x01\xff", "3", "").await;
    check(say, b"\x01\0\0\0\0", "12", "compressed").await;
    check(say, b"\0\xff\0\0\0", "8", "at most").await;
}

#[tokio::test]
async fn a_message_may_come_byte_by_byte() {
    let mut caller = Caller::start().await;
    let (feed, body) = fed();
    let response = caller
        .client
        .send(request("/tidegate.sample.Echo/Say", body))
        .await
        .expect("a head");
    let feeding = async move {
        for byte in message("hi") {
            let mut piece = BytesMut::new();
            piece.put_u8(byte);
            assert!(feed.data(piece).await);
        }
    };
    let (answer, ()) = tokio::join!(Answer::read(response), feeding);
    assert_eq!(answer.expect("an orderly end").body, message("hi"));
}

#[tokio::test]
async fn http_1_is_told_what_is_spoken_here() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (_stop, stopped) = watch::channel(false);
    let mut serving = JoinSet::new();
    serving.spawn(server::serve(listener, App::new(Sample::Grpc), Stop::by(stopped)));
    let answer = tidegate_testkit::client::get(address, HOST, "/").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(answer.text().contains("HTTP/2 with prior knowledge"));
}
