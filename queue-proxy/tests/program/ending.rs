//! How does the sidecar end, and what becomes of what it carries?

use tidegate_testkit::client::{Client, get, get_request};
use tidegate_testkit::upstream::{self, Upstream};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::websocket::WebSocket;

use crate::rig::{HOST, Sidecar, fed_app};

const QUIET: (&str, &str) = ("TIDEGATE_QUIET_SECONDS", "2");
const LONG: (&str, &str) = ("TIDEGATE_QUIET_SECONDS", "600");

async fn probes_say(sidecar: &Sidecar, expected: (u16, &str)) {
    eventually("probes to say so", async || {
        let (status, text) = sidecar.probe().await;
        if (status, text.as_str()) == expected {
            Ok(())
        } else {
            Err(format!("{status} {text}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_container_that_is_started_anew_waits_a_second_and_all_goes_on() {
    let sidecar = Sidecar::start(upstream::nobody().await, &[LONG]).await;
    let admin = sidecar.admin;
    let waiting = get(admin, HOST, "/wait-for-drain");
    let (answer, ()) = tokio::join!(waiting, probes_say(&sidecar, (503, "shutting down\n")));
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, ""));
    assert_eq!(sidecar.probe().await, (200, "queue".to_owned()));
}

#[tokio::test]
async fn a_pod_that_ends_holds_its_containers_until_nobody_calls_any_more() {
    let app = Upstream::echo().await;
    let mut sidecar = Sidecar::start(app.address(), &[QUIET]).await;
    let waiting = get(sidecar.admin, HOST, "/wait-for-drain");
    sidecar.program.signal(rustix::process::Signal::TERM);
    let began = std::time::Instant::now();
    let traffic = async {
        probes_say(&sidecar, (503, "shutting down\n")).await;
        assert_eq!(sidecar.get(&[]).await.status, 200);
    };
    let (answer, ()) = tokio::join!(waiting, traffic);
    assert_eq!(answer.status, 200);
    assert!(began.elapsed().as_secs() >= 2, "no less than the quiet period");
    assert_eq!(sidecar.program.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_request_that_is_under_way_gets_its_whole_response() {
    let (feed, app) = fed_app().await;
    let mut sidecar = Sidecar::start(app.address(), &[]).await;
    let mut client = Client::http1(sidecar.main).await;
    let response = client.send(get_request(HOST, "/")).await.expect("it has started");
    sidecar.program.signal(rustix::process::Signal::TERM);
    sidecar.program.line_with("drained").await;
    feed.data("all of it").await;
    drop(feed);
    let answer = tidegate_testkit::client::Answer::read(response)
        .await
        .expect("it is whole");
    assert_eq!(answer.text(), "all of it");
    assert_eq!(sidecar.program.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_websocket_is_asked_to_close_when_the_drain_is_over() {
    let app = Upstream::websocket().await;
    let mut sidecar = Sidecar::start(app.address(), &[]).await;
    let mut socket = WebSocket::connect(sidecar.main, HOST, "/")
        .await
        .expect("a socket");
    sidecar.program.signal(rustix::process::Signal::TERM);
    assert_eq!(socket.asked_to_close().await, 1001);
    drop(socket);
    assert_eq!(sidecar.program.exit().await.code(), Some(0));
}

#[tokio::test]
async fn who_asks_twice_does_not_wait() {
    let mut sidecar = Sidecar::start(upstream::nobody().await, &[LONG]).await;
    sidecar.program.signal(rustix::process::Signal::TERM);
    sidecar.program.line_with("draining").await;
    sidecar.program.signal(rustix::process::Signal::INT);
    assert_eq!(sidecar.program.exit().await.code(), Some(1));
}
