use super::*;

#[test]
fn a_report_survives_its_line() {
    let report = Report {
        requests: 1,
        errors: 2,
        elapsed_us: 3,
        p50_ns: 4,
        p99_ns: 5,
    };
    assert_eq!(report.to_string().parse::<Report>().unwrap(), report);
    assert!("report 1 2".parse::<Report>().is_err());
    assert!("measuring".parse::<Report>().is_err());
}

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
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let mut backend = JoinSet::new();
    backend.spawn(backend::serve(listener));
    for class in Class::ALL.into_iter().filter(|class| !class.is_h2()) {
        let counted = Counted::starting_after(Duration::ZERO, Duration::from_millis(100)).unwrap();
        let mut senders = JoinSet::new();
        start(&mut senders, target, class, &counted).await.unwrap();
        while let Some(ended) = senders.join_next().await {
            ended.unwrap().unwrap();
        }
        let report = counted.report();
        assert!(report.requests > 0 && report.errors == 0, "{class}: {report}");
    }
}
