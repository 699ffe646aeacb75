//! Does the program do what Envoy does, given the same resources and the same requests?
//!
//! Our xDS server gives the same snapshot to both, each with listeners of its own, in front of one upstream that writes down what
//! it saw. Virtual hosts, routes and requests are made by chance from the seeds of [`worlds`]; a difference is made small before it
//! is shown. [`settled`] lists what the two do differently on purpose, as `docs/conformance.md` does.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what it is made of"
)]

use std::collections::BTreeSet;

use fastrand::Rng;
use tidegate_testkit::peers;

#[path = "envoy_differential/actions.rs"]
mod actions;
#[path = "envoy_differential/ask.rs"]
mod ask;
#[path = "envoy_differential/edits.rs"]
mod edits;
#[path = "envoy_differential/filters.rs"]
mod filters;
#[path = "envoy_differential/matches.rs"]
mod matches;
#[path = "envoy_differential/mutants.rs"]
mod mutants;
#[path = "envoy_differential/pair.rs"]
mod pair;
#[path = "envoy_differential/settled.rs"]
mod settled;
#[path = "envoy_differential/shrink.rs"]
mod shrink;
#[path = "envoy_differential/upstream.rs"]
mod upstream;
#[path = "envoy_differential/world.rs"]
mod world;

use ask::Ask;
use pair::Pair;

/// How many requests each world gets.
const REQUESTS: usize = 200;

/// How many differences, each of another sort, are made small and shown.
const SHOWN_MAX: usize = 6;

/// One seed for each world. `TIDEGATE_DIFFERENTIAL=17` runs world 17 alone, `=100-200` those; every run without it is the same.
fn worlds() -> std::ops::Range<u64> {
    let wanted = std::env::var("TIDEGATE_DIFFERENTIAL").ok();
    let Some(wanted) = wanted else { return 0..40 };
    let (first, end) = wanted.split_once('-').unwrap_or((&wanted, ""));
    let first = first.parse().expect("the seed of a world");
    first..end.parse().unwrap_or(first + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_fare_as_with_envoy() {
    let Some(envoy) = peers::envoy("requests compared with Envoy's") else {
        return;
    };
    let mut pair = Pair::start(&envoy).await;
    let (mut cases, mut count, mut shown) = (0, 0, Vec::new());
    let mut sorts = BTreeSet::new();
    for seed in worlds() {
        let mut rng = Rng::with_seed(seed);
        let world = world::world(&mut rng);
        let published = pair.publish(&world).await;
        published.unwrap_or_else(|why| panic!("world {seed} is refused: {why}"));
        let asks: Vec<_> = (0..REQUESTS).map(|_| Ask::new(&mut rng)).collect();
        let mut different = Vec::new();
        for ask in asks {
            cases += 1;
            let (ours, envoys) = pair.ask(&ask).await;
            if ours != envoys {
                count += 1;
                if sorts.len() < SHOWN_MAX && sorts.insert(ours.differs_in(&envoys)) {
                    different.push(ask);
                }
            }
        }
        for ask in different {
            shown.push(shrink::shown(&mut pair, seed, world.clone(), ask).await);
        }
    }
    println!(
        "{cases} requests compared with Envoy, {count} differ; settled: {:?}",
        pair.settled
    );
    assert!(
        count == 0,
        "{count} of {cases} differ; one of each sort:\n{}",
        shown.join("\n\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_are_taken_and_refused_as_by_envoy() {
    let Some(envoy) = peers::envoy("resources refused as by Envoy") else {
        return;
    };
    let pair = Pair::start(&envoy).await;
    let (mut cases, mut different) = (0, Vec::new());
    for mutant in mutants::all() {
        cases += 1;
        let resource = pair::encoded(mutant.kind, mutant.name, &mutant.json);
        let [ours, envoys] = pair.verdicts(mutant.kind, resource).await;
        let [ours, envoys] = [&ours, &envoys].map(|why| why.as_deref().map(pair::short));
        if settled::is_settled(ours, envoys) {
            continue;
        }
        if ours.is_some() != envoys.is_some() || mutant.is_exact && ours != envoys {
            different.push(format!("{mutant:?}\nours: {ours:?}\nEnvoy: {envoys:?}"));
        }
    }
    println!(
        "{cases} resources compared with Envoy, {} differ",
        different.len()
    );
    assert!(
        different.is_empty(),
        "{} of {cases} differ:\n{}",
        different.len(),
        different.join("\n\n")
    );
}
