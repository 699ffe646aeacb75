//! Executions of probes against real sockets: how often, for whom, and how they end (checks QP-36 to QP-43).

use http::StatusCode;
use tidegate_proxy::drain::Drain;
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{self, Upstream, answer};
use tidegate_testkit::wait::soon;

use super::*;

const STANDARD: &str = r#"{"httpGet":{"port":0},"periodSeconds":1,"timeoutSeconds":30}"#;

fn readiness(app: SocketAddr, text: &str, log: &Log) -> Arc<Readiness> {
    let (drain, watch) = Drain::new();
    // The watch outlives it: nothing here drains.
    drop(drain);
    let reading = Reading {
        is_list: text.starts_with('['),
        detects_http2: false,
        user_port: app.port(),
    };
    let probes = Declared::parse(text, reading).unwrap();
    Readiness::new(app, probes, watch, log.clone())
}

async fn check(app: SocketAddr, text: &str, expected: bool) {
    let log = Log::silent();
    assert_eq!(readiness(app, text, &log).ask().await, expected, "{text}");
}

#[tokio::test]
async fn qp_43_all_of_several_probes_have_to_succeed() {
    let (app, nobody) = (Upstream::echo().await, upstream::nobody().await);
    let good = app.address();
    check(good, "", true).await;
    check(good, &format!("[{STANDARD},{STANDARD}]"), true).await;
    let bad = format!(
        r#"{{"tcpSocket":{{"port":{}}},"periodSeconds":1}}"#,
        nobody.port()
    );
    check(good, &format!("[{bad},{STANDARD}]"), false).await;
    check(good, &format!("[{STANDARD},{bad}]"), false).await;
    check(good, "[null]", false).await;
}

#[tokio::test]
async fn qp_42_who_asks_meanwhile_shares_the_execution_even_when_the_first_has_left() {
    let gate = Gate::closed();
    let app = Upstream::held(&gate).await;
    let readiness = readiness(app.address(), STANDARD, &Log::silent());
    let first = tokio::time::timeout(std::time::Duration::from_millis(1), readiness.ask()).await;
    assert!(first.is_err());
    app.runs(1).await;
    let all = join_all((0..20).map(|_| readiness.ask()));
    let (answers, ()) = tokio::join!(all, async { gate.open() });
    assert_eq!(answers, [true; 20]);
    assert_eq!(app.seen().len(), 1);
    assert!(readiness.ask().await);
    assert_eq!(app.seen().len(), 2);
}

/// An application that answers the first requests with these statuses, then 200.
async fn answering(statuses: &'static [u16]) -> Upstream {
    let next = std::sync::atomic::AtomicUsize::new(0);
    Upstream::start(move |_| {
        let status = statuses.get(next.fetch_add(1, Ordering::Relaxed));
        let status = status.map_or(StatusCode::OK, |&status| StatusCode::from_u16(status).unwrap());
        async move { answer(status, "") }
    })
    .await
}

#[tokio::test]
async fn qp_38_qp_39_qp_41_an_aggressive_probe_wants_successes_in_a_row_and_says_nothing() {
    let app = answering(&[503, 200, 200, 500]).await;
    let (log, text) = (Log::silent(), r#"{"httpGet":{"port":0},"successThreshold":3}"#);
    let readiness = readiness(app.address(), text, &log);
    assert!(readiness.ask().await);
    assert_eq!(app.seen().len(), 7);
    // What was counted counts on.
    assert!(readiness.ask().await);
    assert_eq!(app.seen().len(), 8);
    assert_eq!(log.lines(), 0);
}

#[tokio::test(start_paused = true)]
async fn qp_41_an_aggressive_probe_that_fails_says_one_line() {
    let log = Log::silent();
    let nobody = upstream::nobody().await;
    let text = r#"{"tcpSocket":{"port":0}}"#;
    let readiness = readiness(nobody, text, &log);
    assert!(!readiness.ask().await);
    assert_eq!(log.lines(), 1);
    let line = readiness.probes[0].execute(nobody).await.unwrap_err();
    let said = line.strip_prefix("aggressive probe error (failed ");
    let (times, last) = said.and_then(|said| said.split_once(" times): ")).unwrap();
    assert!(times.parse::<u32>().unwrap() > 1, "{line}");
    assert!(last.contains("refused"), "{line}");
}

/// Listens and accepts once, then is gone.
async fn accept_once(address: SocketAddr) {
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    drop(listener.accept().await);
}

#[tokio::test]
async fn qp_40_an_aggressive_tcp_probe_wants_successes_in_a_row_too() {
    let address = upstream::nobody().await;
    let text = r#"{"tcpSocket":{"port":0},"successThreshold":3}"#;
    let readiness = readiness(address, text, &Log::silent());
    let intermittent = async {
        accept_once(address).await;
        // Long enough for a poll that is refused.
        tokio::time::timeout(POLL * 3, std::future::pending::<()>())
            .await
            .unwrap_err();
        accept_once(address).await;
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        for _ in 0..2 {
            drop(listener.accept().await);
        }
    };
    // Who counted on after the refusal would ask once less, and be waited for.
    let both = async { tokio::join!(readiness.ask(), intermittent) };
    let (is_ready, ()) = soon("three successes in a row", both).await;
    assert!(is_ready);
}
