//! Timeouts before and after the start of a response (checks QP-50 to QP-55), in paused time.

use http_body_util::BodyExt;
use tidegate_testkit::body;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn timers(request: u32, response_start: u32, idle: u32) -> Timers {
    Timers::start(
        &Timeouts::from_seconds(request, response_start, idle),
        Instant::now().into_std(),
    )
}

/// A response head that comes after `seconds`, and what becomes of it.
async fn check(timers: Timers, seconds: u32, expected: Result<(), Kind>) {
    let head = async {
        tokio::time::sleep(SECOND * seconds).await;
        Ok(())
    };
    let result = timers.until_start(head).await;
    assert_eq!(
        result.as_ref().map_err(Error::kind),
        expected.as_ref().map_err(|&kind| kind),
        "{timers:?}"
    );
    if let Err(error) = result {
        assert_eq!(error.detail(), "request timeout");
    }
}

#[tokio::test(start_paused = true)]
async fn qp_50_a_fast_response_starts_untouched() {
    check(timers(10, 5, 3), 2, Ok(())).await;
    check(timers(0, 0, 0), 100_000, Ok(())).await;
}

#[tokio::test(start_paused = true)]
async fn qp_51_the_first_period_that_is_over_ends_the_wait() {
    check(timers(10, 5, 0), 7, Err(Kind::ResponseStartTimeout)).await;
    check(timers(10, 5, 3), 7, Err(Kind::IdleTimeout)).await;
    check(timers(10, 0, 0), 11, Err(Kind::RequestTimeout)).await;
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_replica_counts_towards_the_request_alone() {
    let received = Instant::now();
    tokio::time::advance(SECOND * 8).await;
    let timeouts = Timeouts::from_seconds(10, 5, 0);
    check(
        Timers::start(&timeouts, received.into_std()),
        3,
        Err(Kind::RequestTimeout),
    )
    .await;
    tokio::time::advance(SECOND * 8).await;
    let late = Timers::start(&timeouts, received.into_std());
    let never_begun = late
        .until_start(async { panic!("a request whose time is over is not sent") })
        .await;
    assert_eq!(
        never_begun.map_err(|error| error.kind()),
        Err::<(), _>(Kind::RequestTimeout)
    );
}

/// Sends a piece after each of `pauses`, then ends; returns what arrived, and how it broke off.
async fn read(timers: Timers, pauses: &[u32]) -> (usize, Option<Kind>) {
    let (feed, body) = body::fed();
    let mut watched = timers.watch(Body::new(body));
    let send = async move {
        for pause in pauses {
            tokio::time::sleep(SECOND * *pause).await;
            if !feed.data("piece").await {
                return;
            }
        }
    };
    let receive = async move {
        let mut pieces = 0;
        loop {
            match watched.frame().await {
                Some(Ok(_)) => pieces += 1,
                Some(Err(error)) => return (pieces, Some(error.kind())),
                None => return (pieces, None),
            }
        }
    };
    tokio::join!(send, receive).1
}

#[tokio::test(start_paused = true)]
async fn qp_52_a_response_that_has_started_needs_no_other_start() {
    assert_eq!(read(timers(60, 1, 0), &[2, 2, 2]).await, (3, None));
}

#[tokio::test(start_paused = true)]
async fn qp_53_pieces_within_the_idle_timeout_keep_a_response_alive() {
    assert_eq!(read(timers(60, 0, 3), &[2, 2, 2]).await, (3, None));
    assert_eq!(
        read(timers(60, 0, 3), &[2, 4, 2]).await,
        (1, Some(Kind::IdleTimeout))
    );
}

#[tokio::test(start_paused = true)]
async fn qp_54_without_an_idle_timeout_silence_may_last() {
    assert_eq!(read(timers(60, 0, 0), &[1, 50]).await, (2, None));
}

#[tokio::test(start_paused = true)]
async fn qp_55_the_request_ends_in_any_case() {
    assert_eq!(
        read(timers(5, 1, 3), &[2, 2, 2]).await,
        (2, Some(Kind::RequestTimeout))
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_not_the_application_that_is_silent() {
    let (feed, body) = body::fed();
    let mut watched = timers(60, 0, 3).watch(Body::new(body));
    assert!(feed.data("one").await);
    assert!(watched.frame().await.unwrap().is_ok());
    assert!(feed.data("two").await);
    tokio::time::advance(SECOND * 10).await;
    assert!(watched.frame().await.unwrap().is_ok());
    drop(feed);
    assert!(watched.frame().await.is_none());
}

struct Endless;

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more")))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_pauses_ends_with_the_request() {
    let mut watched = timers(5, 0, 0).watch(Body::new(Endless));
    assert!(watched.frame().await.unwrap().is_ok());
    tokio::time::advance(SECOND * 5).await;
    assert_eq!(
        watched.frame().await.unwrap().unwrap_err().kind(),
        Kind::RequestTimeout
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_lets_go_of_the_application() {
    let (feed, body) = body::fed();
    let mut watched = timers(5, 0, 0).watch(Body::new(body));
    assert_eq!(
        watched.frame().await.unwrap().unwrap_err().kind(),
        Kind::RequestTimeout
    );
    feed.dropped().await;
}

#[tokio::test]
async fn a_length_stays_known() {
    let watched = timers(5, 0, 0).watch(Body::full("twelve bytes"));
    assert_eq!(watched.size_hint().exact(), Some(12));
}

fn wire(request: u32, response_start: u32, idle: u32) -> Timers {
    let timeouts = Timeouts::from_seconds(request, response_start, idle);
    Timers::wire(&timeouts, Instant::now().into_std(), "over")
}

/// The whole text of a body that is fed after each of `pauses`, and then stays silent.
async fn read_all(timers: Timers, pauses: &[u32]) -> String {
    let (feed, body) = body::fed();
    let watched = timers.watch(Body::new(body));
    let send = async {
        for pause in pauses {
            tokio::time::sleep(SECOND * *pause).await;
            feed.data("foo").await;
        }
        feed.dropped().await;
    };
    let collected = tokio::join!(send, watched.collect()).1.unwrap();
    String::from_utf8(collected.to_bytes().into()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn qp_53_qp_57_on_the_wire_a_started_response_ends_with_the_text_once() {
    assert_eq!(read_all(wire(60, 0, 3), &[2, 2]).await, "foofooover");
    assert_eq!(read_all(wire(5, 1, 3), &[2, 2]).await, "foofooover");
}

/// A body of a told length that never comes.
struct Told;

impl HttpBody for Told {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(9)
    }
}

#[tokio::test(start_paused = true)]
async fn on_the_wire_a_response_whose_length_was_told_breaks_off() {
    let mut watched = wire(5, 0, 0).watch(Body::new(Told));
    let error = watched.frame().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.detail()), (Kind::RequestTimeout, "over"));
}

#[tokio::test(start_paused = true)]
async fn on_the_wire_all_periods_run_from_the_arrival_and_end_a_tunnel_too() {
    let received = Instant::now();
    tokio::time::advance(SECOND * 8).await;
    let check = |timeouts: Timeouts, seconds: u32| {
        let timers = Timers::wire(&timeouts, received.into_std(), "over");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let end = timers.finish(response).extensions().get::<TunnelEnd>().copied();
        assert_eq!(end, Some(TunnelEnd((received + SECOND * seconds).into_std())));
    };
    check(Timeouts::from_seconds(30, 20, 10), 10);
    check(Timeouts::from_seconds(30, 20, 0), 20);
    check(Timeouts::from_seconds(30, 0, 0), 30);
}
