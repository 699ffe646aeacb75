use tokio::net::TcpListener;

use super::*;
use crate::backend;

#[test]
fn only_what_begins_and_ends_in_the_stretch_counts() {
    let counted = Counted::starting_after(Duration::from_secs(1), Duration::from_secs(2)).unwrap();
    let at = |milliseconds| counted.from + Duration::from_millis(milliseconds) - Duration::from_millis(500);
    counted.answered(at(0), at(600));
    counted.answered(at(600), at(700));
    counted.answered(at(2_400), at(2_600));
    let report = counted.report();
    assert_eq!((report.requests, report.elapsed_us), (1, 2_000_000));
    assert!((99_000_000..101_000_000).contains(&report.p50_ns), "{report}");
}

#[tokio::test]
async fn each_class_of_load_is_answered_by_the_backend() {
    let h1 = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let doors = Doors {
        h1: h1.local_addr().ok(),
        websocket: h1.local_addr().ok(),
        grpc: grpc.local_addr().ok(),
        ..Doors::default()
    };
    let mut backends = JoinSet::new();
    backends.spawn(backend::serve(h1));
    backends.spawn(backend::echo::serve(grpc));
    let mut answered = 0;
    for class in Class::ALL {
        let Some(target) = doors.at(class.door()) else {
            continue;
        };
        let counted = Counted::starting_after(Duration::ZERO, Duration::from_millis(200)).unwrap();
        let mut senders = JoinSet::new();
        start(&mut senders, &Dial::plain(target), class, Some(1_000), &counted)
            .await
            .unwrap();
        while let Some(ended) = senders.join_next().await {
            ended.unwrap().unwrap();
        }
        let report = counted.report();
        assert!(report.requests > 0 && report.errors == 0, "{class}: {report}");
        answered += 1;
    }
    assert_eq!(
        answered, 10,
        "all but those over TLS and those from HTTP/2 to HTTP/1.1"
    );
}
