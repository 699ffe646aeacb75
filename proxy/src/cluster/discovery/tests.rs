//! What endpoints become of the answers of a scripted name server, in paused time.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::cluster::ClusterSettings;

type Answers = Arc<Mutex<VecDeque<Result<Found, BoxError>>>>;

const SECOND: Duration = Duration::from_secs(1);

fn found(addresses: &[&str], ttl: Option<u64>) -> Result<Found, BoxError> {
    Ok(Found {
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ttl: ttl.map(Duration::from_secs),
    })
}

/// When each look-up was, and what the cluster had then, its answer included. The last one is never answered.
async fn course(
    discovery: Discovery,
    answers: impl IntoIterator<Item = Result<Found, BoxError>>,
) -> Vec<String> {
    let cluster = Cluster::new(ClusterSettings::new("app"));
    let answers: Answers = Arc::new(Mutex::new(answers.into_iter().collect()));
    let (started, mut seen) = (Instant::now(), Vec::new());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let running = run(Arc::downgrade(&cluster), discovery, |_host| {
        let (answer, tell) = (answers.lock().unwrap().pop_front(), tell.clone());
        async move {
            tell.send(started.elapsed().as_secs()).unwrap();
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    });
    let mut running = std::pin::pin!(running);
    let wanted = answers.lock().unwrap().len() + 1;
    while seen.len() < wanted {
        tokio::select! {
            biased;
            Some(at) = told.recv() => {
                let endpoints = cluster.endpoints();
                let all: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address().to_string()).collect();
                seen.push(format!("{at}: {}", all.join(" ")));
            }
            () = &mut running => break,
        }
    }
    seen
}

fn discovery() -> Discovery {
    Discovery::of([DnsName::new("app.example", 80)])
}

#[tokio::test(start_paused = true)]
async fn all_addresses_are_endpoints_and_looked_up_again() {
    let answers = [
        found(&["10.0.0.2", "10.0.0.1"], None),
        found(&["10.0.0.1", "10.0.0.3"], None),
    ];
    let expected = [
        "0: 10.0.0.1:80 10.0.0.2:80",
        "5: 10.0.0.1:80 10.0.0.3:80",
        "10: 10.0.0.1:80 10.0.0.3:80",
    ];
    assert_eq!(course(discovery(), answers).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_record_says_itself_for_how_long_it_is_good() {
    let answers = [found(&["10.0.0.1"], Some(30)), found(&["10.0.0.2"], Some(0))];
    let expected = ["0: 10.0.0.1:80", "30: 10.0.0.2:80", "31: 10.0.0.2:80"];
    assert_eq!(course(discovery(), answers).await, expected);
}

#[tokio::test(start_paused = true)]
async fn the_last_addresses_stay_when_a_name_is_not_found() {
    let answers = [
        found(&["10.0.0.1"], None),
        Err("no such name".into()),
        found(&[], None),
    ];
    let seen = course(discovery(), answers).await;
    assert!(
        seen.iter().skip(1).all(|one| one.ends_with("10.0.0.1:80")),
        "{seen:?}"
    );
    assert_eq!(seen.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_large_service_has_one_address_at_a_time() {
    let first = Discovery {
        addresses: Addresses::First,
        ..discovery()
    };
    let answers = [
        found(&["10.0.0.2", "10.0.0.1"], None),
        found(&["10.0.0.1", "10.0.0.2"], None),
    ];
    let expected = ["0: 10.0.0.2:80", "5: 10.0.0.1:80", "10: 10.0.0.1:80"];
    assert_eq!(course(first, answers).await, expected);
}

#[test]
fn failures_are_asked_about_less_and_less_often() {
    let pause = |failures| discovery().pause(None, failures, 0.0);
    assert_eq!(
        [0, 1, 2, 3, 99].map(pause),
        [5, 5, 10, 20, 50].map(|count| SECOND * count)
    );
    assert_eq!(discovery().pause(None, 1, 1.0), SECOND * 15 / 2);
    assert_eq!(
        discovery().pause(Some(SECOND * 1_000_000), 0, 0.0),
        limits::DNS_TTL_MAX
    );
}

#[test]
fn a_family_is_chosen() {
    let both: Vec<IpAddr> = ["::1", "127.0.0.1"]
        .map(|address| address.parse().unwrap())
        .into();
    let check = |family: Family, among: &[IpAddr], expected: &[IpAddr]| {
        assert_eq!(family.choose(among), expected, "{family:?}");
    };
    check(Family::All, &both, &both);
    check(Family::V4, &both, &both[1..]);
    check(Family::PreferV6, &both, &both[..1]);
    check(Family::PreferV6, &both[1..], &both[1..]);
    check(Family::V6, &both[1..], &[]);
}
