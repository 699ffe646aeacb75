//! What does the end of a client's input mean while its request is under way?

mod support;

use support::Front;
use tidegate_proxy::config::http::{HalfClose, HttpSettings};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wire::Wire;

fn serving() -> HttpSettings {
    HttpSettings {
        half_close: HalfClose::Serve,
        ..HttpSettings::default()
    }
}

async fn half_closed(front: &Front) -> Wire {
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    wire.half_close().await;
    wire
}

#[tokio::test]
async fn it_is_served_where_the_listener_says_so() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::speaking(serving(), upstream.address());
    let mut wire = half_closed(&front).await;
    upstream.runs(1).await;
    gate.open();
    assert_eq!(wire.message().await.text(), "held");
    wire.ends().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_is_a_departure_by_default() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.runs(1).await;
    wire.half_close().await;
    upstream.runs(0).await;
    wire.ends().await;
}

#[tokio::test]
async fn a_body_that_ends_before_its_end_is_one_in_any_case() {
    let upstream = Upstream::echo().await;
    for http in [HttpSettings::default(), serving()] {
        let front = Front::speaking(http, upstream.address());
        let mut wire = Wire::connect(front.address).await;
        wire.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel")
            .await;
        wire.half_close().await;
        let rest = wire.rest().await;
        assert!(
            !rest.ends_with(b"0\r\n\r\n"),
            "{}",
            String::from_utf8_lossy(&rest)
        );
    }
}
