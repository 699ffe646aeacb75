//! Do the sample servers answer what the examples promise, over both protocols, and end in order?

use tidegate_testkit::body::{empty, fed, full};
use tidegate_testkit::client::{Answer, Client, get_request, post_request};
use tidegate_testkit::wait::{eventually, soon};
use tidegate_testkit::websocket::WebSocket;
use tidegate_testkit::wire::Wire;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;

const HOST: &str = "sample.example";

struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
}

impl Server {
    async fn start(sample: Sample) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = watch::channel(false);
        let mut serving = JoinSet::new();
        serving.spawn(server::serve(listener, App::new(sample), Stop::by(stopped)));
        Self {
            address,
            stop,
            serving,
        }
    }

    async fn clients(&self) -> [Client; 2] {
        [
            Client::http1(self.address).await,
            Client::http2(self.address).await,
        ]
    }

    async fn ended(mut self) {
        soon("the end of the server", self.serving.join_next()).await;
    }
}

#[tokio::test]
async fn hello_greets_over_both_protocols() {
    let server = Server::start(Sample::Hello).await;
    for mut client in server.clients().await {
        let answer = client.get(HOST, "/").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (200, "Hello World!\n")
        );
    }
}

#[tokio::test]
async fn echo_answers_head_and_body_before_the_body_ended() {
    let server = Server::start(Sample::Echo).await;
    for mut client in server.clients().await {
        let (feed, body) = fed();
        let mut request = post_request(HOST, "/a?b", body);
        request
            .headers_mut()
            .insert("x-mine", "yes".parse().expect("a header"));
        let response = client.send(request).await.expect("a head before the body's end");
        let (answer, fed) = tokio::join!(Answer::read(response), async move { feed.data("the body").await });
        assert!(fed);
        let text = answer.expect("a whole body").text();
        assert!(text.starts_with("POST ") && text.contains("/a?b HTTP/"), "{text}");
        assert!(
            text.contains("\nx-mine: yes\n") && text.ends_with("\n\nthe body"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn sleep_reports_how_many_ran_at_once() {
    let server = Server::start(Sample::Sleep).await;
    let mut client = Client::http2(server.address).await;
    let first = client.send(get_request(HOST, "/?ms=50"));
    let second = client.send(get_request(HOST, "/?ms=50"));
    let (_, second) = tokio::join!(first, second);
    let second = Answer::read(second.expect("an answer")).await.expect("a body");
    assert_eq!(second.header("x-concurrency"), Some("2"));
    let alone = client.get(HOST, "/?ms=1").await;
    assert_eq!(
        alone.text(),
        "{\"ms\":1,\"concurrency\":1,\"concurrencyMax\":2}\n"
    );
    assert_eq!(client.get(HOST, "/?ms=no").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn sleep_forgets_a_client_that_went() {
    let server = Server::start(Sample::Sleep).await;
    let mut leaver = Wire::connect(server.address).await;
    leaver
        .send("GET /?ms=60000 HTTP/1.1\r\nhost: sample.example\r\n\r\n")
        .await;
    let mut client = Client::http1(server.address).await;
    let concurrency = async |client: &mut Client| {
        client
            .get(HOST, "/?ms=0")
            .await
            .header("x-concurrency")
            .map(str::to_owned)
    };
    eventually("the sleeper to be counted", async || {
        concurrency(&mut client).await.as_deref() == Some("2")
    })
    .await;
    leaver.reset();
    eventually("it to be forgotten", async || {
        concurrency(&mut client).await.as_deref() == Some("1")
    })
    .await;
}

#[tokio::test]
async fn sse_sends_events_as_they_happen() {
    let server = Server::start(Sample::Sse).await;
    let mut wire = Wire::connect(server.address).await;
    wire.send("GET /?count=2&interval=1 HTTP/1.1\r\nhost: sample.example\r\n\r\n")
        .await;
    let events = wire.message().await;
    assert_eq!(
        events.head.header("content-type").as_deref(),
        Some("text/event-stream")
    );
    assert_eq!(
        events.text(),
        "data: event 1 of 2\nid: 1\n\ndata: event 2 of 2\nid: 2\n\n"
    );
    wire.send("GET /?interval=60000 HTTP/1.1\r\nhost: sample.example\r\n\r\n")
        .await;
    wire.head().await;
    wire.line().await;
    assert_eq!(wire.line().await, "data: event 1 of 10\nid: 1\n\n");
}

#[tokio::test]
async fn websocket_echoes_and_says_goodbye_when_it_stops() {
    let server = Server::start(Sample::Websocket).await;
    let mut socket = WebSocket::connect(server.address, HOST, "/")
        .await
        .expect("an upgrade");
    socket.say("hello").await;
    assert_eq!(socket.hear().await, "hello");
    server.stop.send_replace(true);
    let goodbye = socket.next().await.expect("a message").expect("an orderly one");
    assert!(goodbye.to_string().contains("the server stops"), "{goodbye:?}");
    socket.close().await;
    server.ended().await;
}

#[tokio::test]
async fn websocket_shows_a_page_to_a_browser() {
    let server = Server::start(Sample::Websocket).await;
    for mut client in server.clients().await {
        let page = client.get(HOST, "/").await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.text().contains("new WebSocket"));
    }
}

#[tokio::test]
async fn a_request_under_way_is_finished_after_stop() {
    let server = Server::start(Sample::Echo).await;
    let mut under_way = Vec::new();
    for mut client in server.clients().await {
        let (feed, body) = fed();
        let response = client.send(post_request(HOST, "/", body)).await.expect("a head");
        under_way.push((client, feed, response));
    }
    server.stop.send_replace(true);
    for (_client, feed, response) in under_way {
        let (answer, fed) = tokio::join!(
            Answer::read(response),
            async move { feed.data("last words").await }
        );
        assert!(fed && answer.expect("a whole body").text().ends_with("last words"));
    }
    server.ended().await;
}

#[tokio::test]
async fn idle_connections_do_not_keep_a_stopped_server() {
    let server = Server::start(Sample::Hello).await;
    let mut silent = Wire::connect(server.address).await;
    let mut idle = Client::http1(server.address).await;
    idle.call(get_request(HOST, "/")).await;
    server.stop.send_replace(true);
    silent.ends().await;
    server.ended().await;
}

#[tokio::test]
async fn an_empty_body_and_a_full_one_are_echoed_alike() {
    let server = Server::start(Sample::Echo).await;
    let mut client = Client::http1(server.address).await;
    assert!(
        client
            .call(post_request(HOST, "/", empty()))
            .await
            .text()
            .ends_with("\n\n")
    );
    assert!(
        client
            .call(post_request(HOST, "/", full("x")))
            .await
            .text()
            .ends_with("\n\nx")
    );
}
