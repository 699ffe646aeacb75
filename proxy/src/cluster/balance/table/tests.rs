//! Where requests go, for clusters of several priorities, localities and states of health.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::cluster::balance::{Balance, LeastRequest, Maglev, RingHash, SlowStart};
use crate::cluster::endpoint::{Fault, Status};

fn endpoint(port: u16) -> Endpoint {
    Endpoint::new(SocketAddr::from(([10, 0, 0, 1], port)))
}

fn locality(zone: &str, weight: u32) -> Arc<Locality> {
    Arc::new(Locality {
        zone: zone.into(),
        weight,
        ..Locality::default()
    })
}

fn table(endpoints: impl IntoIterator<Item = Endpoint>, settings: BalanceSettings) -> Table {
    Table::new(endpoints.into_iter().map(Arc::new).collect(), &settings, 1)
}

/// How many of 10 000 requests each port gets.
fn spread(table: &Table) -> HashMap<u16, usize> {
    let mut counts = HashMap::new();
    let mut draws = Draws(2);
    for _ in 0..10_000 {
        let moment = Moment {
            random: draws.next(),
            now: None,
        };
        if let Some(picked) = table.pick(Preference::default(), moment) {
            *counts.entry(picked.address().port()).or_default() += 1;
        }
    }
    counts
}

fn check(counts: &HashMap<u16, usize>, expected: &[(u16, usize)]) {
    assert_eq!(counts.len(), expected.len(), "{counts:?}");
    for (port, expected) in expected {
        assert!(counts[port].abs_diff(*expected) < 200, "{port}: {counts:?}");
    }
}

fn with(policy: Balance) -> BalanceSettings {
    BalanceSettings {
        policy,
        ..BalanceSettings::default()
    }
}

#[test]
fn every_policy_goes_by_weight() {
    for policy in [
        Balance::RoundRobin(None),
        Balance::LeastRequest(LeastRequest::default(), None),
        Balance::Random,
        Balance::RingHash(RingHash {
            points_min: 100_000,
            ..RingHash::default()
        }),
        Balance::Maglev(Maglev::default()),
    ] {
        let table = table([endpoint(1), endpoint(2).with_weight(3)], with(policy));
        check(&spread(&table), &[(1, 2500), (2, 7500)]);
    }
}

#[test]
fn nobody_is_picked_from_nobody() {
    assert!(spread(&table([], BalanceSettings::default())).is_empty());
    assert!(spread(&Table::default()).is_empty());
}

#[test]
fn unhealthy_ones_get_nothing_until_too_few_are_left() {
    let unhealthy = |port| endpoint(port).with_status(Status::Unhealthy);
    let some = table(
        [endpoint(1), endpoint(2), unhealthy(3)],
        BalanceSettings::default(),
    );
    check(&spread(&some), &[(1, 5000), (2, 5000)]);
    let few = || [endpoint(1), unhealthy(2), unhealthy(3)];
    let panic = table(few(), BalanceSettings::default());
    check(&spread(&panic), &[(1, 3333), (2, 3333), (3, 3333)]);
    let calm = BalanceSettings {
        panic_below_percent: 0,
        ..BalanceSettings::default()
    };
    check(&spread(&table(few(), calm)), &[(1, 10_000)]);
    assert!(spread(&table([unhealthy(1)], calm)).is_empty());
}

#[test]
fn another_priority_helps_as_far_as_the_first_is_unhealthy() {
    let endpoints = [
        endpoint(1),
        endpoint(2).with_status(Status::Unhealthy),
        endpoint(3).with_priority(1),
        endpoint(4).with_priority(2),
    ];
    check(
        &spread(&table(endpoints, BalanceSettings::default())),
        &[(1, 7000), (3, 3000)],
    );
}

#[test]
fn degraded_ones_take_what_is_left() {
    let endpoints = [endpoint(1), endpoint(2).with_status(Status::Degraded)];
    check(
        &spread(&table(endpoints, BalanceSettings::default())),
        &[(1, 7000), (2, 3000)],
    );
}

