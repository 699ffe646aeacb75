use std::collections::HashMap;

use super::*;

fn part(cluster: &str, weight: u32) -> WeightedCluster {
    WeightedCluster {
        cluster: cluster.into(),
        weight,
        headers: HeaderMutations::default(),
        overrides: FilterOverrides::default(),
        host: None,
    }
}

#[test]
fn a_split_keeps_its_shares_exactly_over_each_round() {
    let split = Split::new([part("a", 90), part("none", 0), part("b", 9), part("c", 1)]).unwrap();
    for _round in 0..3 {
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for _ in 0..100 {
            *counts.entry(&split.pick().cluster).or_default() += 1;
        }
        assert_eq!(counts, HashMap::from([("a", 90), ("b", 9), ("c", 1)]));
    }
}

#[test]
fn a_split_of_halves_alternates_without_long_runs() {
    let split = Split::new([part("a", 50), part("b", 50)]).unwrap();
    let picks: Vec<_> = (0..100).map(|_| split.pick().cluster.clone()).collect();
    let longest = picks.chunk_by(|a, b| a == b).map(<[_]>::len).max();
    assert!(longest <= Some(2), "{longest:?}");
}

#[test]
fn a_split_without_weight_is_refused() {
    assert_eq!(Split::new([part("a", 0)]).unwrap_err(), InvalidSplit);
    assert_eq!(Split::new([]).unwrap_err(), InvalidSplit);
    assert_eq!(
        Split::new([part("a", u32::MAX), part("b", 1)]).unwrap_err(),
        InvalidSplit
    );
}
