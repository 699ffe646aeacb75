//! How often a session asks, and how long it waits.

use super::*;
use Variant::StateOfTheWorld;

const ALL: &[&str] = &[];

#[test]
fn the_same_content_is_refused_ten_times_a_second_at_most_whatever_its_version() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Routes, &["r"])]);
    let mut nacks = 0;
    for milliseconds in 0..1000_u32 {
        // The control plane answers each NACK at once; and pushes anew every 10 ms.
        if milliseconds % 10 == 0 {
            let version = format!("v{milliseconds}");
            talk.hear(Kind::Routes, &version, &version, &["r"]);
            talk.reject("no", &["r"]);
        }
        nacks += talk.ask().len();
        talk.pass(1);
    }
    assert_eq!(nacks, 10);
}

#[test]
fn other_content_is_refused_at_once_and_good_content_accepted() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Routes, &["r", "s"])]);
    talk.hear(Kind::Routes, "1", "a", &["r"]);
    talk.reject("no", &["r"]);
    assert_eq!(talk.ask().len(), 1);
    talk.hear(Kind::Routes, "1", "b", &["r"]);
    talk.reject("no", &["r"]);
    assert!(talk.ask().is_empty());
    let wake = talk.session.wake(talk.now).expect("a NACK waits");
    assert_eq!(wake, talk.now + crate::limits::EQUAL_NACK_INTERVAL);
    talk.hear(Kind::Routes, "2", "c", &["s"]);
    talk.reject("no", &["s"]);
    assert_eq!(talk.ask(), ["Routes r,s v'' n'c' !13 no"]);
    talk.hear(Kind::Routes, "1", "d", &["r"]);
    talk.accept();
    assert_eq!(talk.ask(), ["Routes r,s v'1' n'd'"]);
}

#[test]
fn a_refusal_that_waits_is_moot_when_a_newer_response_comes() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Routes, &["r"])]);
    for nonce in ["a", "b"] {
        talk.hear(Kind::Routes, "1", nonce, &["r"]);
        talk.reject("no", &["r"]);
        talk.ask();
    }
    talk.hear(Kind::Routes, "2", "c", &[]);
    talk.pass(200);
    assert!(talk.ask().is_empty());
}

#[test]
fn a_rate_limit_holds_requests_back_and_starves_no_kind() {
    let limit = RateLimit {
        tokens_max: 3,
        per_second: 10.0,
    };
    let mut talk = Talk::new(|settings| settings.rate_limit = Some(limit));
    talk.want(&[
        (Kind::Cluster, ALL),
        (Kind::Listener, ALL),
        (Kind::Routes, &["r"]),
    ]);
    talk.session.connected();
    assert_eq!(talk.ask().len(), 3);
    for (kind, name) in [(Kind::Routes, "r"), (Kind::Cluster, "c")] {
        talk.hear(kind, "1", "n", &[name]);
        talk.accept();
        assert!(talk.ask().is_empty());
    }
    assert_eq!(talk.status.pending_requests.get(), 2);
    assert_eq!(
        talk.status.rate_limit_enforced.get(),
        1,
        "one wait, however often one looks"
    );
    talk.now = talk.session.wake(talk.now).expect("requests wait");
    assert_eq!(talk.ask(), ["Routes r v'1' n'n'"], "it has waited longest");
    talk.now = talk.session.wake(talk.now).expect("a request waits");
    assert_eq!(talk.ask(), ["Cluster  v'1' n'n'"]);
    assert_eq!(talk.status.pending_requests.get(), 0);
}

#[test]
fn only_a_response_shortens_the_wait_for_the_next_stream() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL)]);
    let failure = |talk: &mut Talk| talk.session.disconnected(1.0).as_millis();
    assert_eq!([failure(&mut talk), failure(&mut talk)], [500, 1000]);
    talk.session.connected();
    assert_eq!(failure(&mut talk), 2000, "a connection is no sign of health");
    talk.session.connected();
    talk.hear(Kind::Cluster, "1", "n", &[]);
    assert_eq!(failure(&mut talk), 500);
    assert_eq!(talk.status.of(Kind::Cluster).update_failure.get(), 4);
    assert_eq!(
        talk.status.of(Kind::Routes).update_failure.get(),
        0,
        "nobody wants any"
    );
}

#[test]
fn a_fetch_that_takes_too_long_is_told_once_and_any_verdict_ends_it() {
    let check = |judge: fn(&mut Talk), late: &[Kind]| {
        let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL)]);
        assert_eq!(
            talk.session.wake(talk.now),
            Some(talk.now + crate::limits::INITIAL_FETCH_TIMEOUT)
        );
        judge(&mut talk);
        talk.pass(15_000);
        assert_eq!(talk.session.timed_out(talk.now), late);
        assert!(talk.session.timed_out(talk.now).is_empty());
        assert_eq!(talk.session.wake(talk.now), None);
    };
    check(|_| {}, &[Kind::Cluster]);
    check(|talk| _ = talk.session.disconnected(0.0), &[Kind::Cluster]);
    check(
        |talk| {
            talk.hear(Kind::Cluster, "1", "n", &[]);
            talk.accept();
            talk.ask();
        },
        &[],
    );
    check(
        |talk| {
            talk.hear(Kind::Cluster, "1", "n", &["a"]);
            talk.reject("no", &["a"]);
            talk.ask();
        },
        &[],
    );
}