#[test]
fn localities_share_by_weight_as_far_as_they_are_healthy() {
    let settings = BalanceSettings {
        by_locality: true,
        ..BalanceSettings::default()
    };
    let (near, far) = (locality("near", 3), locality("far", 1));
    let endpoints = |status| {
        [
            endpoint(1).with_locality(Arc::clone(&near)).with_status(status),
            endpoint(2).with_locality(Arc::clone(&near)),
            endpoint(3).with_locality(Arc::clone(&far)),
            endpoint(4).with_locality(locality("none", 0)),
        ]
    };
    let whole = table(endpoints(Status::Healthy), settings);
    check(&spread(&whole), &[(1, 3750), (2, 3750), (3, 2500)]);
    // Half of the near ones bear 1.4 * 3 / 2.
    let half = table(endpoints(Status::Unhealthy), settings);
    check(&spread(&half), &[(2, 6774), (3, 3226)]);
    let hashed = BalanceSettings {
        policy: Balance::Maglev(Maglev::default()),
        ..settings
    };
    check(
        &spread(&table(endpoints(Status::Healthy), hashed)),
        &[(1, 3750), (2, 3750), (3, 2500)],
    );
}

#[test]
fn a_hash_stays_where_it_is() {
    for policy in [
        Balance::RingHash(RingHash::default()),
        Balance::Maglev(Maglev::default()),
    ] {
        let all = table((1..=4).map(endpoint), with(policy));
        let fewer = table((1..=3).map(endpoint), with(policy));
        let pick = |table: &Table, hash, random| {
            let preference = Preference {
                hash: Some(hash),
                attempt: 0,
            };
            let picked = table.pick(preference, Moment { random, now: None });
            picked.unwrap().address().port()
        };
        let hashes = || (0..1000_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        assert!(hashes().all(|hash| pick(&all, hash, 1) == pick(&all, hash, 2)));
        let moved = hashes()
            .filter(|hash| pick(&all, *hash, 1) != pick(&fewer, *hash, 1))
            .count();
        assert!(moved < 350, "{policy:?}: {moved}");
    }
}

#[test]
fn who_is_busy_gets_less() {
    let table = table(
        (1..=2).map(endpoint),
        with(Balance::LeastRequest(LeastRequest::default(), None)),
    );
    let _busy = table.endpoints()[0].begin();
    let counts = spread(&table);
    assert!(counts[&1].abs_diff(2500) < 200, "{counts:?}");
}

#[test]
fn a_newcomer_starts_slowly() {
    let slow = SlowStart::over(Duration::from_secs(100));
    for policy in [
        Balance::RoundRobin(Some(slow)),
        Balance::LeastRequest(LeastRequest::default(), Some(slow)),
    ] {
        let table = table((1..=2).map(endpoint), with(policy));
        let now = Instant::now() + Duration::from_secs(200);
        table.endpoints()[1]
            .state()
            .became_available(now - Duration::from_secs(25));
        let mut draws = Draws(3);
        let newcomer = |_: &u32| {
            let moment = Moment {
                random: draws.next(),
                now: Some(now),
            };
            table
                .pick(Preference::default(), moment)
                .unwrap()
                .address()
                .port()
                == 2
        };
        let picked = (0..10_000).filter(newcomer).count();
        assert!(picked.abs_diff(2000) < 200, "{policy:?}: {picked}");
    }
}

#[test]
fn health_that_changes_shows_in_the_next_table() {
    let endpoints: Arc<[_]> = (1..=3).map(|port| Arc::new(endpoint(port))).collect();
    endpoints[0].state().set(Fault::Ejected);
    let table = Table::new(endpoints, &BalanceSettings::default(), 0);
    check(&spread(&table), &[(2, 5000), (3, 5000)]);
}

#[test]
fn the_only_endpoint_gets_all_whatever_the_settings_and_without_groups() {
    let policies = [
        Balance::RoundRobin(Some(SlowStart {
            window: Duration::from_secs(60),
            aggression: 1.0,
            weight_percent_min: 10.0,
        })),
        Balance::LeastRequest(LeastRequest::default(), None),
        Balance::Random,
        Balance::RingHash(RingHash::default()),
        Balance::Maglev(Maglev::default()),
    ];
    for (policy, overprovisioning_percent) in policies.into_iter().zip([140, 0, 50, 100, 0]) {
        let settings = BalanceSettings {
            by_locality: true,
            overprovisioning_percent,
            ..with(policy)
        };
        for weight in [0, 3] {
            let only = endpoint(1).with_locality(locality("a", weight)).with_priority(2);
            let table = table([only], settings);
            assert!(table.levels.is_empty());
            check(&spread(&table), &[(1, 10_000)]);
        }
    }
    assert!(
        table([], BalanceSettings::default())
            .pick(Preference::default(), Moment { random: 1, now: None })
            .is_none()
    );
}
