//! The slices of the contract's tables, and that they cover all pods without overlap.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// The positions that activator `index` of `activators` has of `pods`.
fn check(pods: usize, index: Option<usize>, activators: usize, expected: &[usize]) {
    let sorted: Vec<usize> = (0..pods).collect();
    assert_eq!(
        assign(&sorted, index, activators),
        expected,
        "{pods} pods, {index:?} of {activators}"
    );
}

#[test]
fn ac_18_an_even_share_is_a_contiguous_slice() {
    check(4, Some(0), 2, &[0, 1]);
    check(4, Some(1), 2, &[2, 3]);
    check(6, Some(2), 3, &[4, 5]);
}

#[test]
fn ac_18_what_is_left_over_goes_to_the_first_one_each() {
    check(5, Some(0), 2, &[0, 1, 4]);
    check(5, Some(1), 2, &[2, 3]);
    check(8, Some(0), 3, &[0, 1, 6]);
    check(8, Some(1), 3, &[2, 3, 7]);
    check(8, Some(2), 3, &[4, 5]);
}

#[test]
fn ac_18_more_activators_than_pods_have_one_each_by_modulo() {
    check(3, Some(0), 4, &[0]);
    check(3, Some(2), 4, &[2]);
    check(3, Some(3), 4, &[0]);
    check(2, Some(199), 200, &[1]);
}

#[test]
fn ac_18_all_pods_are_taken_where_nobody_shares_them() {
    check(5, None, 2, &[0, 1, 2, 3, 4]);
    check(5, Some(0), 1, &[0, 1, 2, 3, 4]);
    check(5, Some(0), 0, &[0, 1, 2, 3, 4]);
    check(1, Some(1), 2, &[0]);
    check(0, Some(1), 2, &[]);
}

#[test]
fn ac_19_the_index_is_the_place_in_the_sorted_list() {
    let parse = |text: &str| text.parse::<IpAddr>().unwrap();
    // As text: `10` comes before `9`.
    let activators = ["10.0.0.9", "10.0.0.10", "10.0.0.1"].map(parse);
    for (own, expected) in [
        ("10.0.0.1", Some(0)),
        ("10.0.0.10", Some(1)),
        ("10.0.0.9", Some(2)),
        ("10.0.0.2", None),
    ] {
        assert_eq!(infer_index(&activators, parse(own)), expected, "{own}");
    }
    assert_eq!(infer_index(&[], parse("10.0.0.1")), None);
}

proptest! {
    #[test]
    fn ac_18_together_they_have_all_pods_and_share_none(pods in 1_usize..60, activators in 1_usize..60) {
        let sorted: Vec<usize> = (0..pods).collect();
        let slices: Vec<_> = (0..activators).map(|index| assign(&sorted, Some(index), activators)).collect();
        let all: BTreeSet<_> = slices.iter().flatten().copied().collect();
        prop_assert_eq!(all.len(), pods);
        if activators <= pods {
            prop_assert_eq!(slices.iter().map(Vec::len).sum::<usize>(), pods);
        }
    }
}
